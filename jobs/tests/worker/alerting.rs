//! The metrics that alerts on mail use and the readiness, in each case that concerns all letters, and
//! in the cases that concern one recipient.

use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox;
use guestlist_jobs::AttemptLog;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use tokio::time::Instant;

use crate::exposition::Exposition;
use crate::harness::{Harness, eventually};
use crate::monitor::{Watched, scrape};
use crate::on_both_stacks;
use crate::support::OLIVIA;

const ACCEPTED: &str = "guestlist_letter_attempts_total{verdict=\"accepted\"}";
const THROTTLED: &str = "guestlist_letter_attempts_total{verdict=\"throttled\"}";
const SERVER_FAULT: &str = "guestlist_letter_attempts_total{verdict=\"server_fault\"}";
const RESTING: &str = "guestlist_mailer_resting";
const AGE: &str = "guestlist_outbox_oldest_due_age_seconds{lane=\"letters\"}";
const MAILER: &str = "guestlist_check_ok{check=\"mailer\"}";
const REFUSED: &str = "guestlist_mailer_sender_refused";
const TRIED: &str = "guestlist_recently_tried_letters";
const DEFERRED: &str = "guestlist_recently_deferred_letters";
const DOMAINS: &str = "guestlist_recently_deferred_domains";

/// Waits until samples of one scrape fulfil a condition, and returns that scrape.
async fn until(worker: &Watched, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
    let mut last = Exposition::default();
    eventually(what, async || {
        last = scrape(&worker.monitor).await;
        holds(&last)
    })
    .await;
    last
}

/// The problem and the remark of the check of the mailer.
async fn mailer(worker: &Watched) -> (Option<String>, Option<String>) {
    let readiness = worker.monitor.readiness().await;
    let mut checks = readiness.checks.into_iter();
    let check = checks.find(|check| check.name == "mailer").unwrap();
    (check.problem, check.remark)
}

/// Waits for a remark of the check of the mailer that begins so, returns it, and asserts that the check passes until then.
///
/// Readiness and metrics read the database separately, so a remark may count fewer letters than a scrape before it.
async fn remark(worker: &Watched, beginning: &str) -> String {
    let mut found = String::new();
    eventually(beginning, async || {
        let (problem, remark) = mailer(worker).await;
        assert_eq!(problem, None);
        found = remark.unwrap_or_default();
        found.starts_with(beginning)
    })
    .await;
    found
}

/// Invites so many addresses of each domain.
async fn invite(harness: &Harness, count: usize, domains: &[&str]) {
    for domain in domains {
        for number in 0..count {
            let address = format!("p{number}@{domain}");
            harness
                .team
                .invite(OLIVIA, &address, "agent")
                .await
                .unwrap();
        }
    }
}

/// Moves the clock on by little. A lease that ended by a large step, while the job that held it was still
/// running, ends again only if the clock moves.
fn pass_a_moment(harness: &Harness) {
    harness.team.advance_clock(TimeDelta::milliseconds(100));
}

/// Moves the clock on and lets letters be tried and postponed.
async fn pass(harness: &Harness, minutes: i64) {
    harness.team.advance_clock(TimeDelta::minutes(minutes));
    tokio::time::sleep(Duration::from_millis(500)).await;
}

