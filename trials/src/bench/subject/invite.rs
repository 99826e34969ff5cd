//! Invites with the library, compared with two plain inserts into Postgres.

use std::path::Path;

use anyhow::{Context as _, bail};
use guestlist_testkit::program;
use tokio::process::Command;

use crate::bench::environment::Environment;
use crate::bench::inviting::{TASKS, invite_many, teams};
use crate::bench::row::{Row, Target};
use crate::bench::statistics::rate;
use crate::bench::store::Store;

/// Creates tables for rows like an invitation and its message, without their indexes.
const TABLES: &str = "
    CREATE TABLE bench_invitations (
        id uuid PRIMARY KEY, organization_id uuid NOT NULL, email text NOT NULL, role text NOT NULL,
        status text NOT NULL, nonce bytea NOT NULL, created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL);
    CREATE TABLE bench_outbox (
        id uuid PRIMARY KEY, kind text NOT NULL, ids jsonb NOT NULL, run_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL)";

/// The transaction that pgbench repeats.
const SCRIPT: &str = "\\set n random(1, 1000000000)
BEGIN;
INSERT INTO bench_invitations VALUES (gen_random_uuid(), gen_random_uuid(), 'person-' || :n || '@invitee.example', 'agent', 'pending', '\\x000102030405060708090a0b0c0d0e0f', now(), now() + interval '7 days');
INSERT INTO bench_outbox VALUES (gen_random_uuid(), 'send_invitation', '{\"invitation\": \"019051c6-0000-7000-b000-000000000001\", \"letter\": 1}', now(), now());
COMMIT;
";

/// Number of invites before the measurement, which open connections and prepare statements.
const WARM_UP: u64 = 10 * TASKS;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let store = environment.create_store().await?;
    let (guestlist, count) = (environment.guestlist()?, environment.amounts.invites);
    let teams = teams(
        &store.database,
        &guestlist,
        environment.amounts.organizations,
    )
    .await?;
    sqlx::raw_sql(TABLES).execute(store.pool()?).await?;
    let script = environment.folder.join("two-inserts.sql");
    std::fs::write(&script, SCRIPT)?;
    invite_many(&store.database, &guestlist, &teams, "early", WARM_UP).await?;
    let (mut result, mut reference) = (Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} invites"),
        );
        store.vacuum().await?;
        reference.push(pgbench(&store, &script, count).await?);
        store.vacuum().await?;
        let name = format!("person-{repetition}");
        let took = invite_many(&store.database, &guestlist, &teams, &name, count).await?;
        result.push(rate(count, took));
        let invited = WARM_UP + count * u64::from(repetition);
        for condition in [
            "guestlist_invitations WHERE status = 'pending'",
            "guestlist_outbox",
            "guestlist_letters",
            "guestlist_events WHERE kind = 'invitation_created'",
        ] {
            store.require(condition, invited).await?;
        }
    }
    environment.drop_store(store).await?;
    let row = Row::new("invite", "invites, 32 at a time", "a second", result)?
        .reference("pgbench, two plain inserts", reference)?
        .target(Target::MinRatio(0.5))
        .counted(count);
    Ok(vec![row])
}

/// Returns the transactions per second of 32 clients.
async fn pgbench(store: &Store, script: &Path, count: u64) -> anyhow::Result<f64> {
    let each = count.div_ceil(TASKS).max(1).to_string();
    let output = Command::new(program::find("pgbench")?)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .args(["--client", &TASKS.to_string(), "--transactions", &each])
        .arg("--file")
        .arg(script)
        .arg(&store.url)
        .kill_on_drop(true)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
    }
    tps(&text).with_context(|| format!("the output of pgbench contains no tps: {text}"))
}

fn tps(text: &str) -> Option<f64> {
    let figure = text.lines().find_map(|line| line.strip_prefix("tps = "))?;
    figure.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_pgbench_is_read() {
        let text = "latency average = 3.1 ms\ntps = 9601.5 (without initial connection time)\n";
        assert_eq!(tps(text), Some(9601.5));
        assert_eq!(tps("pgbench: error"), None);
    }
}
