//! Invites through the library, beside what Postgres does for two plain inserts.

use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::bench::environment::Stage;
use crate::bench::inviting::{TASKS, invite_many, teams};
use crate::bench::program;
use crate::bench::row::{Bar, Row};
use crate::bench::statistics::rate;
use crate::bench::store::Store;

/// Tables for rows like an invitation and like its message, without any of their indexes.
const TABLES: &str = "
    CREATE TABLE bench_invitations (
        id uuid PRIMARY KEY, organization_id uuid NOT NULL, email text NOT NULL, role text NOT NULL,
        status text NOT NULL, nonce bytea NOT NULL, created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL);
    CREATE TABLE bench_outbox (
        id uuid PRIMARY KEY, kind text NOT NULL, ids jsonb NOT NULL, run_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL)";

/// What pgbench runs, over and over.
const SCRIPT: &str = "\\set n random(1, 1000000000)
BEGIN;
INSERT INTO bench_invitations VALUES (gen_random_uuid(), gen_random_uuid(), 'person-' || :n || '@invitee.example', 'agent', 'pending', '\\x000102030405060708090a0b0c0d0e0f', now(), now() + interval '7 days');
INSERT INTO bench_outbox VALUES (gen_random_uuid(), 'send_invitation', '{\"invitation\": \"019051c6-0000-7000-b000-000000000001\", \"letter\": 1}', now(), now());
COMMIT;
";

/// How many are invited before the clock runs, for connections and prepared statements.
const WARM_UP: u64 = 10 * TASKS;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let store = stage.store().await?;
    let (guestlist, count) = (stage.guestlist()?, stage.amounts.invites);
    let teams = teams(&store.database, &guestlist, stage.amounts.organizations).await?;
    sqlx::raw_sql(TABLES).execute(store.pool()?).await?;
    let script = stage.folder.join("two-inserts.sql");
    std::fs::write(&script, SCRIPT)?;
    invite_many(&store.database, &guestlist, &teams, "early", WARM_UP).await?;
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage
            .progress
            .time(time, stage.repeat, format!("{count} invites"));
        store.settle().await?;
        limit.push(pgbench(&store, &script, count).await?);
        store.settle().await?;
        let name = format!("person-{time}");
        let took = invite_many(&store.database, &guestlist, &teams, &name, count).await?;
        ours.push(rate(count, took));
        let invited = WARM_UP + count * u64::from(time);
        for what in [
            "guestlist_invitations WHERE status = 'pending'",
            "guestlist_outbox",
            "guestlist_letters",
            "guestlist_events WHERE kind = 'invitation_created'",
        ] {
            store.require(what, invited).await?;
        }
    }
    stage.drop(store).await?;
    let row = Row::new("invite", "invites, 32 at a time", "a second", ours)?
        .beside("pgbench, two plain inserts", limit)?
        .bar(Bar::LeastOfLimit(0.5))
        .counted(count);
    Ok(vec![row])
}

/// Transactions a second of 32 clients.
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
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
    }
    tps(&said).with_context(|| format!("pgbench says no tps: {said}"))
}

fn tps(said: &str) -> Option<f64> {
    let figure = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    figure.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_of_pgbench_is_read() {
        let said = "latency average = 3.1 ms\ntps = 9601.5 (without initial connection time)\n";
        assert_eq!(tps(said), Some(9601.5));
        assert_eq!(tps("pgbench: error"), None);
    }
}
