//! The date of a letter, and its bytes when it is sent again.

use chrono::{DateTime, TimeDelta, Utc};
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::{Harness, eventually};
use crate::on_both_stacks;
use crate::support::{OLIVIA, person};

const FIVE_HOURS: TimeDelta = TimeDelta::hours(5);

/// The failure of a first try: its name, the stage, the action, and the extensions of the server.
type Failure = (&'static str, Stage, Action, &'static [&'static str]);

fn date_of(letter: &str) -> DateTime<Utc> {
    let header = letter.lines().find_map(|line| line.strip_prefix("Date: "));
    let date = DateTime::parse_from_rfc2822(header.expect("a date"));
    date.expect("of RFC 5322").to_utc()
}

/// Returns true if a letter is dated by the clock of the test, to the second.
fn is_dated_now(harness: &Harness, letter: &str) -> bool {
    date_of(letter).timestamp() == harness.team.now().timestamp()
}

/// Starts a mail server at which the first try fails.
async fn failing_once(harness: Harness, (_, stage, action, extensions): &Failure) -> Harness {
    let rule = Rule::new(*stage, action.clone()).times(1);
    let script = extensions
        .iter()
        .fold(Script::default(), |script, extension| {
            script.offers(*extension)
        });
    harness.with_mail_server(script.rule(rule)).await
}

/// Invites a person, has the first try an hour later and another five hours after that. Returns the
/// letters that came with a final dot.
async fn tried_twice(harness: &Harness) -> Vec<String> {
    let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
    harness.team.invite(OLIVIA, &email, "agent").await.unwrap();
    harness.team.advance_clock(TimeDelta::hours(1));
    harness.work_until_idle().await;
    harness.team.advance_clock(FIVE_HOURS);
    harness.work_until_idle().await;
    assert!(
        harness.counts().await.is_empty(),
        "the second try is accepted"
    );
    harness.letters_to(&email)
}

on_both_stacks! {
    async fn letter_after_an_outage_is_dated_by_its_sending(harness: Harness) {
        harness.smtp.close().await;
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(FIVE_HOURS);
        harness.smtp.open().await.unwrap();
        harness.work_until_idle().await;
        let letters = harness.letters_to("bob@example.com");
        assert_eq!(letters.len(), 1);
        assert!(is_dated_now(&harness, &letters[0]), "{}", letters[0]);
    }

    async fn letter_is_dated_anew_until_the_server_receives_it(harness: Harness) {
        let failures: [Failure; 7] = [
            ("sender", Stage::Mail, "451 4.3.0 not now".into(), &[]),
            ("recipient", Stage::Rcpt, "450 4.2.0 greylisted".into(), &[]),
            ("recipient in a group", Stage::Rcpt, "450 4.2.0 greylisted".into(), &["PIPELINING"]),
            ("refused in a group", Stage::Rcpt, "550 5.7.1 not with us".into(), &["PIPELINING"]),
            ("data", Stage::Data, "451 4.3.0 not now".into(), &[]),
            ("data in a group", Stage::Data, "451 4.3.0 not now".into(), &["PIPELINING"]),
            ("lost at data", Stage::Data, Action::HangUp, &["PIPELINING"]),
        ];
        let mut harness = harness;
        for failure in &failures {
            harness = failing_once(harness, failure).await;
            let letters = tried_twice(&harness).await;
            assert_eq!(letters.len(), 1, "{}", failure.0);
            assert!(is_dated_now(&harness, &letters[0]), "{}: {}", failure.0, letters[0]);
        }
    }

    async fn letter_that_was_sent_is_repeated_byte_for_byte(harness: Harness) {
        let failures: [Failure; 5] = [
            ("deferred", Stage::End, "451 4.3.0 not now".into(), &[]),
            ("deferred after a group", Stage::End, "451 4.3.0 not now".into(), &["PIPELINING"]),
            ("refused for now", Stage::End, "554 5.7.1 not with us".into(), &[]),
            ("no reply", Stage::End, Action::HangUp, &["PIPELINING"]),
            ("lost", Stage::End, Action::Lose, &[]),
        ];
        let mut harness = harness;
        for failure in &failures {
            harness = failing_once(harness, failure).await;
            let letters = tried_twice(&harness).await;
            assert_eq!(letters.len(), 2, "{}", failure.0);
            assert_eq!(letters[0], letters[1], "{}", failure.0);
            let first_try = harness.team.now() - FIVE_HOURS;
            assert_eq!(date_of(&letters[0]).timestamp(), first_try.timestamp(), "{}", failure.0);
        }
    }

    // Part of the letter is enough: the mail server may keep what it received.
    async fn letter_cut_off_in_its_body_keeps_its_date(harness: Harness) {
        let harness = failing_once(harness, &("", Stage::Body, Action::HangUp, &[])).await;
        let letters = tried_twice(&harness).await;
        let first_try = harness.team.now() - FIVE_HOURS;
        assert_eq!(date_of(&letters[0]).timestamp(), first_try.timestamp());
    }

    async fn copy_of_a_killed_worker_has_the_same_bytes(harness: Harness) {
        let stalls = Rule::new(Stage::End, Action::Stall).times(1);
        let harness = harness.with_mail_server(Script::default().rule(stalls)).await;
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        worker.kill().await;
        harness.team.advance_clock(FIVE_HOURS);
        // A lease that is released in between must not forget it.
        let (stalled, stopped) = (Rule::new(Stage::Connect, Action::Stall), fresh_queue(harness).await);
        stopped.smtp.add_rule(stalled);
        let worker = stopped.start();
        stopped.while_time_passes(stopped.smtp.until(|seen| seen.connections >= 2)).await;
        worker.stop().await;
        let harness = fresh_queue(stopped).await;
        harness.smtp.clear_rules();
        harness.while_time_passes(harness.work_until_idle()).await;
        let letters = harness.letters_to("bob@example.com");
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[0], letters[1]);
    }

    async fn resend_reminder_and_notice_have_dates_of_their_own(harness: Harness) {
        let harness = failing_once(harness, &("", Stage::End, "451 4.3.0 not now".into(), &[])).await;
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::minutes(2));
        let bob = harness.team.resend(OLIVIA, bob.id).await.unwrap();
        harness.team.advance_clock(TimeDelta::minutes(1));
        harness.work_until_idle().await;
        assert!(is_dated_now(&harness, harness.letters().last().unwrap()), "resent");
        harness.team.advance_clock(TimeDelta::hours(5 * 24 + 3));
        harness.work_until_idle().await;
        assert!(is_dated_now(&harness, harness.letters().last().unwrap()), "reminder");
        harness.team.accept(&harness.team.token(&bob), &person("bob")).await.unwrap();
        harness.team.advance_clock(TimeDelta::hours(3));
        harness.work_until_idle().await;
        let notices = harness.letters_to("olivia@example.com");
        assert!(is_dated_now(&harness, notices.last().unwrap()), "notice");
    }

    async fn letter_that_waits_for_the_rate_is_dated_by_its_lease(harness: Harness) {
        let mut harness = harness;
        harness.settings.rate = Some("1".parse().unwrap());
        for number in 0..3 {
            harness.team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        harness.team.advance_clock(FIVE_HOURS);
        harness.work_until_idle().await;
        let letters = harness.letters();
        assert_eq!(letters.len(), 3);
        assert!(letters.iter().all(|letter| is_dated_now(&harness, letter)), "{letters:?}");
    }
}

/// The same harness with an empty queue, as after a kill.
async fn fresh_queue(harness: Harness) -> Harness {
    let queue = match harness.database() {
        guestlist::Database::Sqlite(_) => guestlist_jobs::queue::Queue::memory(),
        _ => crate::harness::redis(),
    };
    eventually("the connections of the worker are closed", async || {
        let seen = harness.smtp.seen();
        seen.closed == seen.connections
    })
    .await;
    Harness { queue, ..harness }
}
