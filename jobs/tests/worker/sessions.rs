//! A removed member's sessions end in every store, and all others stay.

use std::sync::Arc;

use futures::FutureExt;
use guestlist::{Database, SessionKey};
use guestlist_jobs::sessions::{
    self, PurgeError, RedisSessions, SessionStore, SqlSessions, StoreError,
};
use redis::AsyncCommands;

use crate::harness::{Harness, eventually, redis_url};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, user};

fn key(text: &str) -> SessionKey {
    text.parse().unwrap()
}

async fn record(team: &Team, who: &str, session: &str) {
    let id = team.organization.id;
    team.in_transaction(async |tx| {
        team.guestlist
            .record_session(tx, id, &user(who), &key(session))
            .await
    })
    .await
    .unwrap();
}

/// A store that fails as often as told, as if it were down for a while.
struct FailingStore(std::sync::atomic::AtomicI32, SqlSessions);

impl SessionStore for FailingStore {
    fn name(&self) -> &str {
        "the failing store"
    }

    fn delete<'a>(
        &'a self,
        sessions: &'a [SessionKey],
    ) -> futures::future::BoxFuture<'a, Result<(), StoreError>> {
        if self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return async { Err(StoreError::new("it is down")) }.boxed();
        }
        self.1.delete(sessions)
    }
}

