//! The end of a stop: connections and letters that try whether the server accepts again.

use std::time::Duration;

use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{BreakerState, Mailer, MailerSettings, VerdictClass};
use guestlist_testkit::smtp::{Action, Rule, Script, SmtpServer, Stage};

use crate::{accepted, clear, mail, mail_to, mailer_with};

/// Shorter than a letter waits for its turn to be the probe, and long enough for all letters of a test to
/// wait.
const BACK_OFF: Duration = Duration::from_secs(1);

fn settings() -> MailerSettings {
    let mut settings = MailerSettings::default();
    settings.back_off = BackOff::new(BACK_OFF, BACK_OFF);
    settings.pause = settings.back_off;
    settings
}

/// Sends a letter until it is accepted.
async fn deliver(mailer: &Mailer, patience: Duration) {
    let delivering = async {
        loop {
            let verdict = mailer.send(mail()).await;
            if accepted(&verdict) {
                return;
            }
            tokio::time::sleep(verdict.retry_after.max(BACK_OFF / 4)).await;
        }
    };
    let delivered = tokio::time::timeout(patience, delivering).await;
    delivered.expect("delivered in time");
}

#[tokio::test]
async fn ungreeted_probe_gives_way_to_another_connection() {
    let server = Script::default()
        .on(
            Stage::Connect,
            Action::reply_and_hang_up("554 5.7.1 not you"),
        )
        .on(Stage::Connect, Action::Stall)
        .start()
        .await
        .unwrap();
    deliver(
        &mailer_with(&clear(&server), 4, settings()),
        Duration::from_secs(60),
    )
    .await;
}

#[tokio::test]
async fn ungreeted_connections_make_room_for_new_ones() {
    for refused in [0, 1] {
        let server = Script::default()
            .rule(
                Rule::new(
                    Stage::Connect,
                    Action::reply_and_hang_up("554 5.7.1 not you"),
                )
                .times(refused),
            )
            .rule(Rule::new(Stage::Connect, Action::Stall).times(9))
            .start()
            .await
            .unwrap();
        let mut settings = settings();
        settings.deadlines.connect = Duration::from_secs(1);
        deliver(
            &mailer_with(&clear(&server), 4, settings),
            Duration::from_secs(60),
        )
        .await;
    }
}

/// Stops all letters by the same refusal of several recipients, and ends that refusal.
async fn stop(mailer: &Mailer, server: &SmtpServer) {
    server.add_rule(Rule::new(Stage::Rcpt, "451 4.3.0 Temporary local problem"));
    for number in 1..5 {
        let to = format!("p{number}@refused{number}.example");
        mailer.send(mail_to(&to)).await;
    }
    assert!(matches!(mailer.state(), BreakerState::Open { .. }));
    server.clear_rules();
    server.add_rule(Rule::new(Stage::Rcpt, "450 4.2.0 greylisted").to("@grey.example"));
    server.add_rule(Rule::new(Stage::Rcpt, "550 5.1.1 no such user").to("@gone.example"));
}

/// Sends letters at once and returns their domains in the order in which the server saw them.
async fn order(mailer: &Mailer, server: &SmtpServer, recipients: &[&str]) -> Vec<String> {
    let before = server.seen().heard("RCPT");
    let letters = recipients.iter().map(|to| mailer.send(mail_to(to)));
    futures::future::join_all(letters).await;
    let seen = server.seen();
    let heard = seen.commands.iter();
    heard
        .filter_map(|command| command.strip_prefix("RCPT TO:<"))
        .skip(before)
        .filter_map(|to| Some(to.split_once('@')?.1.trim_end_matches('>').to_owned()))
        .collect()
}

#[tokio::test]
async fn domain_that_accepted_lately_is_the_probe() {
    let server = SmtpServer::start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 1, settings());
    for to in ["a@first.example", "b@second.example", "c@third.example"] {
        assert!(accepted(&mailer.send(mail_to(to)).await));
    }
    stop(&mailer, &server).await;
    let recipients = ["d@grey.example", "e@new.example", "f@First.Example"];
    let order = order(&mailer, &server, &recipients).await;
    assert_eq!(order[0].to_lowercase(), "first.example", "{order:?}");
    assert_eq!(order.len(), 3);
    assert_eq!(mailer.state(), BreakerState::Closed);
}

#[tokio::test]
async fn probe_refused_for_its_recipient_makes_way_for_another_domain() {
    for domain in ["grey.example", "gone.example"] {
        let server = SmtpServer::start().await.unwrap();
        let mailer = mailer_with(&clear(&server), 1, settings());
        stop(&mailer, &server).await;
        let recipients = [
            &format!("a@{domain}"),
            &format!("b@{domain}"),
            "c@other.example",
        ];
        let order = order(&mailer, &server, &recipients).await;
        assert_eq!(order[..2], [domain, "other.example"]);
        assert_eq!(mailer.state(), BreakerState::Closed);
    }
}

#[tokio::test]
async fn probe_refused_for_its_recipient_is_followed_at_once() {
    let server = SmtpServer::start().await.unwrap();
    // Longer than a letter waits: after another back-off it would go back untried.
    let mut settings = settings();
    settings.back_off = BackOff::new(3 * BACK_OFF, 3 * BACK_OFF);
    settings.pause = settings.back_off;
    let mailer = mailer_with(&clear(&server), 1, settings);
    stop(&mailer, &server).await;
    while matches!(mailer.state(), BreakerState::Open { .. }) {
        tokio::time::sleep(BACK_OFF / 20).await;
    }
    for name in ["a", "b", "c"] {
        let to = format!("{name}@grey.example");
        let verdict = mailer.send(mail_to(&to)).await;
        assert_eq!(verdict.class, VerdictClass::Deferred, "{verdict:?}");
    }
}
