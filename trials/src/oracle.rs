//! Compares the messages that the outbox held with the letters that the mail server received.
//!
//! Triggers copy every outbox message and its deletion in the same transaction, and Postgres keeps the
//! time of each commit, so the oracle does not rely on what workers report. Another trigger keeps every
//! failure that an inviter was shown.

mod duplicate;
mod history;
mod observations;
mod shown;
mod verdict;

use anyhow::bail;
use guestlist::Database;
use guestlist::outbox::Message;
use sqlx::PgPool;

pub(crate) use self::observations::{Observations, Tolerance};
pub(crate) use self::verdict::Verdict;

const TRIGGERS: &str = "
    CREATE TABLE trials_messages (id uuid PRIMARY KEY, kind text NOT NULL, ids jsonb NOT NULL);
    CREATE TABLE trials_settled (id uuid PRIMARY KEY, generation bigint NOT NULL);
    CREATE TABLE trials_dead (id uuid PRIMARY KEY, why text NOT NULL);
    CREATE FUNCTION trials_copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO trials_messages VALUES (NEW.id, NEW.kind, NEW.ids); RETURN NULL; END $$;
    CREATE FUNCTION trials_settle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO trials_settled VALUES (OLD.id, OLD.generation); RETURN NULL; END $$;
    CREATE TABLE trials_shown (invitation uuid NOT NULL, delivery text NOT NULL, words text NOT NULL);
    CREATE FUNCTION trials_show() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO trials_shown VALUES (NEW.id, NEW.delivery, coalesce(NEW.delivery_detail, ''));
        RETURN NULL; END $$;
    CREATE TRIGGER trials_show AFTER UPDATE OF delivery, delivery_detail ON guestlist_invitations
        FOR EACH ROW WHEN (NEW.delivery IN ('deferred', 'failed')) EXECUTE FUNCTION trials_show();
    CREATE TRIGGER trials_copy AFTER INSERT ON guestlist_outbox
        FOR EACH ROW EXECUTE FUNCTION trials_copy();
    CREATE TRIGGER trials_settle AFTER DELETE ON guestlist_outbox
        FOR EACH ROW EXECUTE FUNCTION trials_settle()";

/// Installs the triggers that the oracle needs. Must run before the first invitation.
pub(crate) async fn install_triggers(database: &Database) -> anyhow::Result<()> {
    sqlx::raw_sql(TRIGGERS).execute(pool(database)?).await?;
    Ok(())
}

/// Records dead messages and their last error before they are retried.
pub(crate) async fn record_dead(database: &Database, dead: &[Message]) -> anyhow::Result<()> {
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