on_both_stacks! {
    async fn server_that_never_greets_fails_readiness(harness: Harness) {
        let stalls = Script::default().rule(Rule::new(Stage::Connect, Action::Stall));
        let mut harness = harness.with_mail_server(stalls).await;
        harness.mailer.deadlines.greeting = Duration::from_secs(1);
        let worker = Watched::start(&harness);
        let began = Instant::now();
        invite(&harness, 3, &["example.com"]).await;
        // Longer than the scrape of the outbox is reused, and through several postponements.
        let old = async |seconds: f64| {
            until(&worker, "the age grows", |metrics| metrics.value(AGE) >= seconds).await
        };
        pass(&harness, 10).await;
        old(600.0).await;
        pass(&harness, 10).await;
        let metrics = old(1200.0).await;
        assert_eq!((metrics.value(ACCEPTED), metrics.value(REFUSED)), (0.0, 0.0));
        until(&worker, "the check fails", |metrics| metrics.value(MAILER) == 0.0).await;
        assert!(began.elapsed() >= Duration::from_secs(30), "a restart takes less");
        let (problem, _) = mailer(&worker).await;
        let problem = problem.unwrap();
        assert!(problem.starts_with("no letter was accepted for ") && problem.contains("greeting"), "{problem}");
        harness.smtp.clear_rules();
        eventually("the letters leave", async || {
            pass(&harness, 1).await;
            harness.letters().len() == 3
        }).await;
        let metrics = until(&worker, "nothing waits", |metrics| {
            metrics.value(AGE) == 0.0 && metrics.value(MAILER) == 1.0
        }).await;
        assert_eq!(metrics.value(ACCEPTED), 3.0);
    }

    async fn mass_deferral_shows_in_readiness(harness: Harness) {
        let full = Script::default().rule(Rule::new(Stage::Rcpt, "452 4.2.2 mailbox full"));
        let harness = harness.with_mail_server(full).await;
        let worker = Watched::start(&harness);
        invite(&harness, 6, &["a.example", "b.example", "c.example", "d.example"]).await;
        let metrics = until(&worker, "all are deferred", |metrics| metrics.value(DEFERRED) == 24.0).await;
        let samples = [TRIED, DOMAINS, AGE, MAILER, REFUSED].map(|sample| metrics.value(sample));
        assert_eq!(samples, [24.0, 4.0, 0.0, 1.0, 0.0]);
        let remark = remark(&worker, "24 of the 24 letters").await;
        assert!(remark.ends_with("452 4.2.2 mailbox full"), "{remark}");
    }

    async fn share_of_deferred_letters_needs_all_attempts(harness: Harness) {
        let mut harness = harness;
        for (attempt_log, shown) in [(AttemptLog::default(), Some(0.0)), (AttemptLog::Failures, None), (AttemptLog::Off, None)] {
            harness.settings.attempt_log = attempt_log;
            let metrics = scrape(&harness.worker().monitor()).await;
            assert_eq!([TRIED, DEFERRED, DOMAINS].map(|sample| metrics.get(sample)), [shown; 3], "{attempt_log:?}");
        }
    }

    async fn throttling_shows_in_readiness(harness: Harness) {
        let throttles = Script::default()
            .rule(Rule::new(Stage::End, "454 Throttling failure: Maximum sending rate exceeded."));
        let harness = harness.with_mail_server(throttles).await;
        let worker = Watched::start(&harness);
        invite(&harness, 3, &["example.com"]).await;
        until(&worker, "one is throttled", |metrics| metrics.value(THROTTLED) > 0.0).await;
        pass(&harness, 40).await;
        let metrics = until(&worker, "the age grows", |metrics| metrics.value(AGE) > 1800.0).await;
        assert_eq!((metrics.value(ACCEPTED), metrics.value(REFUSED)), (0.0, 0.0));
        remark(&worker, "the mail server asks to send more slowly").await;
    }

    async fn lone_doubtful_letter_opens_no_breaker(harness: Harness) {
        let fails = Script::default().rule(Rule::new(Stage::Rcpt, "451 4.3.0 temporary local problem"));
        let harness = harness.with_mail_server(fails).await;
        let worker = Watched::start(&harness);
        invite(&harness, 1, &["example.com"]).await;
        for tries in 1..4 {
            let tried = |metrics: &Exposition| {
                pass_a_moment(&harness);
                metrics.value(SERVER_FAULT) >= f64::from(tries)
            };
            let metrics = until(&worker, "it is tried", tried).await;
            assert_eq!((metrics.value(RESTING), metrics.value(MAILER)), (0.0, 1.0));
            pass(&harness, 10).await;
        }
        until(&worker, "it is late", |metrics| metrics.value(AGE) >= 1800.0).await;
    }

    async fn recipients_alone_concern_no_alert(harness: Harness) {
        let script = Script::default()
            .rule(Rule::new(Stage::Rcpt, "550 5.7.1 rejected for policy").to("p0@refused.example"))
            .rule(Rule::new(Stage::Rcpt, "452 4.2.2 mailbox full").to("p0@full.example"))
            .rule(Rule::new(Stage::Rcpt, "451 4.7.1 greylisted, try again later").to("@grey.example"));
        let harness = harness.with_mail_server(script).await;
        let worker = Watched::start(&harness);
        invite(&harness, 5, &["example.com"]).await;
        harness.smtp.until(|seen| seen.letters.len() == 5).await;
        invite(&harness, 1, &["refused.example", "full.example"]).await;
        invite(&harness, 30, &["grey.example"]).await;
        let metrics = until(&worker, "all were tried", |metrics| metrics.value(TRIED) == 37.0).await;
        assert_eq!([AGE, DOMAINS, MAILER, REFUSED].map(|sample| metrics.value(sample)), [0.0, 2.0, 1.0, 0.0]);
        assert_eq!(mailer(&worker).await, (None, None));
        // None of them becomes late, however often it is tried.
        for _ in 0..4 {
            harness.team.advance_clock(TimeDelta::minutes(30));
            eventually("all are postponed again", async || {
                pass_a_moment(&harness);
                let (now, waiting) = (harness.team.now(), harness.waiting(outbox::State::Ready).await);
                waiting.len() == 32 && waiting.iter().all(|message| message.run_at > now)
            }).await;
            // The worker's own monitor may repeat what it read before.
            let monitor = harness.worker().monitor();
            assert!(scrape(&monitor).await.value(AGE) < 300.0);
        }
        assert_eq!(mailer(&worker).await, (None, None));
    }
}
