//! A removed member's sessions end in every store, and nobody else's do.

use std::sync::Arc;

use futures::FutureExt;
use guestlist::{Database, SessionKey};
use guestlist_jobs::sessions::{RedisSessions, SessionStore, SqlSessions, StoreError};
use redis::AsyncCommands;

use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, user};
use crate::workbench::{Workbench, eventually, redis_url};

fn key(text: &str) -> SessionKey {
    text.parse().unwrap()
}

async fn record(team: &Team, who: &str, session: &str) {
    let id = team.organization.id;
    team.in_transaction(async |tx| {
        team.library
            .record_session(tx, id, &user(who), &key(session))
            .await
    })
    .await
    .unwrap();
}

/// Says no as often as it is told to, like a store that is down for a while.
struct Moody(std::sync::atomic::AtomicI32, SqlSessions);

impl SessionStore for Moody {
    fn name(&self) -> &str {
        "the moody store"
    }

    fn delete<'a>(
        &'a self,
        sessions: &'a [SessionKey],
    ) -> futures::future::BoxFuture<'a, Result<(), StoreError>> {
        if self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return async { Err(StoreError("it is down".into())) }.boxed();
        }
        self.1.delete(sessions)
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
    }
}

async fn host_sessions(database: &Database) -> Vec<String> {
    let select = "SELECT id FROM host_sessions ORDER BY id";
    let rows: Vec<(String,)> = match database {
        Database::Postgres(pool) => sqlx::query_as(select).fetch_all(pool).await.unwrap(),
        Database::Sqlite(pool) => sqlx::query_as(select).fetch_all(pool).await.unwrap(),
    };
    rows.into_iter().map(|(id,)| id).collect()
}

on_both_stacks! {
    async fn redis_keys_of_the_removed_member_are_gone_and_no_others(bench: Workbench) {
        let salt = uuid::Uuid::now_v7().simple().to_string();
        let pattern = format!("sess:{salt}:{{session}}");
        let store = RedisSessions::new(&redis_url(), pattern.parse().unwrap()).unwrap();
        let bench = Workbench { sessions: vec![Arc::new(store)], ..bench };
        let client = redis::Client::open(redis_url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let other = Team::on(bench.team.database.clone()).await;
        bench.team.join("bob", "agent").await;
        other.join("bob", "agent").await;
        for session in ["bob-1", "bob-2", "shared", "other", "olivia"] {
            let _: () = redis.set(format!("sess:{salt}:{session}"), "data").await.unwrap();
        }
        for session in ["bob-1", "bob-2", "shared"] {
            record(&bench.team, "bob", session).await;
        }
        record(&other, "bob", "shared").await;
        record(&other, "bob", "other").await;
        record(&bench.team, OLIVIA, "olivia").await;
        let worker = bench.start();
        bench.team.remove(OLIVIA, "bob").await.unwrap();
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

    async fn rows_of_the_hosts_table_are_deleted_and_a_store_that_is_down_is_tried_again(bench: Workbench) {
        host_table(bench.database(), &["a", "b", "c"]).await;
        let table = host_sessions_in(bench.database());
        let bench = Workbench { sessions: vec![Arc::new(Moody(2.into(), table))], ..bench };
        bench.team.join("bob", "agent").await;
        record(&bench.team, "bob", "a").await;
        record(&bench.team, "bob", "b").await;
        bench.team.remove(OLIVIA, "bob").await.unwrap();
        let worker = bench.start();
        eventually("the purge", async || {
            bench.team.pass(chrono::TimeDelta::seconds(1));
            host_sessions(bench.database()).await == ["c"]
        }).await;
        eventually("the message is settled", async || bench.counts().await.is_empty()).await;
        worker.stop().await;
    }

    async fn more_sessions_than_one_round_holds_are_all_deleted(bench: Workbench) {
        host_table(bench.database(), &[]).await;
        let table = host_sessions_in(bench.database());
        let bench = Workbench { sessions: vec![Arc::new(table)], ..bench };
        bench.team.join("bob", "agent").await;
        let id = bench.team.organization.id;
        let mut tx = bench.team.begin().await;
        for number in 0..1200 {
            bench.team.library.record_session(&mut tx, id, &user("bob"), &key(&format!("s{number}"))).await.unwrap();
        }
        tx.commit().await.unwrap();
        bench.team.remove(OLIVIA, "bob").await.unwrap();
        bench.work_until_idle().await;
        let mut connection = bench.database().acquire().await.unwrap();
        let left = guestlist::worker::ended_sessions(&mut connection, id, None, 10).await.unwrap();
        assert!(left.is_empty());
    }
}
