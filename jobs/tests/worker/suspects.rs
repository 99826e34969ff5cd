//! Letters that end their worker are given up, and letters beside them are sent. A stop gives back what
//! was not sent.

use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox::State;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::{Harness, eventually, invite_many};
use crate::on_both_stacks;

/// Longer than a lease.
const LAPSE: TimeDelta = TimeDelta::seconds(21);

fn stalling_at_rcpt(mark: &str) -> Rule {
    Rule::new(Stage::Rcpt, Action::Stall).to(mark)
}

/// The addresses whose final dot arrived, sorted.
fn received(harness: &Harness) -> Vec<String> {
    let seen = harness.smtp.seen();
    let mut to: Vec<_> = seen
        .letters
        .iter()
        .map(|letter| letter.to.clone())
        .collect();
    to.sort();
    to
}

on_both_stacks! {
    async fn letter_that_ends_its_worker_is_given_up(harness: Harness) {
        // Twice, four letters are in flight when the worker ends; then only the first letter ends it.
        let harness = harness.with_mail_server(Script::default().rule(stalling_at_rcpt("@example.com"))).await;
        invite_many(&harness.team, 4).await;
        for _ in 0..2 {
            let before = harness.smtp.seen().heard("RCPT");
            let worker = harness.start();
            eventually("four letters are in flight", async || {
                // A statement of the killed worker may still have renewed a lease by the later clock.
                harness.team.advance_clock(TimeDelta::milliseconds(20));
                harness.smtp.seen().heard("RCPT") >= before + 4
            })
            .await;
            worker.kill().await;
            harness.team.advance_clock(LAPSE);
        }
        harness.smtp.clear_rules();
        harness.smtp.add_rule(stalling_at_rcpt("p0@"));
        let mut kills = 2;
        while harness.waiting(State::Dead).await.is_empty() {
            let heard = || harness.smtp.seen().heard("RCPT TO:<p0@");
            let before = heard();
            let worker = harness.start();
            eventually("the letter is tried or given up", async || {
                // Letters that wait to run alone are due again a second later.
                harness.team.advance_clock(TimeDelta::milliseconds(20));
                heard() > before || !harness.waiting(State::Dead).await.is_empty()
            })
            .await;
            kills += usize::from(heard() > before);
            worker.kill().await;
            harness.team.advance_clock(LAPSE);
        }
        assert_eq!(kills, 5);
        let worker = harness.start();
        eventually("the others are sent", async || {
            harness.team.advance_clock(TimeDelta::milliseconds(20));
            harness.counts().await.iter().all(|count| count.state == State::Dead)
        })
        .await;
        worker.stop().await;
        assert_eq!(received(&harness), ["p1@example.com", "p2@example.com", "p3@example.com"]);
        let dead = harness.waiting(State::Dead).await;
        assert_eq!(dead.len(), 1);
        let why = dead[0].last_error.as_ref().unwrap();
        assert!(why.starts_with("5 workers in a row ended"), "{why}");
        harness.smtp.clear_rules();
        let mut connection = harness.database().acquire().await.unwrap();
        let retried = guestlist::outbox::retry(&mut connection, harness.team.now(), dead[0].id).await;
        assert!(retried.unwrap());
        drop(connection);
        harness.work_until_idle().await;
        assert_eq!(received(&harness)[0], "p0@example.com");
    }

    async fn kills_of_an_idle_or_lucky_worker_condemn_no_letter(harness: Harness) {
        // Nine kills, each beside a letter that was not tried: its dispatch or its turn was lost.
        invite_many(&harness.team, 1).await;
        for _ in 0..9 {
            let mut connection = harness.database().acquire().await.unwrap();
            let mut cursor = guestlist::outbox::FairCursor::of(guestlist::outbox::Priority::LETTER);
            let lease = Duration::from_secs(20);
            let leases = guestlist::outbox::lease(&mut connection, &mut cursor, harness.team.now(), lease, 9).await;
            assert_eq!(leases.unwrap().len(), 1);
            harness.team.advance_clock(LAPSE);
        }
        harness.work_until_idle().await;
        assert_eq!(received(&harness), ["p0@example.com"]);
    }

    async fn stop_gives_back_letters_without_a_final_dot(harness: Harness) {
        let script = Script::default()
            .rule(stalling_at_rcpt("p0@"))
            .rule(Rule::new(Stage::Data, Action::Stall).to("p1@"))
            .rule(Rule::new(Stage::End, Action::Stall).to("p2@"));
        let mut harness = harness.with_mail_server(script).await;
        harness.settings.drain = Duration::from_millis(300);
        invite_many(&harness.team, 3).await;
        let worker = harness.start();
        harness
            .smtp
            .until(|seen| seen.heard("RCPT") == 3 && seen.letters.len() == 1)
            .await;
        assert_eq!(worker.stop().await.abandoned, 3);
        let ready = harness.waiting(State::Ready).await;
        assert_eq!(ready.len(), 2, "{ready:?}");
        for message in ready {
            assert_eq!((message.attempts, message.faults), (0, 0), "it cost nothing");
        }
        assert_eq!(harness.waiting(State::Leased).await.len(), 1);
        // Another worker sends them while the third lease still holds.
        harness.smtp.clear_rules();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.letters.len() == 3).await;
        assert_eq!(received(&harness), ["p0@example.com", "p1@example.com", "p2@example.com"]);
        eventually("both are recorded", async || harness.counts().await.iter().map(|count| count.count).sum::<i64>() == 1).await;
        harness.team.advance_clock(LAPSE);
        eventually("the third is sent again", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        let third = harness.letters_to("p2@example.com");
        assert_eq!(third.len(), 2);
        assert_eq!(third[0], third[1]);
    }

    async fn stops_condemn_no_letter(harness: Harness) {
        let silent = Script::default().rule(Rule::new(Stage::End, Action::Stall));
        let mut harness = harness.with_mail_server(silent).await;
        harness.settings.drain = Duration::from_millis(100);
        invite_many(&harness.team, 1).await;
        for stops in 1..=7 {
            let worker = harness.start();
            harness.smtp.until(|seen| seen.letters.len() == stops).await;
            worker.stop().await;
            harness.team.advance_clock(LAPSE);
        }
        harness.smtp.clear_rules();
        harness.work_until_idle().await;
        assert!(harness.counts().await.is_empty());
    }
}
