//! A backlog, and one worker.

use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{Bar, Row};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let count = stage.amounts.letters;
    let bytes = bytes_of_a_letter(stage).await?;
    let (mut ours, mut limit, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage
            .progress
            .time(time, stage.repeat, format!("{count} letters"));
        let sink = SmtpSink::start(&stage.folder).await?;
        limit.push(rate(count, sink.fill(count, bytes).await?));
        let store = stage.store().await?;
        let filler = Filler::new(stage, &store, stage.amounts.organizations).await?;
        filler.backlog(1, count).await?;
        store.settle().await?;
        let sink = SmtpSink::start(&stage.folder).await?;
        let worker = stage.work(&store, sink.url(), &["--until-idle"])?;
        let ended = worker.end().await?;
        ours.push(rate(count, ended.after));
        memory.push(ended.peak.0);
        sink.require(count)?;
        store.require("guestlist_outbox", 0).await?;
        store
            .require("guestlist_invitations WHERE delivery = 'sent'", count)
            .await?;
        stage.drop(store).await?;
    }
    Ok(vec![
        Row::new(
            "drain",
            "letters, one worker from its start to its end",
            "a second",
            ours,
        )?
        .beside(format!("smtp-source, 16 sessions, {bytes} bytes"), limit)?
        .bar(Bar::LeastOfLimit(0.4))
        .counted(count),
        Row::new("drain", "peak of the worker's memory", "MB", memory)?.bar(Bar::Most(60.0)),
    ])
}

/// How long a letter of ours is, so that those of smtp-source are as long.
async fn bytes_of_a_letter(stage: &mut Stage) -> anyhow::Result<u64> {
    let store = stage.store().await?;
    Filler::new(stage, &store, 1).await?.backlog(1, 1).await?;
    let folder = tempfile::tempdir_in(&stage.folder)?;
    let url = format!("file:{}", folder.path().display());
    stage.work(&store, url, &["--until-idle"])?.end().await?;
    stage.drop(store).await?;
    let mut bytes = 0;
    for file in std::fs::read_dir(folder.path())? {
        bytes += file?.metadata()?.len();
    }
    anyhow::ensure!(bytes > 0, "no letter was written");
    Ok(bytes)
}
