//! How much memory a worker needs.

use std::time::Duration;

use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{Bar, Row, count};
use crate::bench::smtp::SmtpSink;

/// How often it is looked whether the worker still runs.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (waiting, draining) = (stage.amounts.waiting, stage.amounts.draining);
    let mut idle = Vec::new();
    let store = stage.store().await?;
    let sink = SmtpSink::start(&stage.folder).await?;
    for time in 1..=stage.repeat {
        stage.progress.time(time, stage.repeat, "an idle worker");
        let mut worker = stage.work(&store, sink.url(), &[])?;
        tokio::time::sleep(stage.amounts.idle).await;
        worker.require_running()?;
        idle.push(worker.memory()?.0);
        worker.kill().await?;
    }
    stage.progress.say(format!("{} letters", count(waiting)));
    let filler = Filler::new(stage, &store, stage.amounts.organizations).await?;
    filler.backlog(1, waiting).await?;
    store.settle().await?;
    let mut peak = Vec::new();
    for time in 1..=stage.repeat {
        let seconds = draining.as_secs_f64();
        stage.progress.time(
            time,
            stage.repeat,
            format!(
                "a worker with {} letters waiting, for {seconds} s",
                count(waiting)
            ),
        );
        let before = sink.taken()?;
        let mut worker = stage.work(&store, sink.url(), &[])?;
        tokio::time::sleep(draining).await;
        while sink.taken()? == before {
            worker.require_running()?;
            tokio::time::sleep(LOOK).await;
        }
        peak.push(worker.peak()?.0);
        worker.kill().await?;
    }
    stage.drop(store).await?;
    Ok(vec![
        Row::new("memory", "idle worker, resident", "MB", idle)?.bar(Bar::Most(20.0)),
        Row::new(
            "memory",
            format!("peak of a worker with {} letters waiting", count(waiting)),
            "MB",
            peak,
        )?
        .bar(Bar::Most(60.0))
        .counted(waiting),
    ])
}
