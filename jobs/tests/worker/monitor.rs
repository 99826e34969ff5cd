//! The worker's status and metrics, as read by a host that runs it in its own process.

use std::time::Duration;

use chrono::TimeDelta;
use guestlist::{Clock, Database};
use guestlist_jobs::Monitor;
use guestlist_jobs::monitor::Readiness;
use guestlist_jobs::queue::Queue;
use guestlist_testkit::RedisServer;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use tokio_util::sync::CancellationToken;

use crate::exposition::Exposition;
use crate::harness::{Harness, eventually, invite_many};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, user};

/// The number of scrapes, and the pause between two, until a test gives up.
const LOOKS: u32 = 2000;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running worker and its monitor.
pub(crate) struct Watched {
    pub(crate) monitor: Monitor,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<guestlist_jobs::queue::Drained>,
}

impl Watched {
    pub(crate) fn start(harness: &Harness) -> Self {
        let worker = harness.worker();
        let (monitor, stop) = (worker.monitor(), CancellationToken::new());
        let task = tokio::spawn(worker.run(stop.clone()));
        Self {
            monitor,
            stop,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Waits until exactly these checks fail; none means ready.
    async fn until_failed(&self, failed: &[&str]) -> Readiness {
        eventually(&format!("{failed:?} fail"), async || {
            names(&self.monitor.readiness().await) == failed
        })
        .await;
        self.monitor.readiness().await
    }

    /// Waits until one scrape shows all these values, and returns it. They belong to different moments:
    /// counters are read at once, the outbox up to five seconds before.
    async fn until_shown(&self, expected: &[(&str, f64)]) -> Exposition {
        let mut missing = Vec::new();
        for _ in 0..LOOKS {
            let metrics = scrape(&self.monitor).await;
            missing.clear();
            for (sample, value) in expected {
                let found = metrics.get(&format!("guestlist_{sample}"));
                if found != Some(*value) {
                    missing.push(format!("{sample} is {found:?}, not {value}"));
                }
            }
            if missing.is_empty() {
                return metrics;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("waited in vain: {missing:#?}");
    }
}

/// The names of the failed checks.
fn names(readiness: &Readiness) -> Vec<&'static str> {
    let failed = readiness.checks.iter();
    let failed = failed.filter(|check| check.problem.is_some());
    failed.map(|check| check.name).collect()
}

pub(crate) fn problem(readiness: &Readiness, name: &str) -> Option<String> {
    let check = readiness.checks.iter().find(|check| check.name == name);
    check.unwrap().problem.clone()
}

pub(crate) async fn scrape(monitor: &Monitor) -> Exposition {
    Exposition::read(&monitor.metrics().await)
}

on_both_stacks! {
    async fn worker_is_ready_only_while_it_runs(harness: Harness) {
        let worker = harness.worker();
        let (monitor, stop) = (worker.monitor(), CancellationToken::new());
        assert_eq!(names(&monitor.readiness().await), ["worker", "relay"]);
        let task = tokio::spawn(worker.run(stop.clone()));
        eventually("it is ready", async || monitor.readiness().await.is_ready()).await;
        stop.cancel();
        task.await.unwrap();
        eventually("it is not ready", async || {
            names(&monitor.readiness().await) == ["worker", "relay"]
        }).await;
    }

    async fn refused_credentials_fail_readiness_until_a_success(harness: Harness) {
        let refuses = Script::default().rule(Rule::new(Stage::Mail, "535 5.7.8 bad credentials"));
        let harness = harness.with_mail_server(refuses).await;
        let worker = Watched::start(&harness);
        worker.until_failed(&[]).await;
        invite_many(&harness.team, 1).await;
        let readiness = worker.until_failed(&["mailer"]).await;
        assert!(problem(&readiness, "mailer").unwrap().contains("535 5.7.8 bad credentials"), "{readiness:?}");
        worker.until_shown(&[
            ("letter_attempts_total{verdict=\"sender_refused\"}", 1.0),
            ("check_ok{check=\"mailer\"}", 0.0),
            ("mailer_resting", 1.0),
            ("mailer_sender_refused", 1.0),
        ]).await;
        harness.smtp.clear_rules();
        // The clock stands still, so the test has to make the letter's next attempt due.
        eventually("the letter leaves", async || {
            harness.team.advance_clock(TimeDelta::seconds(1));
            harness.letters().len() == 1
        }).await;
        worker.until_failed(&[]).await;
        let metrics = worker.until_shown(&[
            ("letter_attempts_total{verdict=\"accepted\"}", 1.0),
            ("check_ok{check=\"mailer\"}", 1.0),
            ("mailer_resting", 0.0),
            ("mailer_sender_refused", 0.0),
        ]).await;
        assert!(metrics.value("guestlist_smtp_replies_total{class=\"5xx\"}") >= 1.0);
        worker.stop().await;
    }

    async fn every_letter_is_counted_once_by_its_outcome(harness: Harness) {
        let script = Script::default()
            .on(Stage::Rcpt, "550 5.1.1 no such user")
            .on(Stage::Rcpt, "450 4.2.1 come back later");
        let harness = harness.with_mail_server(script).await;
        invite_many(&harness.team, 12).await;
        let worker = Watched::start(&harness);
        let metrics = worker.until_shown(&[
            ("letter_attempts_total{verdict=\"accepted\"}", 10.0),
            ("letter_attempts_total{verdict=\"provisional\"}", 1.0),
            ("letter_attempts_total{verdict=\"deferred\"}", 1.0),
            ("letter_attempts_total{verdict=\"unknown\"}", 0.0),
            ("smtp_replies_total{class=\"5xx\"}", 1.0),
            ("smtp_replies_total{class=\"4xx\"}", 1.0),
            ("smtp_replies_total{class=\"3xx\"}", 10.0),
            ("runs_total{kind=\"send_invitation\",outcome=\"done\"}", 10.0),
            ("runs_total{kind=\"send_invitation\",outcome=\"retried\"}", 2.0),
            ("run_duration_seconds_count{kind=\"send_invitation\"}", 12.0),
            ("dispatches_total{lane=\"letters\"}", 12.0),
            ("dispatches_total{lane=\"urgent\"}", 0.0),
            ("lease_expiries_total", 0.0),
            ("outbox_messages{kind=\"send_invitation\",state=\"ready\"}", 2.0),
            ("outbox_messages{kind=\"send_invitation\",state=\"leased\"}", 0.0),
            ("outbox_oldest_due_age_seconds{lane=\"letters\"}", 0.0),
            ("queue_running", 0.0),
        ]).await;
        assert_eq!(metrics.sum("guestlist_runs_total"), 12.0);
        assert_eq!(metrics.sum("guestlist_outbox_messages"), 2.0);
        assert_eq!(harness.letters().len(), 10);
        let connections = metrics.value("guestlist_smtp_connections_total");
        assert_eq!(connections as usize, harness.smtp.seen().connections);
        worker.stop().await;
    }

    async fn backlog_shows_its_size_and_age(harness: Harness) {
        invite_many(&harness.team, 3).await;
        harness.team.advance_clock(TimeDelta::seconds(90));
        let metrics = scrape(&harness.worker().monitor()).await;
        assert_eq!(metrics.value("guestlist_outbox_messages{kind=\"send_invitation\",state=\"ready\"}"), 3.0);
        assert_eq!(metrics.value("guestlist_outbox_messages{kind=\"send_invitation\",state=\"dead\"}"), 0.0);
        assert_eq!(metrics.value("guestlist_outbox_oldest_due_age_seconds{lane=\"letters\"}"), 90.0);
        assert_eq!(metrics.value("guestlist_outbox_oldest_due_age_seconds{lane=\"urgent\"}"), 0.0);
    }

    async fn expired_lease_is_counted_by_the_next_holder(harness: Harness) {
        let stalling = Harness::new(harness.team.clone(), harness.queue.clone()).await
            .with_mail_server(Script::default().on(Stage::Data, Action::Stall)).await;
        invite_many(&harness.team, 1).await;
        let killed = stalling.start();
        stalling.smtp.until(|seen| seen.heard("DATA") == 1).await;
        killed.kill().await;
        harness.team.advance_clock(TimeDelta::seconds(21));
        let is_sqlite = matches!(harness.team.database, Database::Sqlite(_));
        let queue = if is_sqlite { Queue::memory() } else { crate::harness::redis() };
        let harness = Harness { queue, ..harness };
        let worker = Watched::start(&harness);
        harness.while_time_passes(harness.smtp.until(|seen| seen.letters.len() == 1)).await;
        invite_more(&harness.team).await;
        harness.smtp.until(|seen| seen.letters.len() == 2).await;
        // A dispatch that is lost in Redis comes again when its own lease ends, and is counted too.
        eventually("every dispatch but that of the new letter counts an expired lease", async || {
            let metrics = scrape(&worker.monitor).await;
            let expiries = metrics.value("guestlist_lease_expiries_total");
            let dispatches = metrics.value("guestlist_dispatches_total{lane=\"letters\"}");
            expiries >= 1.0 && dispatches == expiries + 1.0
        }).await;
        worker.stop().await;
    }

    async fn purged_sessions_are_counted(harness: Harness) {
        let team = &harness.team;
        team.join("bob", "agent").await;
        for session in ["one", "two", "three"] {
            let session = session.parse().unwrap();
            let id = team.organization.id;
            team.in_transaction(async |tx| team.guestlist.record_session(tx, id, &user("bob"), &session).await)
                .await
                .unwrap();
        }
        team.remove(OLIVIA, "bob").await.unwrap();
        let worker = Watched::start(&harness);
        eventually("the purge ran", async || {
            let metrics = scrape(&worker.monitor).await;
            metrics.value("guestlist_runs_total{kind=\"purge_sessions\",outcome=\"done\"}") == 1.0
        }).await;
        assert_eq!(scrape(&worker.monitor).await.value("guestlist_sessions_purged_total"), 3.0);
        worker.stop().await;
    }

    async fn newer_message_kind_is_counted_as_other(harness: Harness) {
        invite_many(&harness.team, 1).await;
        let rename = "UPDATE guestlist_outbox SET kind = 'send_pigeon'";
        match harness.database() {
            Database::Postgres(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
            Database::Sqlite(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        let worker = Watched::start(&harness);
        worker.until_shown(&[
            ("outbox_messages{kind=\"other\",state=\"dead\"}", 1.0),
            ("runs_total{kind=\"other\",outcome=\"dead\"}", 1.0),
        ]).await;
        worker.stop().await;
    }
}

async fn invite_more(team: &Team) {
    team.invite(OLIVIA, "later@example.com", "agent")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_offset_fails_readiness() {
    let team = Team::on(crate::postgres::schema().await).await;
    let harness = Harness::new(team, crate::harness::redis()).await;
    for (seconds, failed) in [(3_600, &["clock"][..]), (-3_600, &["clock"]), (20, &[])] {
        let clock = Clock::Shifted(TimeDelta::seconds(seconds.into()));
        let team = harness.team.configured(|builder| builder.clock(clock));
        let queue = harness.queue.clone();
        let worker = Watched::start(&Harness::new(team, queue).await);
        worker.until_failed(failed).await;
        let skew = scrape(&worker.monitor)
            .await
            .value("guestlist_clock_skew_seconds");
        assert!((skew - f64::from(seconds)).abs() < 5.0, "{skew}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_file_fails_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let mut team = Team::on(crate::sqlite::file(folder.path()).await).await;
    let url = format!("sqlite:{}/guestlist.db?mode=ro", folder.path().display());
    team.database = Database::connect(&url, 5).await.unwrap();
    let monitor = Harness::new(team, Queue::memory()).await.worker().monitor();
    let readiness = monitor.readiness().await;
    let problem = problem(&readiness, "database").unwrap();
    assert!(
        problem.contains("the file or its folder cannot be written"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_redis_fails_readiness() {
    let redis = RedisServer::start().await.unwrap();
    let team = Team::on(crate::postgres::schema().await).await;
    let queue = Queue::redis(&redis.url().parse().unwrap(), "monitor");
    let worker = Watched::start(&Harness::new(team, queue).await);
    worker.until_failed(&[]).await;
    let _: String = redis.command("CONFIG SET maxmemory 1").await.unwrap();
    eventually("the queue fails", async || {
        names(&worker.monitor.readiness().await).contains(&"queue")
    })
    .await;
    let _: String = redis.command("CONFIG SET maxmemory 0").await.unwrap();
    worker.until_failed(&[]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_read_the_outbox_at_most_every_five_seconds() {
    let team = Team::on(crate::postgres::schema().await).await;
    let harness = Harness::new(team, crate::harness::redis()).await;
    let monitor = harness.worker().monitor();
    let ready = "guestlist_outbox_messages{kind=\"send_invitation\",state=\"ready\"}";
    let began = tokio::time::Instant::now();
    assert_eq!(scrape(&monitor).await.value(ready), 0.0);
    invite_many(&harness.team, 1).await;
    eventually("the message is seen", async || {
        scrape(&monitor).await.value(ready) == 1.0
    })
    .await;
    assert!(
        began.elapsed().as_secs() >= 5,
        "it was read again too early"
    );
}
