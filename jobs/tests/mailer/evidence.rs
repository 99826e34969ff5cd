//! A refusal is judged by what happens to other letters.

use std::time::Duration;

use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{BreakerState, Mailer, MailerSettings, Verdict, VerdictClass};
use guestlist_testkit::smtp::{Action, Rule, Script, SmtpServer, Stage};

use crate::{accepted, clear, mail_to, mailer_with};

fn settings() -> MailerSettings {
    let mut settings = MailerSettings::default();
    settings.back_off = BackOff::new(Duration::from_millis(50), Duration::from_millis(200));
    settings.pause = settings.back_off;
    settings
}

fn mailer(server: &SmtpServer) -> Mailer {
    mailer_with(&clear(server), 4, settings())
}

/// Sends letters to so many recipients of five domains, one after the other.
async fn send(mailer: &Mailer, recipients: std::ops::Range<u32>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for number in recipients {
        let to = format!("p{number}@domain{}.example", number % 5);
        verdicts.push(mailer.send(mail_to(&to)).await);
    }
    verdicts
}

/// Sends letters at once and each again until it is accepted; returns the number of tries.
async fn deliver_all(mailer: &Mailer, letters: u32, patience: Duration) -> usize {
    let letters = (0..letters).map(async |number| {
        let to = format!("p{number}@domain{}.example", number % 5);
        for tries in 1.. {
            let verdict = mailer.send(mail_to(&to)).await;
            if accepted(&verdict) {
                return tries;
            }
            tokio::time::sleep(verdict.retry_after).await;
        }
        unreachable!("the tries are endless")
    });
    let delivered = tokio::time::timeout(patience, futures::future::join_all(letters)).await;
    delivered.expect("delivered in time").into_iter().sum()
}

#[tokio::test]
async fn refusals_of_some_recipients_delay_no_other() {
    let refused = Rule::new(Stage::Rcpt, "550 5.7.1 Recipient address rejected").to("bad");
    let server = Script::default().rule(refused).start().await.unwrap();
    let mailer = mailer(&server);
    for round in 0..5 {
        let others = send(&mailer, round * 10..round * 10 + 10).await;
        assert!(others.iter().all(accepted), "{others:?}");
        let bad = mailer
            .send(mail_to(&format!("bad{round}@domain1.example")))
            .await;
        assert_eq!(bad.class, VerdictClass::Provisional, "{bad:?}");
        assert_eq!(mailer.state(), BreakerState::Closed);
    }
}

#[tokio::test]
async fn unknown_mailbox_is_final_only_if_others_are_accepted() {
    let unknown = Rule::new(Stage::Rcpt, "550 5.1.1 User unknown").to("gone");
    let server = Script::default().rule(unknown).start().await.unwrap();
    let mailer = mailer(&server);
    let first = mailer.send(mail_to("gone1@domain1.example")).await;
    assert_eq!(first.class, VerdictClass::Provisional, "{first:?}");
    assert!(send(&mailer, 0..1).await.iter().all(accepted));
    let second = mailer.send(mail_to("gone1@domain1.example")).await;
    assert_eq!(second.class, VerdictClass::Refused, "{second:?}");
    assert!(second.detail.says_mailbox_is_missing);
}

#[tokio::test]
async fn a_throttled_mailer_slows_down() {
    let throttled = Rule::new(
        Stage::End,
        "454 Throttling failure: Maximum sending rate exceeded.",
    );
    let server = Script::default()
        .rule(throttled.above_rate(40))
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let tries = deliver_all(&mailer, 200, Duration::from_secs(60)).await;
    assert!(tries <= 300, "{tries} tries of 200 letters");
    assert_eq!(mailer.paused(), None);
}

#[tokio::test]
async fn the_number_of_connections_is_found() {
    let too_many = Action::reply_and_hang_up("421 4.7.0 too many connections");
    let limit = Rule::new(Stage::Connect, too_many).above_connections(4);
    let server = Script::default().rule(limit).start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 16, settings());
    let tries = deliver_all(&mailer, 200, Duration::from_secs(60)).await;
    assert_eq!(tries, 200, "no letter met the limit");
    let connections = server.seen().connections;
    assert!((2..=8).contains(&connections), "{connections}");
}

#[tokio::test]
async fn connections_that_are_never_greeted_delay_no_letter() {
    let ungreeted = Rule::new(Stage::Connect, Action::Stall);
    for rule in [ungreeted.clone().every(3), ungreeted.times(3)] {
        let server = Script::default().rule(rule).start().await.unwrap();
        let mailer = mailer_with(&clear(&server), 16, settings());
        let tries = deliver_all(&mailer, 100, Duration::from_secs(60)).await;
        assert_eq!(tries, 100);
    }
}