/// Records `count` sessions of Bob and inserts each into the host's table.
async fn many_sessions(harness: &Harness, count: usize) {
    let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    host_table(harness.database(), &names).await;
    harness.team.join("bob", "agent").await;
    let id = harness.team.organization.id;
    let mut tx = harness.team.begin().await;
    for name in names {
        harness
            .team
            .guestlist
            .record_session(&mut tx, id, &user("bob"), &key(name))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

async fn rows(database: &Database, table: &str) -> i64 {
    let select = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    match database {
        Database::Postgres(pool) => sqlx::query_scalar(select).fetch_one(pool).await.unwrap(),
        Database::Sqlite(pool) => sqlx::query_scalar(select).fetch_one(pool).await.unwrap(),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

async fn execute(database: &Database, statements: &'static str) {
    match database {
        Database::Postgres(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
        Database::Sqlite(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

fn host_sessions_in(database: &Database) -> SqlSessions {
    SqlSessions::new(database.clone(), &"host_sessions.id".parse().unwrap())
}

async fn host_table(database: &Database, sessions: &[&str]) {
    let create = "CREATE TABLE host_sessions (id text PRIMARY KEY)";
    let insert = "INSERT INTO host_sessions VALUES ($1)";
    match database {
        Database::Postgres(pool) => {
            sqlx::query(create).execute(pool).await.unwrap();
            for session in sessions {
                sqlx::query(insert)
                    .bind(*session)
                    .execute(pool)
                    .await
                    .unwrap();
            }
        }
        Database::Sqlite(pool) => {
            sqlx::query(create).execute(pool).await.unwrap();
            for session in sessions {
                sqlx::query(insert)
                    .bind(*session)
                    .execute(pool)
                    .await
                    .unwrap();
            }
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

async fn host_sessions(database: &Database) -> Vec<String> {
    let select = "SELECT id FROM host_sessions ORDER BY id";
    let rows: Vec<(String,)> = match database {
        Database::Postgres(pool) => sqlx::query_as(select).fetch_all(pool).await.unwrap(),
        Database::Sqlite(pool) => sqlx::query_as(select).fetch_all(pool).await.unwrap(),
        _ => unreachable!("neither Postgres nor SQLite"),
    };
    rows.into_iter().map(|(id,)| id).collect()
}

on_both_stacks! {
    async fn only_the_removed_members_redis_keys_are_deleted(harness: Harness) {
        let salt = uuid::Uuid::now_v7().simple().to_string();
        let pattern = format!("sess:{salt}:{{session}}");
        let store = RedisSessions::new(&redis_url().parse().unwrap(), pattern.parse().unwrap());
        let harness = Harness { sessions: vec![Arc::new(store)], ..harness };
        let client = redis::Client::open(redis_url()).unwrap();
        // The client's own limit of half a second is short for a busy machine.
        let unlimited = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut redis = client.get_multiplexed_async_connection_with_config(&unlimited).await.unwrap();
        let other = Team::on(harness.team.database.clone()).await;
        harness.team.join("bob", "agent").await;
        other.join("bob", "agent").await;
        for session in ["bob-1", "bob-2", "shared", "other", "olivia"] {
            let _: () = redis.set(format!("sess:{salt}:{session}"), "data").await.unwrap();
        }
        for session in ["bob-1", "bob-2", "shared"] {
            record(&harness.team, "bob", session).await;
        }
        record(&other, "bob", "shared").await;
        record(&other, "bob", "other").await;
        record(&harness.team, OLIVIA, "olivia").await;
        let worker = harness.start();
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        eventually("the purge", async || {
            let left: Vec<String> = redis.keys(format!("sess:{salt}:*")).await.unwrap();
            left.len() == 3
        }).await;
        worker.stop().await;
        let mut left: Vec<String> = redis.keys(format!("sess:{salt}:*")).await.unwrap();
        left.sort();
        assert_eq!(left, ["olivia", "other", "shared"].map(|session| format!("sess:{salt}:{session}")));
        let _: () = redis.del(left).await.unwrap();
    }

    async fn host_rows_are_deleted_and_a_failing_store_is_retried(harness: Harness) {
        host_table(harness.database(), &["a", "b", "c"]).await;
        let table = host_sessions_in(harness.database());
        let harness = Harness { sessions: vec![Arc::new(FailingStore(2.into(), table))], ..harness };
        harness.team.join("bob", "agent").await;
        record(&harness.team, "bob", "a").await;
        record(&harness.team, "bob", "b").await;
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        let worker = harness.start();
        eventually("the purge", async || {
            harness.team.advance_clock(chrono::TimeDelta::seconds(1));
            host_sessions(harness.database()).await == ["c"]
        }).await;
        eventually("the message is settled", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
    }

    async fn sessions_beyond_one_batch_are_all_deleted(harness: Harness) {
        host_table(harness.database(), &[]).await;
        let table = host_sessions_in(harness.database());
        let harness = Harness { sessions: vec![Arc::new(table)], ..harness };
        harness.team.join("bob", "agent").await;
        let id = harness.team.organization.id;
        let mut tx = harness.team.begin().await;
        for number in 0..1200 {
            harness.team.guestlist.record_session(&mut tx, id, &user("bob"), &key(&format!("s{number}"))).await.unwrap();
        }
        tx.commit().await.unwrap();
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        harness.work_until_idle().await;
        let mut connection = harness.database().acquire().await.unwrap();
        let left = guestlist::worker::ended_sessions(&mut connection, id, None, 10).await.unwrap();
        assert!(left.is_empty());
    }

    async fn purge_awaited_by_the_host_leaves_nothing_to_the_worker(harness: Harness) {
        many_sessions(&harness, 1200).await;
        let id = harness.team.organization.id;
        let stores: Vec<Arc<dyn SessionStore>> = vec![Arc::new(host_sessions_in(harness.database()))];
        let harness = Harness { sessions: stores.clone(), ..harness };
        let purge = || sessions::purge(harness.database(), &stores, id, None);
        assert_eq!(purge().await.unwrap(), 0, "nothing has ended yet");
        assert_eq!(host_sessions(harness.database()).await.len(), 1200);

        harness.team.remove(OLIVIA, "bob").await.unwrap();
        let bob = user("bob");
        assert_eq!(sessions::purge(harness.database(), &stores, id, Some(&user("eve"))).await.unwrap(), 0);
        assert_eq!(sessions::purge(harness.database(), &stores, id, Some(&bob)).await.unwrap(), 1200);
        assert!(host_sessions(harness.database()).await.is_empty());
        assert_eq!(purge().await.unwrap(), 0);

        let worker = harness.worker();
        let monitor = worker.monitor();
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        assert_eq!(harness.counts().await, []);
        let metrics = monitor.metrics().await;
        assert!(metrics.contains("guestlist_sessions_purged_total 0\n"), "{metrics}");
    }

    async fn host_and_worker_can_purge_the_same_sessions(harness: Harness) {
        many_sessions(&harness, 3000).await;
        let stores: Vec<Arc<dyn SessionStore>> = vec![Arc::new(host_sessions_in(harness.database()))];
        let harness = Harness { sessions: stores.clone(), ..harness };
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        let (bob, id) = (user("bob"), harness.team.organization.id);
        let purge = || sessions::purge(harness.database(), &stores, id, Some(&bob));
        let (one, other, ()) = tokio::join!(purge(), purge(), harness.work_until_idle());
        assert!(one.unwrap() + other.unwrap() <= 3000, "each session is counted once");
        assert!(host_sessions(harness.database()).await.is_empty());
        assert_eq!(harness.counts().await, []);
    }

    async fn purge_that_fails_in_the_host_is_left_to_the_worker(harness: Harness) {
        host_table(harness.database(), &["a", "c"]).await;
        let failing = FailingStore(1.into(), host_sessions_in(harness.database()));
        let stores: Vec<Arc<dyn SessionStore>> = vec![Arc::new(failing)];
        let harness = Harness { sessions: stores.clone(), ..harness };
        harness.team.join("bob", "agent").await;
        record(&harness.team, "bob", "a").await;
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        let id = harness.team.organization.id;
        let failed = sessions::purge(harness.database(), &stores, id, None).await.unwrap_err();
        assert!(matches!(failed, PurgeError::Store { .. }));
        assert_eq!(failed.to_string(), "the failing store did not delete sessions: it is down");
        harness.work_until_idle().await;
        assert_eq!(host_sessions(harness.database()).await, ["c"]);
    }

    async fn session_keys_match_every_column_type(harness: Harness) {
        let database = harness.database();
        let (uuid, bytes) = match database {
            Database::Postgres(_) => ("'0198f3c0-1111-7000-8000-000000000001'::uuid", "convert_to('k1', 'UTF8')"),
            Database::Sqlite(_) => ("x'0198f3c0111170008000000000000001'", "x'6b31'"),
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        let uuid_type = if matches!(database, Database::Postgres(_)) { "uuid" } else { "blob" };
        let byte_type = if matches!(database, Database::Postgres(_)) { "bytea" } else { "blob" };
        let statements = format!(
            "CREATE TABLE by_number (id bigint PRIMARY KEY, other text NOT NULL DEFAULT 'x');
             INSERT INTO by_number (id) VALUES (17), (18);
             CREATE TABLE by_varchar (key varchar(40) PRIMARY KEY);
             INSERT INTO by_varchar VALUES ('17'), ('k1'), ('it''s'), ('18');
             CREATE TABLE by_uuid (id {uuid_type} PRIMARY KEY);
             INSERT INTO by_uuid VALUES ({uuid});
             CREATE TABLE by_bytes (id {byte_type} PRIMARY KEY);
             INSERT INTO by_bytes VALUES ({bytes});"
        );
        execute(database, Box::leak(statements.into_boxed_str())).await;
        let uuid = "0198f3c0-1111-7000-8000-000000000001";
        let few = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
        for (column, keys, left) in [
            ("by_number.id", few(&["17", "19"]), 1),
            ("by_varchar.key", few(&["17", "k1", "it's"]), 1),
            ("by_uuid.id", few(&[uuid]), 0),
            ("by_bytes.id", few(&["k1", "k2"]), 0),
        ] {
            // A key that the column cannot hold cannot exist there, which counts as success.
            let store = SqlSessions::new(database.clone(), &column.parse().unwrap());
            store.delete(&few(&["no number", "17.5"])).await.unwrap();
            let all = store.delete(&keys);
            all.await.unwrap();
            let table = column.split('.').next().unwrap();
            assert_eq!(rows(database, table).await, left, "{column}");
        }
        execute(database, "INSERT INTO by_number (id) VALUES (17)").await;
        let store = SqlSessions::new(database.clone(), &"by_number.id".parse().unwrap());
        store.delete(&few(&["no number", "17"])).await.unwrap();
        assert_eq!(rows(database, "by_number").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domains_and_dashes_stop_no_purge() {
    let database = crate::postgres::schema().await;
    let setup = "CREATE DOMAIN filled AS text NOT NULL CHECK (value <> '');
         CREATE DOMAIN session_id AS uuid NOT NULL CHECK (value::text LIKE '0%');
         CREATE DOMAIN own_id AS session_id;
         CREATE TABLE \"user-sessions\" (\"session-id\" own_id PRIMARY KEY, agent filled DEFAULT 'x');
         INSERT INTO \"user-sessions\" VALUES ('0198f3c0-1111-7000-8000-000000000001'),
             ('0198f3c0-1111-7000-8000-000000000002');
         CREATE TABLE padded (id char(3) PRIMARY KEY, agent filled DEFAULT 'x');
         INSERT INTO padded VALUES ('k1'), ('k2')";
    execute(&database, setup).await;
    let uuid = "0198f3c0-1111-7000-8000-000000000001";
    for (column, keys, left) in [
        // The second key breaks a check, so no row has it.
        (
            "user-sessions.session-id",
            [uuid, "9198f3c0-1111-7000-8000-000000000001"],
            1,
        ),
        ("padded.id", ["k1", "longer than any"], 1),
    ] {
        let store = SqlSessions::new(database.clone(), &column.parse().unwrap());
        store.delete(&keys.map(key)).await.unwrap();
        let table = column.split('.').next().unwrap();
        assert_eq!(
            rows(&database, &format!("\"{table}\"")).await,
            left,
            "{column}"
        );
    }
}
