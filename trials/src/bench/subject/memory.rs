//! Memory of a worker.

use std::time::Duration;

use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{Row, Target, count};
use crate::bench::smtp::SmtpSink;

/// Interval at which the worker is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (waiting, draining) = (environment.amounts.waiting, environment.amounts.draining);
    let mut idle = Vec::new();
    let store = environment.create_store().await?;
    let sink = SmtpSink::start(&environment.folder).await?;
    for repetition in 1..=environment.repeat {
        environment
            .progress
            .report_repetition(repetition, environment.repeat, "an idle worker");
        let mut worker = environment.start_worker(&store, sink.url(), &[])?;
        tokio::time::sleep(environment.amounts.idle).await;
        worker.require_running()?;
        idle.push(worker.memory()?.0);
        worker.kill().await?;
    }
    environment
        .progress
        .report(format!("{} letters", count(waiting)));
    let filler = Filler::new(environment, &store, environment.amounts.organizations).await?;
    filler.backlog(1, waiting).await?;
    store.vacuum().await?;
    let mut peak = Vec::new();
    for repetition in 1..=environment.repeat {
        let seconds = draining.as_secs_f64();
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!(
                "a worker with {} letters waiting, for {seconds} s",
                count(waiting)
            ),
        );
        let before = sink.received()?;
        let mut worker = environment.start_worker(&store, sink.url(), &[])?;
        tokio::time::sleep(draining).await;
        while sink.received()? == before {
            worker.require_running()?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        peak.push(worker.peak()?.0);
        worker.kill().await?;
    }
    environment.drop_store(store).await?;
    Ok(vec![
        Row::new("memory", "idle worker, resident", "MB", idle)?.target(Target::Max(20.0)),
        Row::new(
            "memory",
            format!("peak of a worker with {} letters waiting", count(waiting)),
            "MB",
            peak,
        )?
        .target(Target::Max(60.0))
        .counted(waiting),
    ])
}
