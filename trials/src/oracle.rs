//! What was promised beside what the mail server got.
//!
//! Triggers keep a copy of every message the outbox ever held and the time of each commit, in the
//! transactions that made them, so nothing is taken from what workers say of themselves.

mod duplicate;
mod history;
mod observations;
mod verdict;

use anyhow::bail;
use guestlist::Database;
use guestlist::outbox::Message;
use sqlx::PgPool;

pub(crate) use self::observations::{Facts, Tolerance};
pub(crate) use self::verdict::Verdict;

const WATCH: &str = "
    CREATE TABLE trials_promises (id uuid PRIMARY KEY, kind text NOT NULL, ids jsonb NOT NULL);
    CREATE TABLE trials_settled (id uuid PRIMARY KEY, generation bigint NOT NULL);
    CREATE TABLE trials_dead (id uuid PRIMARY KEY, why text NOT NULL);
    CREATE FUNCTION trials_promise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO trials_promises VALUES (NEW.id, NEW.kind, NEW.ids); RETURN NULL; END $$;
    CREATE FUNCTION trials_settle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO trials_settled VALUES (OLD.id, OLD.generation); RETURN NULL; END $$;
    CREATE TRIGGER trials_promise AFTER INSERT ON guestlist_outbox
        FOR EACH ROW EXECUTE FUNCTION trials_promise();
    CREATE TRIGGER trials_settle AFTER DELETE ON guestlist_outbox
        FOR EACH ROW EXECUTE FUNCTION trials_settle()";

/// Begins to keep what the oracle needs, before anything is promised.
pub(crate) async fn watch(database: &Database) -> anyhow::Result<()> {
    sqlx::raw_sql(WATCH).execute(pool(database)?).await?;
    Ok(())
}

/// Keeps what was given up before somebody retries it.
pub(crate) async fn note_dead(database: &Database, dead: &[Message]) -> anyhow::Result<()> {
    for message in dead {
        sqlx::query("INSERT INTO trials_dead VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(message.id.as_uuid())
            .bind(message.last_error.as_deref().unwrap_or_default())
            .execute(pool(database)?)
            .await?;
    }
    Ok(())
}

fn pool(database: &Database) -> anyhow::Result<&PgPool> {
    match database {
        Database::Postgres(pool) => Ok(pool),
        _ => bail!("trials run on Postgres"),
    }
}