#[tokio::test]
async fn a_connection_is_closed_after_its_letters() {
    let server = Script::default().start().await.unwrap();
    let mut settings = settings();
    settings.letters_per_connection = 10;
    let mailer = mailer_with(&clear(&server), 1, settings);
    assert!(send(&mailer, 0..35).await.iter().all(accepted));
    assert_eq!(server.seen().connections, 4);
}

#[tokio::test]
async fn a_lost_probe_lets_another_try() {
    let closing = Rule::new(Stage::End, "451 4.3.0 Temporary local problem");
    let server = Script::default().rule(closing).start().await.unwrap();
    let mailer = mailer(&server);
    send(&mailer, 0..6).await;
    assert_ne!(mailer.state(), BreakerState::Closed);
    server.clear_rules();
    server.add_rule(Rule::new(Stage::Mail, Action::Stall).times(1));
    let tried = server.seen().heard("MAIL");
    tokio::select! {
        verdict = mailer.send(mail_to("a@b.co")) => panic!("the server stalls: {verdict:?}"),
        _ = server.until(|seen| seen.heard("MAIL") > tried) => {}
    }
    deliver_all(&mailer, 4, Duration::from_secs(60)).await;
}

/// The ways in which a server can fail with one letter, without words about its recipient.
fn faults() -> [(Stage, Action); 5] {
    let too_many = || Action::reply_and_hang_up("421 4.7.0 too many connections");
    [
        (Stage::Rcpt, Action::HangUp),
        (Stage::Data, Action::HangUp),
        (Stage::Rcpt, too_many()),
        (Stage::End, too_many()),
        (Stage::Data, "503 5.5.1 Error: need RCPT command".into()),
    ]
}

#[tokio::test]
async fn a_fault_of_one_letter_is_deferred_and_stops_no_other() {
    for (stage, fault) in faults() {
        let what = format!("{stage}: {fault:?}");
        let rule = Rule::new(stage, fault).to("bad");
        let server = Script::default().rule(rule).start().await.unwrap();
        let mailer = mailer(&server);
        assert!(send(&mailer, 0..3).await.iter().all(accepted));
        let mut last = Duration::ZERO;
        for number in 1..=5 {
            let bad = mailer.send(mail_to("bad@domain1.example")).await;
            let expected = match number {
                ..=2 => VerdictClass::ServerFault,
                _ => VerdictClass::Deferred,
            };
            assert_eq!(bad.class, expected, "{what}: {bad:?}");
            let longer = bad.retry_after > last.mul_f64(1.5) || number > 3;
            assert!(longer, "{what}: {bad:?} after {last:?}");
            assert!(bad.retry_after <= Duration::from_secs(144), "{bad:?}");
            last = bad.retry_after;
            assert_eq!(mailer.state(), BreakerState::Closed);
            assert!(send(&mailer, number..number + 1).await.iter().all(accepted));
        }
        let before = server.seen().heard("DATA");
        server.add_rule(Rule::new(Stage::Data, Action::Hold).times(4));
        let letters = (0..4).map(|_| mailer.send(mail_to("bob@domain2.example")));
        let held = async {
            // The pool has as many connections as before.
            server.until(|seen| seen.heard("DATA") == before + 4).await;
            for _ in 0..4 {
                server.release();
            }
        };
        let (verdicts, ()) = tokio::join!(futures::future::join_all(letters), held);
        assert!(verdicts.iter().all(accepted), "{what}: {verdicts:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_only_letter_is_not_its_own() {
    for (stage, fault) in faults() {
        let rule = Rule::new(stage, fault);
        let server = Script::default().rule(rule).start().await.unwrap();
        let mailer = mailer(&server);
        for _ in 0..5 {
            let verdict = mailer.send(mail_to("bob@domain1.example")).await;
            assert_eq!(
                verdict.class,
                VerdictClass::ServerFault,
                "{stage}: {verdict:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_not_tried_in_a_loop() {
    let server = Script::default().start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 8, MailerSettings::default());
    let many = (0..50).map(|number| {
        let mailer = mailer.clone();
        async move { mailer.send(mail_to(&format!("p{number}@a.example"))).await }
    });
    assert!(futures::future::join_all(many).await.iter().all(accepted));
    let refused = Action::reply_and_hang_up("421 4.3.2 going down");
    server.add_rule(Rule::new(Stage::Mail, Action::HangUp));
    server.add_rule(Rule::new(Stage::Connect, refused));
    let before = server.seen().connections;
    futures::future::join_all((0..8).map(|_| mailer.send(mail_to("bob@b.example")))).await;
    let tried = server.seen().connections - before;
    assert!(tried <= 20, "{tried} connections");
    assert_ne!(mailer.state(), BreakerState::Closed);
}
