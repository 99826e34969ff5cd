#![allow(clippy::unwrap_used)]

use std::time::Duration;

use guestlist_jobs::BackOff;
use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::{Mailer, MailerSettings, VerdictClass};
use guestlist_testkit::smtp::{Action, Rule, Stage};
use sha2::{Digest, Sha256};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn sink() -> (Sink, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(folder.path(), 0).await.unwrap();
    (sink, folder)
}

fn mailer(sink: &Sink) -> Mailer {
    let rest = BackOff::new(Duration::ZERO, Duration::ZERO);
    let mut settings = MailerSettings::default();
    settings.back_off = rest;
    settings.pause = rest;
    settings.deadlines.rcpt = SECOND;
    settings.deadlines.end = SECOND;
    Mailer::new(sink.url("ann").parse().unwrap(), settings)
}

fn mail(to: &str) -> Mail {
    Mail::new(
        &"team@acme.example".parse().unwrap(),
        to.parse().unwrap(),
        "<1@acme.example>",
        format!("Message-ID: <1@acme.example>\r\nTo: {to}\r\n\r\nHi.\r\n.\r\n..two\r\n"),
    )
}

fn accepted(sink: &Sink) -> Vec<Accepted> {
    let entries = read(sink.log()).unwrap();
    let accepted = entries.into_iter().filter_map(|entry| match entry {
        Entry::Accepted(accepted) => Some(accepted),
        Entry::Refused { .. } => None,
    });
    accepted.collect()
}

#[tokio::test]
async fn a_letter_is_logged_before_the_reply() {
    let (sink, _folder) = sink().await;
    let mail = mail("bob@acme.example");
    let sha256 = Sha256::digest(&mail.bytes);
    let verdict = mailer(&sink).send(mail.clone()).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
    let [letter] = &accepted(&sink)[..] else {
        panic!("one letter")
    };
    assert_eq!(
        letter.sha256,
        sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    assert_eq!(
        (letter.to.as_str(), letter.by.as_str()),
        ("bob@acme.example", "ann")
    );
    assert_eq!(
        (letter.message_id.as_str(), letter.bytes),
        ("1@acme.example", mail.bytes.len())
    );
    assert!(letter.began_at <= letter.at);
    assert_eq!(letter.fate, Fate::Answered);
}

#[tokio::test]
async fn a_letter_may_be_accepted_without_a_reply() {
    let (sink, _folder) = sink().await;
    for (mark, action) in [
        ("hang", Action::HangUp),
        ("stall", Action::StallFor(2 * SECOND)),
        ("flood", Action::Flood),
        ("lose", Action::Lose),
    ] {
        sink.server()
            .add_rule(Rule::new(Stage::End, action).to(mark).times(1));
        let mailer = mailer(&sink);
        let to = format!("{mark}@acme.example");
        let before = accepted(&sink).len();
        let verdict = mailer.send(mail(&to)).await;
        assert!(!verdict.is_accepted(), "{mark}: {verdict:?}");
        assert_eq!(
            accepted(&sink).len() - before,
            usize::from(mark != "lose"),
            "{mark}"
        );
        let again = mailer.send(mail(&to)).await;
        assert!(again.is_accepted(), "{mark}: {again:?}");
    }
    let withheld = accepted(&sink)
        .iter()
        .filter(|letter| letter.fate == Fate::Withheld)
        .count();
    assert_eq!(withheld, 3);
}

#[tokio::test]
async fn a_refusal_hits_marked_recipients_and_is_logged() {
    let (sink, _folder) = sink().await;
    let reply = "550 5.1.1 no such user";
    sink.server()
        .add_rule(Rule::new(Stage::Rcpt, reply).to("gone"));
    let mailer = mailer(&sink);
    let refused = mailer.send(mail("is-gone-1@acme.example")).await;
    assert!(refused.class == VerdictClass::Provisional, "{refused:?}");
    let accepted = mailer.send(mail("bob@gone.example")).await;
    assert!(accepted.is_accepted(), "{accepted:?}");
    let entries = read(sink.log()).unwrap();
    let is_logged = entries.iter().any(|entry| matches!(entry, Entry::Refused { to, reply: said, .. } if to == "is-gone-1@acme.example" && said == reply));
    assert!(is_logged, "{entries:?}");
}

#[tokio::test]
async fn slow_and_late_replies_are_accepted() {
    let (sink, _folder) = sink().await;
    let server = sink.server();
    server.add_rule(Rule::new(Stage::Rcpt, Action::ReplySlowly(SECOND / 100)).times(1));
    server.add_rule(Rule::new(Stage::End, Action::ReplyLate(SECOND / 10)).times(1));
    let verdict = mailer(&sink).send(mail("bob@acme.example")).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert_eq!(accepted(&sink)[0].fate, Fate::AnsweredLate);
}

#[tokio::test]
async fn a_refused_starttls_sends_nothing_in_clear() {
    let (sink, _folder) = sink().await;
    let refusal = "454 4.7.0 not now";
    sink.server()
        .add_rule(Rule::new(Stage::StartTls, refusal).times(1));
    // Another connection is tried, and the letter is sent encrypted.
    let verdict = mailer(&sink).send(mail("bob@acme.example")).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert_eq!(sink.server().seen().connections, 2);
    assert_eq!(accepted(&sink).len(), 1);
}

#[tokio::test]
async fn a_reopened_server_keeps_its_port() {
    let (sink, _folder) = sink().await;
    let mailer = mailer(&sink);
    assert!(mailer.send(mail("bob@acme.example")).await.is_accepted());
    sink.server().close().await;
    let verdict = mailer.send(mail("bob@acme.example")).await;
    assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
    sink.server().open().await.unwrap();
    let verdict = mailer.send(mail("bob@acme.example")).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
}

#[tokio::test]
async fn a_letter_stops_when_its_lease_ends() {
    let (sink, _folder) = sink().await;
    // The lease is held when the letter starts and lost before its final dot.
    let checks = std::sync::atomic::AtomicU32::new(0);
    let is_held = move || checks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
    let mailer = mailer(&sink);
    let verdict = mailer.send_while(is_held, mail("bob@acme.example")).await;
    assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
    assert_eq!(accepted(&sink).len(), 0);
    let verdict = mailer.send(mail("ann@acme.example")).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert_eq!(accepted(&sink).len(), 1);
}

#[tokio::test]
async fn only_authenticated_clients_over_tls_are_accepted() {
    let (sink, _folder) = sink().await;
    let valid = sink.url("ann");
    let (anonymous, wrong, clear) = (
        valid.replace("ann:secret@", ""),
        valid.replace(":secret@", ":guess@"),
        valid.replace(valid.split_once('?').unwrap().1, "tls=none"),
    );
    let settings = MailerSettings::default();
    for (url, error) in [
        (&anonymous, "530 5.7.0 sign in first"),
        (&wrong, "535 5.7.8 bad credentials"),
        (&clear, "neither AUTH PLAIN nor LOGIN"),
    ] {
        let config = url.parse().unwrap();
        let verdict = Mailer::new(config, settings)
            .send(mail("bob@acme.example"))
            .await;
        assert!(verdict.detail.text.contains(error), "{url}: {verdict:?}");
        assert!(!verdict.is_accepted(), "{url}: {verdict:?}");
    }
    assert_eq!(accepted(&sink).len(), 0);
    let verdict = Mailer::new(valid.parse().unwrap(), settings)
        .send(mail("bob@acme.example"))
        .await;
    assert!(verdict.is_accepted(), "{verdict:?}");
}
