//! Time from the start of a worker to its first letter.

use std::time::Duration;

use anyhow::bail;
use chrono::Utc;

use super::WAIT_TIMEOUT;
use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{Row, Target};
use crate::bench::statistics::milliseconds;
use crate::bench::timing_sink::TimingSink;

/// Number of waiting letters, which is more than a worker leases before it sends the first.
const BACKLOG: u64 = 3_000;

/// Interval at which the log is read.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let mut times = Vec::new();
    let starts = environment.amounts.starts * u64::from(environment.repeat);
    for start in 1..=starts {
        environment
            .progress
            .report(format!("start {start} of {starts}"));
        let store = environment.create_store().await?;
        let filler = Filler::new(environment, &store, environment.amounts.organizations).await?;
        filler.backlog(1, BACKLOG).await?;
        store.vacuum().await?;
        let sink = TimingSink::start(&environment.folder).await?;
        let began = Utc::now();
        let mut worker = environment.start_worker(&store, sink.url(), &[])?;
        while sink.is_empty()? {
            worker.require_running()?;
            if (Utc::now() - began).to_std().unwrap_or_default() > WAIT_TIMEOUT {
                bail!(
                    "the worker sent no letter within {} s",
                    WAIT_TIMEOUT.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        worker.kill().await?;
        let first = sink.accepted()?.into_values().min();
        let Some(first) = first else {
            bail!("the log of the mail server contains no accepted letter");
        };
        times.push(milliseconds((first - began).to_std().unwrap_or_default()));
        environment.drop_store(store).await?;
    }
    let row = Row::new(
        "start",
        "start of a worker to its first letter",
        "ms",
        times,
    )?;
    Ok(vec![row.target(Target::Max(200.0)).counted(starts)])
}
