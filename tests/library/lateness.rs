//! The age of the oldest message, which counts from its promise and not from its last postponement.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::outbox::{self, Cost, FairCursor, Priority};
use guestlist::{MessageId, Ticket};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

const LEASE: Duration = Duration::from_secs(20);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

async fn lease(team: &Team) -> Ticket {
    let mut cursor = FairCursor::of(Priority::LETTER);
    let leases = team
        .in_transaction(async |tx| outbox::lease(tx, &mut cursor, team.now(), LEASE, 1).await)
        .await;
    leases.expect("leased")[0].ticket
}

/// Leases the message and postpones it for an hour, and returns its id.
async fn postpone(team: &Team, cost: Cost) -> MessageId {
    let ticket = lease(team).await;
    let postpone = async |tx: &mut guestlist::Transaction| {
        outbox::postpone(tx, ticket, team.now(), AN_HOUR, cost, "later", None).await
    };
    team.in_transaction(postpone).await.expect("postponed");
    ticket.message
}

async fn oldest_due(team: &Team) -> Option<DateTime<Utc>> {
    let mut tx = team.begin().await;
    let oldest = outbox::oldest_due(&mut tx, team.now(), Priority::LETTER).await;
    oldest.expect("read")
}

on_both_databases! {
    async fn age_grows_through_postponements_of_ours(team: Team) {
        let promised = team.now();
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        for cost in [Cost::Nothing, Cost::Fault, Cost::Nothing] {
            postpone(&team, cost).await;
            assert_eq!(oldest_due(&team).await, Some(promised), "{cost:?}");
            team.advance_clock(TimeDelta::hours(1));
        }
        lease(&team).await;
        assert_eq!(oldest_due(&team).await, Some(promised), "a leased message counts");
    }

    async fn delay_of_the_recipients_server_is_not_late(team: Team) {
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        for cost in [Cost::Attempt, Cost::Refusal] {
            postpone(&team, Cost::Nothing).await;
            team.advance_clock(TimeDelta::hours(1));
            postpone(&team, cost).await;
            assert_eq!(oldest_due(&team).await, None, "{cost:?}");
            team.advance_clock(TimeDelta::hours(1));
            assert_eq!(oldest_due(&team).await, Some(team.now()), "due again after {cost:?}");
        }
        let due = team.now();
        postpone(&team, Cost::Nothing).await;
        assert_eq!(oldest_due(&team).await, Some(due), "from the end of that delay");
    }

    async fn retried_dead_message_is_due_anew(team: Team) {
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let promised = team.now();
        let id = postpone(&team, Cost::Fault).await;
        team.in_transaction(async |tx| outbox::retry(tx, team.now(), id).await).await.unwrap();
        assert_eq!(oldest_due(&team).await, Some(promised), "it waited already");
        for retry_all in [false, true] {
            team.advance_clock(TimeDelta::hours(1));
            let ticket = lease(&team).await;
            team.in_transaction(async |tx| outbox::give_up(tx, ticket, team.now(), "no", None).await).await.unwrap();
            assert_eq!(oldest_due(&team).await, None, "a dead message is not late");
            team.in_transaction(async |tx| match retry_all {
                true => outbox::retry_dead(tx, team.now()).await.map(|count| count == 1),
                false => outbox::retry(tx, team.now(), id).await,
            }).await.unwrap();
            assert_eq!(oldest_due(&team).await, Some(team.now()));
        }
    }
}

/// A connection of its own, so that only this read prepares statements on it.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oldest_due_reads_two_entries_of_indexes() {
    let team = Team::on(crate::postgres::schema().await).await;
    #[allow(irrefutable_let_patterns)]
    let guestlist::Database::Postgres(pool) = &team.database else {
        unreachable!("a schema of Postgres")
    };
    let mut connection = pool.acquire().await.unwrap();
    let fill = "INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at, late_since)
         SELECT gen_random_uuid(), 'send_notice', '{}', gen_random_uuid(), 1, now(), now(), now()
         FROM generate_series(1, 20000)";
    for statement in [fill, "ANALYZE guestlist_outbox"] {
        sqlx::raw_sql(statement)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    crate::statements::forget(&mut connection).await;
    outbox::oldest_due(&mut *connection, team.now(), Priority::LETTER)
        .await
        .unwrap();
    let prepared = sqlx::query_scalar("SELECT name FROM pg_prepared_statements").persistent(false);
    let prepared: String = prepared.fetch_one(&mut *connection).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE {prepared} (now(), 1, now())");
    let explain = sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).persistent(false);
    let plan: Vec<String> = explain.fetch_all(&mut *connection).await.unwrap();
    let plan = plan.join("\n");
    for index in ["guestlist_outbox_ready", "guestlist_outbox_late"] {
        assert!(plan.contains(index), "{plan}");
    }
    assert!(
        !plan.contains("Seq Scan") && !plan.contains("Sort"),
        "{plan}"
    );
}
