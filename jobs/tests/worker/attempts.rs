//! The record of attempts to send letters.

use chrono::TimeDelta;
use guestlist::{Attempt, Database, Invitation, Paging};
use guestlist_jobs::AttemptLog;
use guestlist_testkit::smtp::{Action, Script, Stage};
use tokio_util::sync::CancellationToken;

use crate::exposition::Exposition;
use crate::harness::{Harness, eventually, invite_many};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, person};

const BUSY: &str = "450 4.2.1 <bob@example.com> is busy";

/// The recorded attempts, newest first.
async fn attempts(harness: &Harness, invitation: &Invitation) -> Vec<Attempt> {
    let mut connection = harness.database().acquire().await.unwrap();
    let (guestlist, paging) = (&harness.team.guestlist, Paging::first(100));
    let page = guestlist.attempts(&mut connection, invitation.id, &paging);
    page.await.unwrap().items
}

async fn count(harness: &Harness, table: &str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    match harness.database() {
        Database::Postgres(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
        Database::Sqlite(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

async fn rename_table(harness: &Harness, from: &str, to: &str) {
    let rename = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
    match harness.database() {
        Database::Postgres(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
        Database::Sqlite(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

fn with_log(mut harness: Harness, attempt_log: AttemptLog) -> Harness {
    harness.settings.attempt_log = attempt_log;
    harness
}

on_both_stacks! {
    async fn three_tries_leave_three_attempts(harness: Harness) {
        let script = Script::default().on(Stage::Rcpt, BUSY).on(Stage::Rcpt, BUSY);
        let harness = harness.with_mail_server(script).await;
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut times = Vec::new();
        for _ in 0..3 {
            times.push(harness.team.now());
            harness.work_until_idle().await;
            harness.team.advance_clock(TimeDelta::minutes(133));
        }
        let mut attempts = attempts(&harness, &bob).await;
        attempts.reverse();
        let verdicts: Vec<_> = attempts.iter().map(|attempt| attempt.verdict.as_str()).collect();
        assert_eq!(verdicts, ["deferred", "deferred", Attempt::ACCEPTED]);
        for (number, attempt) in (1..).zip(&attempts) {
            assert_eq!((attempt.attempt, attempt.letter), (number, Some(1)));
            assert_eq!((attempt.kind.as_str(), attempt.domain.as_str()), ("send_invitation", "example.com"));
            assert!((0..60_000).contains(&attempt.duration_ms), "{attempt:?}");
            assert_eq!(attempt.message, attempts[0].message);
            assert!(!attempt.worker.is_empty() && attempt.worker == attempts[0].worker);
            let reply = attempt.detail.reply.as_ref().unwrap();
            assert!(!reply.contains("bob@"), "{reply}");
        }
        assert_eq!(attempts.iter().map(|attempt| attempt.at).collect::<Vec<_>>(), times);
        assert!(attempts[1].detail.reply.as_ref().unwrap().contains("is busy"), "{attempts:?}");
        assert!(attempts[2].detail.reply.as_ref().unwrap().contains("250"), "{attempts:?}");
    }

    async fn notice_belongs_to_its_invitation(harness: Harness) {
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.accept(&harness.team.token(&bob), &person("bob")).await.unwrap();
        harness.team.advance_clock(TimeDelta::seconds(1));
        harness.work_until_idle().await;
        let attempts = attempts(&harness, &bob).await;
        let letters: Vec<_> = attempts.iter().map(|attempt| (attempt.kind.as_str(), attempt.letter)).collect();
        assert_eq!(letters, [("send_notice", None), ("send_invitation", Some(1))]);
        harness.team.change_role(OLIVIA, "bob", "manager").await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(count(&harness, "guestlist_attempts WHERE invitation_id IS NULL").await, 1);
    }

    async fn killed_workers_try_leaves_no_attempt(harness: Harness) {
        let stalled = Script::default().on(Stage::End, Action::Stall);
        let stalling = Harness::new(harness.team.clone(), harness.queue.clone()).await.with_mail_server(stalled).await;
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let worker = stalling.start();
        stalling.smtp.until(|seen| seen.letters.len() == 1).await;
        worker.kill().await;
        assert_eq!(attempts(&harness, &bob).await, []);
        harness.team.advance_clock(TimeDelta::seconds(21));
        let queue = match harness.database() {
            Database::Sqlite(_) => guestlist_jobs::queue::Queue::memory(),
            _ => crate::harness::redis(),
        };
        let harness = Harness { queue, ..harness };
        harness.while_time_passes(harness.work_until_idle()).await;
        assert_eq!(attempts(&harness, &bob).await.len(), 1);
    }

    async fn letter_is_settled_only_with_its_attempt(harness: Harness) {
        let harness = harness.with_mail_server(Script::default().on(Stage::Rcpt, BUSY)).await;
        rename_table(&harness, "guestlist_attempts", "elsewhere").await;
        invite_many(&harness.team, 2).await;
        let worker = harness.start();
        // A settlement that failed is repeated after half a second.
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(count(&harness, "guestlist_outbox WHERE attempts = 0").await, 2);
        assert_eq!(count(&harness, "guestlist_invitations WHERE delivery = 'queued'").await, 2);
        assert_eq!(count(&harness, "elsewhere").await, 0);
        rename_table(&harness, "elsewhere", "guestlist_attempts").await;
        eventually("both are settled", async || {
            count(&harness, "guestlist_invitations WHERE delivery <> 'queued'").await == 2
        }).await;
        worker.stop().await;
        assert_eq!(harness.letters().len(), 1);
        assert_eq!(count(&harness, "guestlist_attempts WHERE verdict = 'accepted'").await, 1);
        assert_eq!(count(&harness, "guestlist_attempts WHERE verdict = 'deferred'").await, 1);
    }

    async fn letters_that_are_not_tried_leave_no_attempt(harness: Harness) {
        let down = || Action::reply_and_hang_up("421 4.3.2 going down");
        let script = (0..3).fold(Script::default(), |script, _| script.on(Stage::Data, down()));
        let harness = harness.with_mail_server(script).await;
        invite_many(&harness.team, 10).await;
        let worker = harness.worker();
        let (monitor, stop) = (worker.monitor(), CancellationToken::new());
        let worker = tokio::spawn(worker.run(stop.clone()));
        eventually("every letter is settled", async || {
            harness.team.advance_clock(TimeDelta::seconds(1));
            harness.counts().await.is_empty()
        }).await;
        let metrics = Exposition::read(&monitor.metrics().await);
        stop.cancel();
        worker.await.unwrap();
        let tried = metrics.sum("guestlist_letter_attempts_total");
        assert_eq!(count(&harness, "guestlist_attempts").await as f64, tried);
        assert_eq!(count(&harness, "guestlist_attempts WHERE verdict = 'accepted'").await, 10);
        assert!(tried > 10.0, "{tried}");
    }

    async fn only_failures_are_recorded_on_request(harness: Harness) {
        let harness = harness.with_mail_server(Script::default().on(Stage::Rcpt, BUSY)).await;
        let harness = with_log(harness, AttemptLog::Failures);
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::minutes(133));
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 1);
        let attempts = attempts(&harness, &bob).await;
        assert_eq!((attempts.len(), attempts[0].verdict.as_str()), (1, "deferred"));
    }

    async fn no_attempt_is_recorded_when_off(harness: Harness) {
        let harness = harness.with_mail_server(Script::default().on(Stage::Rcpt, BUSY)).await;
        let harness = with_log(harness, AttemptLog::Off);
        invite_many(&harness.team, 2).await;
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 1);
        assert_eq!(count(&harness, "guestlist_attempts").await, 0);
    }

    async fn attempts_beyond_their_retention_are_deleted(harness: Harness) {
        invite_many(&harness.team, 3).await;
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::days(29));
        let bob = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(count(&harness, "guestlist_attempts").await, 7, "three letters and notices, and one letter");
        harness.team.advance_clock(TimeDelta::days(2));
        let worker = harness.start();
        eventually("the old ones are gone", async || {
            count(&harness, "guestlist_attempts WHERE kind = 'send_invitation'").await == 1
        }).await;
        worker.stop().await;
        assert_eq!(attempts(&harness, &bob).await.len(), 1);
    }
}

/// Reads the transaction and the statement that inserted a row from its system columns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlement_inserts_its_attempts_in_one_statement() {
    let team = Team::on(crate::postgres::schema().await).await;
    let script = (0..20).fold(Script::default(), |script, _| script.on(Stage::Rcpt, BUSY));
    let harness = Harness::new(team, crate::harness::redis()).await;
    let harness = harness.with_mail_server(script).await;
    invite_many(&harness.team, 200).await;
    harness.work_until_idle().await;
    let settled = async |rows: &str| {
        let joined =
            format!("guestlist_attempts AS attempt JOIN {rows} AND settled.xmin = attempt.xmin");
        count(&harness, &joined).await
    };
    let invitations = "guestlist_invitations AS settled ON settled.id = invitation_id";
    assert_eq!(settled(invitations).await, 200, "sent or deferred");
    let put_back = "guestlist_outbox AS settled ON settled.id = message_id";
    assert_eq!(settled(put_back).await, 20);
    let statements =
        "(SELECT DISTINCT xmin::text, cmin::text FROM guestlist_attempts) AS statements";
    let transactions = "(SELECT DISTINCT xmin::text FROM guestlist_attempts) AS transactions";
    let transactions = count(&harness, transactions).await;
    assert_eq!(count(&harness, statements).await, transactions);
    assert!(transactions < 200, "no batch was settled at once");
}
