//! The connections of the pool, and the failures that are no failure of the server.

use std::time::Duration;

use guestlist_jobs::mailer::{BreakerState, Mailer, MailerSettings, VerdictClass};
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::{accepted, clear, mail, mail_to, mailer_with, settings};

const MOMENT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn letter_does_not_change_connections_without_end() {
    // Every second MAIL ends its connection: always that of the unlucky letter, which takes a
    // connection that the other letters have used and left idle.
    let ended = Rule::new(Stage::Mail, Action::StallFor(10 * MOMENT)).every(2);
    let server = Script::default().rule(ended).start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 2, settings());
    assert!(accepted(&mailer.send(mail()).await));
    let unlucky = mailer.send(mail_to("unlucky@example.com"));
    tokio::pin!(unlucky);
    for tries in 1..10 {
        let lucky = async {
            server.until(|seen| seen.heard("MAIL") == 2 * tries).await;
            assert!(accepted(&mailer.send(mail()).await));
        };
        let verdict = tokio::select! {
            verdict = &mut unlucky => verdict,
            () = lucky => continue,
        };
        assert_eq!(verdict.class, VerdictClass::ServerFault, "{verdict:?}");
        return;
    }
    panic!("the letter is still tried");
}

#[tokio::test]
async fn new_connection_closed_at_mail_is_the_servers_fault() {
    // The greeting is late, so that a second connection is opened and stays unused.
    let late = Action::ReplyLate(Duration::from_millis(800));
    let server = Script::default()
        .always(Stage::Connect, late)
        .always(Stage::Mail, Action::HangUp)
        .start()
        .await
        .unwrap();
    let mailer = mailer_with(&clear(&server), 2, settings());
    for tries in 1..=2 {
        let verdict = mailer.send(mail()).await;
        assert_eq!(verdict.class, VerdictClass::ServerFault, "{verdict:?}");
        assert_eq!(server.seen().heard("MAIL"), tries);
        server.until(|seen| seen.heard("EHLO") == 2).await;
        tokio::time::sleep(MOMENT).await;
    }
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn server_that_closes_each_new_connection_is_left_in_peace() {
    for rule in [
        Rule::new(Stage::Ehlo, Action::reply_and_hang_up("250 test")),
        Rule::new(Stage::Mail, Action::HangUp),
        Rule::new(Stage::Mail, Action::reply_and_hang_up("421 4.4.2 closing")),
    ] {
        let server = Script::default().rule(rule).start().await.unwrap();
        let mailer = mailer_with(&clear(&server), 4, MailerSettings::default());
        let letters = (0..8).map(|_| mailer.send(mail()));
        let letters = futures::future::join_all(letters);
        let verdicts = tokio::time::timeout(Duration::from_secs(10), letters).await;
        for verdict in verdicts.unwrap() {
            assert!(!accepted(&verdict), "{verdict:?}");
        }
        assert!(matches!(mailer.state(), BreakerState::Open { .. }));
        let connections = server.seen().connections;
        assert!(
            connections <= 10,
            "{connections} connections: {:?}",
            server.seen().commands
        );
    }
}

#[tokio::test]
async fn failing_connections_beside_an_open_one_are_tried_ever_more_rarely() {
    for failure in [
        Action::HangUp,
        Action::Lose,
        Action::reply_and_hang_up("421 4.7.0 too many connections"),
    ] {
        let server = Script::default()
            .rule(Rule::new(Stage::Connect, failure).skip(1))
            .rule(Rule::new(Stage::Data, Action::ReplyLate(Duration::from_secs(4))).times(1))
            .start()
            .await
            .unwrap();
        let mailer = mailer_with(&clear(&server), 8, settings());
        // The first keeps the only connection for seconds, while the others wait for one more.
        let letters = (0..8).map(|_| mailer.send(mail()));
        let verdicts = futures::future::join_all(letters).await;
        assert!(verdicts.iter().all(accepted), "{verdicts:?}");
        let connections = server.seen().connections;
        assert!((2..=7).contains(&connections), "{connections}");
    }
}

#[tokio::test]
async fn connection_counts_until_it_has_quit() {
    let too_many = Action::reply_and_hang_up("421 4.7.0 too many connections");
    let server = Script::default()
        .rule(Rule::new(Stage::Connect, too_many).above_connections(1))
        .always(Stage::Quit, Action::ReplyLate(MOMENT))
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.letters_per_connection = 1;
    let mailer = mailer_with(&clear(&server), 1, settings);
    for _ in 0..4 {
        let verdict = mailer.send(mail()).await;
        assert!(accepted(&verdict), "{verdict:?}");
    }
    assert_eq!(server.seen().connections, 4);
}

#[tokio::test]
async fn connection_counts_until_the_deadline_of_quit() {
    let server = Script::default()
        .always(Stage::Quit, Action::Stall)
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.letters_per_connection = 1;
    settings.deadlines.quit = MOMENT;
    let mailer = mailer_with(&clear(&server), 1, settings);
    for _ in 0..4 {
        assert!(accepted(&mailer.send(mail()).await));
        let seen = server.seen();
        assert!(seen.connections - seen.closed <= 1, "{seen:?}");
    }
}

#[tokio::test]
async fn connection_closed_while_it_waits_for_the_pace_is_replaced() {
    let throttling = "454 Throttling failure: Maximum sending rate exceeded.";
    let server = Script::default()
        .rule(Rule::new(Stage::End, throttling).skip(6).times(1))
        .rule(
            Rule::new(Stage::Ehlo, Action::reply_and_hang_up("250 test"))
                .skip(1)
                .times(1),
        )
        .start()
        .await
        .unwrap();
    let mailer = mailer_with(&clear(&server), 2, settings());
    for _ in 0..6 {
        assert!(accepted(&mailer.send(mail()).await));
    }
    let verdict = mailer.send(mail()).await;
    assert_eq!(verdict.class, VerdictClass::Throttled, "{verdict:?}");
    // The second letter waits half a second on a new connection, which the server closes.
    let (first, second) = tokio::join!(mailer.send(mail()), mailer.send(mail()));
    assert!(accepted(&first) && accepted(&second), "{second:?}");
}

#[tokio::test]
async fn connection_that_fails_after_another_succeeded_stops_nothing() {
    let server = Script::default()
        .on(Stage::Connect, Action::Stall)
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.deadlines.greeting = Duration::from_millis(1500);
    settings.deadlines.idle = Duration::from_millis(20);
    settings.back_off.first = Duration::from_secs(60);
    settings.back_off.longest = Duration::from_secs(60);
    let mailer = mailer_with(&clear(&server), 2, settings);
    assert!(accepted(&mailer.send(mail()).await));
    // The connection that was never greeted is given up last, when no other is open.
    server.until(|seen| seen.closed == 2).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(mailer.state(), BreakerState::Closed);
    assert!(accepted(&mailer.send(mail()).await));
}

#[tokio::test]
async fn connections_that_fail_together_count_once() {
    // Three connections are opened for a server that closes each after a second.
    let server = Script::default()
        .always(Stage::Connect, Action::StallFor(Duration::from_secs(1)))
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.back_off.first = Duration::from_secs(10);
    settings.back_off.longest = Duration::from_secs(1000);
    let mailer = mailer_with(&clear(&server), 4, settings);
    assert!(!accepted(&mailer.send(mail()).await));
    server
        .until(|seen| seen.connections > 1 && seen.closed == seen.connections)
        .await;
    tokio::time::sleep(MOMENT).await;
    let retry_after = retry_after(&mailer);
    assert!(
        retry_after <= Duration::from_secs(12),
        "{retry_after:?} {:?}",
        server.seen()
    );
}

#[tokio::test]
async fn ungreeted_connection_hides_no_refusal() {
    let server = Script::default()
        .on(Stage::Connect, Action::Stall)
        .always(
            Stage::Connect,
            Action::reply_and_hang_up("554 5.7.1 your address is not welcome"),
        )
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.back_off.first = Duration::from_secs(10);
    settings.back_off.longest = Duration::from_secs(10);
    let mailer = mailer_with(&clear(&server), 4, settings);
    let sent = tokio::time::timeout(Duration::from_secs(10), mailer.send(mail())).await;
    assert!(!accepted(&sent.expect("the refusal ends the wait")));
    let connections = server.seen().connections;
    assert!(connections <= 6, "{connections} connections");
}

fn retry_after(mailer: &Mailer) -> Duration {
    match mailer.state() {
        BreakerState::Open { retry_after } => retry_after,
        state => panic!("the server failed: {state:?}"),
    }
}
