//! Data stored by an older version remains valid after the migration.

#![allow(
    irrefutable_let_patterns,
    reason = "with one database alone there is nothing else a `Database` could be"
)]

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use guestlist::outbox::{self, State};
use guestlist::{Database, Error, Guestlist, InvitationId, Key, KeyRing};
use sqlx::migrate::Migrator;
use uuid::Uuid;

const NOW: &str = "2026-01-01T00:00:00+00:00";

const NONCES: [u128; 3] = [1, 2, 3];

/// The first migration alone, recorded as `guestlist::migrate` records it.
fn first(all: Migrator) -> Migrator {
    Migrator {
        migrations: Cow::Owned(all.migrations[..1].to_vec()),
        table_name: Cow::Borrowed("guestlist_migrations"),
        ..all
    }
}

/// An invitation whose link was replaced twice, and messages that are new, leased and tried, as stored
/// by the first version, in SQL for both databases.
fn rows(id: Uuid, literal: impl Fn(&[u8]) -> String, now: &str) -> Vec<String> {
    let [first, second, current] = NONCES.map(u128::to_be_bytes);
    let (id, replaced) = (literal(id.as_bytes()), [first, second].concat());
    let (current, replaced) = (literal(&current), literal(&replaced));
    let leased = format!("'{now}'");
    let messages = [("0", "NULL"), ("0", &leased), ("1", "NULL")].map(|(attempts, leased_until)| {
        let message = literal(Uuid::now_v7().as_bytes());
        format!(
            "INSERT INTO guestlist_outbox
                 (id, kind, ids, organization_id, priority, run_at, created_at, attempts, leased_until)
             VALUES ({message}, 'send_notice', '{{}}', {id}, 1, '{now}', '{now}', {attempts}, {leased_until})"
        )
    });
    let mut rows = vec![
        format!(
            "INSERT INTO guestlist_organizations (id, name, created_at, updated_at)
             VALUES ({id}, 'Acme', '{now}', '{now}')"
        ),
        format!(
            "INSERT INTO guestlist_invitations
                 (id, organization_id, email, email_key, role, locale, status, delivery, nonce, replaced_nonces,
                  granted_by, letters, last_letter_at, created_at, expires_at)
             VALUES ({id}, {id}, 'bob@example.com', 'bob@example.com', 'agent', 'en', 'pending', 'sent', {current},
                     {replaced}, 'olivia', 3, '{now}', '{now}', '9000-01-01T00:00:00+00:00')"
        ),
    ];
    rows.extend(messages);
    rows
}

/// Requires that a letter that an earlier release may have sent keeps its date.
async fn dates_keep_what_they_were(database: &Database) {
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let mut tx = database.begin().await.unwrap();
    let messages = outbox::list(&mut tx, now, State::Ready, None, 10)
        .await
        .unwrap();
    let dates: Vec<_> = messages.iter().map(|message| message.letter_date).collect();
    assert_eq!(dates, [None, Some(now), Some(now)]);
}

/// Migrates twice at the same time: each migration is counted once, by the caller that applied it.
async fn migrates(database: &Database, left: usize) {
    let (one, other) = tokio::join!(guestlist::migrate(database), guestlist::migrate(database));
    assert_eq!(one.unwrap() + other.unwrap(), left);
}

async fn links_keep_what_they_were(database: &Database, id: Uuid) {
    let guestlist = Guestlist::builder()
        .key_ring(KeyRing::of(Key::generate()))
        .build();
    let id = InvitationId::from(id);
    let mut tx = database.begin().await.unwrap();
    let invitation = guestlist.invitation(&mut tx, id).await.unwrap().unwrap();
    let current = guestlist.token(&invitation).unwrap();
    guestlist.open(&mut tx, current.expose()).await.unwrap();
    tx.rollback().await.unwrap();
    for nonce in &NONCES[..2] {
        let mut tx = database.begin().await.unwrap();
        let bytes = nonce.to_be_bytes().to_vec();
        let put_back = "UPDATE guestlist_invitations SET nonce = $1";
        match &mut tx {
            #[cfg(feature = "postgres")]
            guestlist::Transaction::Postgres(tx) => {
                let query = sqlx::query(put_back).bind(bytes);
                query.execute(&mut **tx).await.unwrap();
            }
            #[cfg(feature = "sqlite")]
            guestlist::Transaction::Sqlite(tx) => {
                let query = sqlx::query(put_back).bind(bytes);
                query.execute(&mut **tx).await.unwrap();
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        let former = guestlist.invitation(&mut tx, id).await.unwrap().unwrap();
        tx.rollback().await.unwrap();
        let former = guestlist.token(&former).unwrap();
        let mut tx = database.begin().await.unwrap();
        let opened = guestlist.open(&mut tx, former.expose()).await;
        assert!(matches!(opened, Err(Error::LinkReplaced)), "{opened:?}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn first_version_links_and_dates_are_kept_on_postgres() {
    let database = crate::postgres::schema().await;
    let Database::Postgres(pool) = &database else {
        unreachable!("a schema of Postgres")
    };
    let id = Uuid::now_v7();
    let all = sqlx::migrate!("migrations/postgres");
    let left = all.iter().count() - 1;
    first(all).run(pool).await.unwrap();
    let literal = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_id = Uuid::from_slice(bytes).is_ok_and(|id| id.get_version_num() == 7);
        match is_id {
            true => format!("'{hex}'::uuid"),
            false => format!("'\\x{hex}'::bytea"),
        }
    };
    for row in rows(id, literal, NOW) {
        let insert = sqlx::query(sqlx::AssertSqlSafe(row));
        insert.execute(pool).await.unwrap();
    }
    migrates(&database, left).await;
    links_keep_what_they_were(&database, id).await;
    dates_keep_what_they_were(&database).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn first_version_links_and_dates_are_kept_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let database = crate::sqlite::file(folder.path()).await;
    let Database::Sqlite(pool) = &database else {
        unreachable!("a file of SQLite")
    };
    let id = Uuid::now_v7();
    let all = sqlx::migrate!("migrations/sqlite");
    let left = all.iter().count() - 1;
    first(all).run(pool).await.unwrap();
    let literal = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("X'{hex}'")
    };
    for row in rows(id, literal, NOW) {
        let insert = sqlx::query(sqlx::AssertSqlSafe(row));
        insert.execute(pool).await.unwrap();
    }
    migrates(&database, left).await;
    links_keep_what_they_were(&database, id).await;
    dates_keep_what_they_were(&database).await;
}
