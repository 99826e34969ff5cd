//! How soon a worker that was started works.

use std::time::Duration;

use anyhow::bail;
use chrono::Utc;

use super::PATIENCE;
use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{Bar, Row};
use crate::bench::statistics::milliseconds;
use crate::bench::timing_sink::ClockedSink;

/// How many letters wait: more than a worker leases before its first.
const BACKLOG: u64 = 3_000;

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(2);

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let mut times = Vec::new();
    let starts = stage.amounts.starts * u64::from(stage.repeat);
    for start in 1..=starts {
        stage.progress.say(format!("start {start} of {starts}"));
        let store = stage.store().await?;
        let filler = Filler::new(stage, &store, stage.amounts.organizations).await?;
        filler.backlog(1, BACKLOG).await?;
        store.settle().await?;
        let sink = ClockedSink::start(&stage.folder).await?;
        let began = Utc::now();
        let mut worker = stage.work(&store, sink.url(), &[])?;
        while sink.is_empty()? {
            worker.require_running()?;
            if (Utc::now() - began).to_std().unwrap_or_default() > PATIENCE {
                bail!("no letter came");
            }
            tokio::time::sleep(LOOK).await;
        }
        worker.kill().await?;
        let first = sink.accepted()?.into_values().min();
        let Some(first) = first else {
            bail!("the log of the mail server is not as it was");
        };
        times.push(milliseconds((first - began).to_std().unwrap_or_default()));
        stage.drop(store).await?;
    }
    let row = Row::new(
        "start",
        "start of a worker to its first letter",
        "ms",
        times,
    )?;
    Ok(vec![row.bar(Bar::Most(200.0)).counted(starts)])
}
