#![allow(clippy::unwrap_used)]

use std::time::Duration;

use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::{BackOff, Deadlines, Mailer, Verdict};

use sha2::{Digest, Sha256};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn sink() -> (Sink, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(folder.path(), 0).await.unwrap();
    (sink, folder)
}

fn mailer(sink: &Sink) -> Mailer {
    let rest = BackOff {
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };
    let deadlines = Deadlines {
        back_off: rest,
        pause: rest,
        rcpt: SECOND,
        end: SECOND,
        ..Deadlines::default()
    };
    Mailer::new(sink.url("ann").parse().unwrap(), 1, deadlines)
}

fn mail(to: &str) -> Mail {
    Mail {
        from: "team@acme.example".to_owned(),
        to: to.to_owned(),
        message_id: "<1@acme.example>".to_owned(),
        bytes: format!("Message-ID: <1@acme.example>\r\nTo: {to}\r\n\r\nHi.\r\n.\r\n..two\r\n")
            .into_bytes(),
    }
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
async fn a_letter_is_logged_with_its_bytes_before_it_is_answered() {
    let (sink, _folder) = sink().await;
    let mail = mail("bob@acme.example");
    let sha256 = Sha256::digest(&mail.bytes);
    let verdict = mailer(&sink).send(mail.clone()).await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
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
async fn what_is_accepted_and_what_is_told_are_two_things() {
    let (sink, _folder) = sink().await;
    for (mark, act) in [
        ("hang", Act::HangUp),
        ("stall", Act::Stall(2 * SECOND)),
        ("flood", Act::Flood),
        ("lose", Act::Lose),
    ] {
        sink.script()
            .add(Rule::new(Verb::End, act).to(mark).times(1));
        let mailer = mailer(&sink);
        let to = format!("{mark}@acme.example");
        let before = accepted(&sink).len();
        let verdict = mailer.send(mail(&to)).await;
        assert!(
            !matches!(verdict, Verdict::Accepted { .. }),
            "{mark}: {verdict:?}"
        );
        assert_eq!(
            accepted(&sink).len() - before,
            usize::from(mark != "lose"),
            "{mark}"
        );
        let again = mailer.send(mail(&to)).await;
        assert!(
            matches!(again, Verdict::Accepted { .. }),
            "{mark}: {again:?}"
        );
    }
    let withheld = accepted(&sink)
        .iter()
        .filter(|letter| letter.fate == Fate::Withheld)
        .count();
    assert_eq!(withheld, 3);
}

#[tokio::test]
async fn refusals_are_for_whom_they_are_scripted_and_are_logged() {
    let (sink, _folder) = sink().await;
    let reply = "550 5.1.1 no such user";
    sink.script()
        .add(Rule::new(Verb::Rcpt, Act::Say(reply.to_owned())).to("gone"));
    let mailer = mailer(&sink);
    let refused = mailer.send(mail("is-gone-1@acme.example")).await;
    assert!(matches!(refused, Verdict::Refused { .. }), "{refused:?}");
    let taken = mailer.send(mail("bob@gone.example")).await;
    assert!(matches!(taken, Verdict::Accepted { .. }), "{taken:?}");
    let entries = read(sink.log()).unwrap();
    let told = entries.iter().any(|entry| matches!(entry, Entry::Refused { to, reply: said, .. } if to == "is-gone-1@acme.example" && said == reply));
    assert!(told, "{entries:?}");
}

#[tokio::test]
async fn slow_and_late_replies_count_and_a_refused_starttls_sends_nothing_in_clear() {
    let (sink, _folder) = sink().await;
    let script = sink.script();
    script.add(Rule::new(Verb::Rcpt, Act::Slowly(SECOND / 100)).times(1));
    script.add(Rule::new(Verb::End, Act::Late(SECOND / 10)).times(1));
    let verdict = mailer(&sink).send(mail("bob@acme.example")).await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
    assert_eq!(accepted(&sink)[0].fate, Fate::AnsweredLate);
    script.add(Rule::new(Verb::StartTls, Act::Say("454 4.7.0 not now".to_owned())).times(1));
    let mailer = mailer(&sink);
    let verdict = mailer.send(mail("bob@acme.example")).await;
    assert!(
        matches!(verdict, Verdict::ServerFault { .. }),
        "{verdict:?}"
    );
    assert_eq!(accepted(&sink).len(), 1);
}

#[tokio::test]
async fn a_closed_server_refuses_and_an_opened_one_has_the_same_port() {
    let (sink, _folder) = sink().await;
    let mailer = mailer(&sink);
    assert!(matches!(
        mailer.send(mail("bob@acme.example")).await,
        Verdict::Accepted { .. }
    ));
    sink.close().await;
    let verdict = mailer.send(mail("bob@acme.example")).await;
    assert!(
        matches!(verdict, Verdict::ServerFault { .. }),
        "{verdict:?}"
    );
    sink.open().unwrap();
    let verdict = mailer.send(mail("bob@acme.example")).await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_letter_whose_lease_ends_before_its_final_dot_is_not_finished() {
    let (sink, _folder) = sink().await;
    // It stands when the letter is begun, and no more when it could be finished.
    let asked = std::sync::atomic::AtomicU32::new(0);
    let stands = move || asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
    let mailer = mailer(&sink);
    let verdict = mailer.send_while(stands, mail("bob@acme.example")).await;
    assert!(
        matches!(verdict, Verdict::Unavailable { .. }),
        "{verdict:?}"
    );
    assert_eq!(accepted(&sink).len(), 0);
    let verdict = mailer.send(mail("ann@acme.example")).await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
    assert_eq!(accepted(&sink).len(), 1);
}

#[tokio::test]
async fn who_does_not_sign_in_or_would_in_clear_or_with_another_password_is_refused() {
    let (sink, _folder) = sink().await;
    let right = sink.url("ann");
    let (anonymous, wrong, clear) = (
        right.replace("ann:secret@", ""),
        right.replace(":secret@", ":guess@"),
        right.replace(right.split_once('?').unwrap().1, "tls=none"),
    );
    let deadlines = Deadlines::default();
    for (url, says) in [
        (&anonymous, "530 5.7.0 sign in first"),
        (&wrong, "535 5.7.8 not known here"),
        (&clear, "neither AUTH PLAIN nor LOGIN"),
    ] {
        let config = url.parse().unwrap();
        let verdict = Mailer::new(config, 1, deadlines)
            .send(mail("bob@acme.example"))
            .await;
        assert!(
            matches!(&verdict, Verdict::Ours { why, .. } if why.contains(says)),
            "{url}: {verdict:?}"
        );
    }
    assert_eq!(accepted(&sink).len(), 0);
    let verdict = Mailer::new(right.parse().unwrap(), 1, deadlines)
        .send(mail("bob@acme.example"))
        .await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
}
