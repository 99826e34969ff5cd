//! Invites by the clock: what a person waits for.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::PATIENCE;
use crate::bench::environment::Stage;
use crate::bench::inviting::{invite, invite_many, teams};
use crate::bench::row::{Bar, Row};
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::timing_sink::ClockedSink;

/// How many are invited a second.
const RATE: u32 = 50;

/// How many are invited before the clock runs.
const WARM_UP: u64 = 64;

/// How long the worker is left alone before the clock runs.
const REST: Duration = Duration::from_millis(500);

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (guestlist, lasts) = (stage.guestlist()?, stage.amounts.open_loop);
    let count = (lasts.as_secs_f64() * f64::from(RATE)) as u32;
    let (mut median, mut worst_of_hundred, mut commit) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{count} invites, {RATE} a second"),
        );
        let store = stage.store().await?;
        let teams = teams(&store.database, &guestlist, stage.amounts.organizations).await?;
        let sink = ClockedSink::start(&stage.folder).await?;
        let worker = stage.work(&store, sink.url(), &[])?;
        invite_many(&store.database, &guestlist, &teams, "early", WARM_UP).await?;
        store.until_none("guestlist_outbox", PATIENCE).await?;
        store.settle().await?;
        tokio::time::sleep(REST).await;

        let (began, began_at) = (Instant::now(), Utc::now());
        let mut invites = JoinSet::new();
        for place in 0..count {
            let after = Duration::from_secs(1) * place / RATE;
            let (database, guestlist) = (store.database.clone(), guestlist.clone());
            let team = teams[place as usize % teams.len()].clone();
            invites.spawn(async move {
                sleep_until(began + after).await;
                invite(&database, &guestlist, &team, &address(place)).await?;
                anyhow::Ok((began + after).elapsed())
            });
        }
        let mut commits = Times::new();
        while let Some(committed) = invites.join_next().await {
            commits.note(committed??);
        }
        store.until_none("guestlist_outbox", PATIENCE).await?;
        worker.kill().await?;
        let accepted = sink.accepted()?;
        let mut times = Times::new();
        for place in 0..count {
            let due =
                began_at + TimeDelta::seconds(1) * i32::try_from(place)? / i32::try_from(RATE)?;
            let at = accepted.get(&address(place));
            let at = at.with_context(|| format!("{} got no letter", address(place)))?;
            times.note((*at - due).to_std().unwrap_or_default());
        }
        median.push(milliseconds(times.quantile(0.5)?));
        worst_of_hundred.push(milliseconds(times.quantile(0.99)?));
        commit.push(milliseconds(commits.quantile(0.5)?));
        stage.drop(store).await?;
    }
    let count = u64::from(count);
    Ok(vec![
        Row::new("open_loop", "due invite to its letter, p50", "ms", median)?
            .bar(Bar::Most(8.0))
            .counted(count),
        Row::new(
            "open_loop",
            "due invite to its letter, p99",
            "ms",
            worst_of_hundred,
        )?
        .bar(Bar::Most(25.0))
        .counted(count),
        Row::new("open_loop", "due invite to its commit, p50", "ms", commit)?,
    ])
}

fn address(place: u32) -> String {
    format!("person-{place}@invitee.example")
}
