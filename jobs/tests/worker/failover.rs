//! Postgres fails over behind the same name while a worker sends letters.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use guestlist_jobs::Monitor;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use guestlist_testkit::{Forwarder, PostgresServer};
use sqlx::{Connection as _, PgConnection};

use crate::harness::{Harness, eventually, invite_many, redis};
use crate::monitor::{Watched, problem};
use crate::postgres;
use crate::support::Team;

/// The number of letters that are accepted before the failover.
const BEFORE: usize = 20;
const LETTERS: usize = 60;

/// A primary, its standby, and a worker that reaches the primary by a name. Some letters have been
/// sent, the next ones are being sent, and others wait.
struct Installation {
    primary: PostgresServer,
    standby: PostgresServer,
    name: Forwarder,
    harness: Harness,
    worker: Watched,
    passing: tokio::task::JoinHandle<()>,
}

impl Installation {
    async fn in_the_middle_of_work() -> Self {
        let primary = PostgresServer::start().await.unwrap();
        let standby = primary.standby().await.unwrap();
        // Every committed change is on the standby.
        execute(&primary, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        execute(&primary, "SELECT pg_reload_conf()").await;
        eventually("the standby is synchronous", async || {
            let text = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            let mut connection = connect(&primary).await;
            let count = sqlx::query_scalar(text).fetch_one(&mut connection).await;
            count.is_ok_and(|count: i64| count == 1)
        })
        .await;
        let name = Forwarder::to(primary.port()).await.unwrap();
        let url = format!("postgres://guestlist@127.0.0.1:{}/postgres", name.port());
        let team = Team::on(postgres::at(&url).await).await;
        let held = Rule::new(Stage::Data, Action::Hold).skip(BEFORE);
        let harness = Harness::new(team, redis()).await;
        let harness = harness.with_mail_server(Script::default().rule(held)).await;
        invite_many(&harness.team, LETTERS).await;
        let worker = Watched::start(&harness);
        let passing = tokio::spawn(pass_time(harness.team.clone()));
        eventually("letters are being sent", async || {
            harness.letters().len() == BEFORE && harness.smtp.seen().heard("DATA") > BEFORE
        })
        .await;
        eventually("it is ready", async || {
            worker.monitor.readiness().await.is_ready()
        })
        .await;
        Self {
            primary,
            standby,
            name,
            harness,
            worker,
            passing,
        }
    }

    /// Waits until readiness says about the database what contains `why`.
    async fn until_unready(&self, why: &str) {
        let says = async |monitor: &Monitor| {
            let readiness = monitor.readiness().await;
            problem(&readiness, "database").is_some_and(|problem| problem.contains(why))
        };
        let what = format!("the database fails: {why}");
        eventually(&what, async || says(&self.worker.monitor).await).await;
        assert_eq!(self.harness.letters().len(), BEFORE);
    }

    /// Waits until the worker is ready by itself and all letters, and later ones, have left once.
    async fn assert_recovers(self) {
        let harness = &self.harness;
        for _ in 0..2 * LETTERS {
            harness.smtp.release();
        }
        eventually("it is ready again", async || {
            self.worker.monitor.readiness().await.is_ready()
        })
        .await;
        invite_more(harness).await;
        eventually("letters leave", async || {
            harness.letters().len() > LETTERS / 2
        })
        .await;
        eventually("all letters leave", async || {
            harness.counts().await.is_empty()
        })
        .await;
        assert_eq!(harness.letters().len(), LETTERS + 1);
        for number in 0..LETTERS {
            let letters = harness.letters_to(&format!("p{number}@example.com"));
            assert_eq!(letters.len(), 1, "p{number}");
        }
        self.worker.stop().await;
        self.passing.abort();
    }
}

/// Invites once more, with connections of the pool that may be older than the failover: the pool of a
/// host may fail once for each.
async fn invite_more(harness: &Harness) {
    eventually("an invitation is accepted", async || {
        let Ok(mut transaction) = harness.database().begin().await else {
            return false;
        };
        let invite = harness.team.invitation_of("later@example.com", "agent");
        let invited = harness
            .team
            .guestlist
            .act(crate::support::member(crate::support::OLIVIA))
            .in_organization(harness.team.organization.id)
            .invite(&mut transaction, invite)
            .await;
        invited.is_ok() && transaction.commit().await.is_ok()
    })
    .await;
}

/// Moves the team's clock on as the real one goes, without an end: a letter whose dispatch could not be read is due
/// again when its lease ends.
pub(crate) async fn pass_time(team: Team) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = Instant::now();
        let passed = TimeDelta::from_std(now - last).unwrap();
        team.advance_clock(passed);
        last = now;
    }
}

async fn connect(server: &PostgresServer) -> PgConnection {
    PgConnection::connect(&server.url()).await.unwrap()
}

async fn execute(server: &PostgresServer, statement: &'static str) {
    let mut connection = connect(server).await;
    sqlx::raw_sql(statement)
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_primary_stays_read_only() {
    let installation = Installation::in_the_middle_of_work().await;
    let read_only = "ALTER SYSTEM SET default_transaction_read_only = on";
    execute(&installation.primary, read_only).await;
    execute(&installation.primary, "SELECT pg_reload_conf()").await;
    installation
        .until_unready("default_transaction_read_only is on")
        .await;
    installation.standby.promote().await.unwrap();
    installation.name.move_to(installation.standby.port());
    installation.assert_recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_is_read_only_for_a_while() {
    let mut installation = Installation::in_the_middle_of_work().await;
    installation.name.move_to(installation.standby.port());
    installation.primary.crash();
    installation.until_unready("the server is a standby").await;
    // The worker has used read-only connections for as long as a managed service keeps them.
    tokio::time::sleep(Duration::from_secs(8)).await;
    installation.standby.promote().await.unwrap();
    installation.assert_recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn primary_is_killed() {
    let mut installation = Installation::in_the_middle_of_work().await;
    installation.primary.crash();
    installation.until_unready("").await;
    installation.standby.promote().await.unwrap();
    installation.name.move_to(installation.standby.port());
    installation.assert_recovers().await;
}
