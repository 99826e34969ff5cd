//! Invites at a fixed rate, however long they take, as from independent people.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::WAIT_TIMEOUT;
use super::warm_worker::WarmWorker;
use crate::bench::environment::Environment;
use crate::bench::inviting::invite;
use crate::bench::row::{Row, Target};
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::timing_sink::TimingSink;

/// Invites per second.
const RATE: u32 = 50;

/// Number of invites before the measurement.
const WARM_UP: u64 = 64;

/// Pause before the measurement.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (guestlist, duration) = (environment.guestlist()?, environment.amounts.open_loop);
    let count = (duration.as_secs_f64() * f64::from(RATE)) as u32;
    let (mut median, mut p99, mut commit) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} invites, {RATE} a second"),
        );
        let sink = TimingSink::start(&environment.folder).await?;
        let WarmWorker {
            store,
            teams,
            worker,
        } = WarmWorker::start(environment, sink.url(), WARM_UP).await?;
        tokio::time::sleep(PAUSE).await;

        let (began, began_at) = (Instant::now(), Utc::now());
        let mut invites = JoinSet::new();
        for index in 0..count {
            let after = Duration::from_secs(1) * index / RATE;
            let (database, guestlist) = (store.database.clone(), guestlist.clone());
            let team = teams[index as usize % teams.len()].clone();
            invites.spawn(async move {
                sleep_until(began + after).await;
                invite(&database, &guestlist, &team, &address(index)).await?;
                anyhow::Ok((began + after).elapsed())
            });
        }
        let mut commits = Times::new();
        while let Some(committed) = invites.join_next().await {
            commits.record(committed??);
        }
        store
            .wait_until_none("guestlist_outbox", WAIT_TIMEOUT)
            .await?;
        worker.kill().await?;
        let accepted = sink.accepted()?;
        let mut times = Times::new();
        for index in 0..count {
            let due =
                began_at + TimeDelta::seconds(1) * i32::try_from(index)? / i32::try_from(RATE)?;
            let at = accepted.get(&address(index));
            let at = at.with_context(|| format!("{} got no letter", address(index)))?;
            times.record((*at - due).to_std().unwrap_or_default());
        }
        median.push(milliseconds(times.quantile(0.5)?));
        p99.push(milliseconds(times.quantile(0.99)?));
        commit.push(milliseconds(commits.quantile(0.5)?));
        environment.drop_store(store).await?;
    }
    let count = u64::from(count);
    Ok(vec![
        Row::new(
            "open_loop",
            "scheduled time of an invite to its letter, p50",
            "ms",
            median,
        )?
        .target(Target::Max(8.0))
        .counted(count),
        Row::new(
            "open_loop",
            "scheduled time of an invite to its letter, p99",
            "ms",
            p99,
        )?
        .target(Target::Max(25.0))
        .counted(count),
        Row::new(
            "open_loop",
            "scheduled time of an invite to its commit, p50",
            "ms",
            commit,
        )?,
    ])
}

fn address(index: u32) -> String {
    format!("person-{index}@invitee.example")
}
