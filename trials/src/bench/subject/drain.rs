//! One worker that sends a backlog.

use crate::bench::command::{Finished, GuestlistCommand};
use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{Row, Target};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let count = environment.amounts.letters;
    let bytes = letter_size(environment).await?;
    let (mut result, mut reference, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} letters"),
        );
        let sink = SmtpSink::start(&environment.folder).await?;
        reference.push(rate(count, sink.send_with_smtp_source(count, bytes).await?));
        let command = environment.command.clone();
        let finished = drain(environment, &command, count).await?;
        result.push(rate(count, finished.duration));
        memory.push(finished.peak.0);
    }
    Ok(vec![
        Row::new(
            "drain",
            "letters, one worker from its start to its end",
            "a second",
            result,
        )?
        .reference(
            format!("smtp-source, 16 sessions, {bytes} bytes"),
            reference,
        )?
        .target(Target::MinRatio(0.4))
        .counted(count),
        Row::new("drain", "peak of the worker's memory", "MB", memory)?.target(Target::Max(60.0)),
    ])
}

/// Drains a backlog with one worker of this command.
pub(super) async fn drain(
    environment: &mut Environment,
    command: &GuestlistCommand,
    count: u64,
) -> anyhow::Result<Finished> {
    let store = environment.create_store_of(command).await?;
    let filler = Filler::new(environment, &store, environment.amounts.organizations).await?;
    filler.backlog(1, count).await?;
    store.vacuum().await?;
    let sink = SmtpSink::start(&environment.folder).await?;
    let arguments = ["--until-idle"];
    let worker = environment.start_worker_of(command, &store, sink.url(), &arguments, &[])?;
    let finished = worker.wait().await?;
    sink.require(count)?;
    store.require("guestlist_outbox", 0).await?;
    store
        .require("guestlist_invitations WHERE delivery = 'sent'", count)
        .await?;
    environment.drop_store(store).await?;
    Ok(finished)
}

/// Returns the size of a letter in bytes, so that those of smtp-source have the same size.
async fn letter_size(environment: &mut Environment) -> anyhow::Result<u64> {
    let store = environment.create_store().await?;
    Filler::new(environment, &store, 1)
        .await?
        .backlog(1, 1)
        .await?;
    let folder = tempfile::tempdir_in(&environment.folder)?;
    let url = format!("file:{}", folder.path().display());
    environment
        .start_worker(&store, url, &["--until-idle"])?
        .wait()
        .await?;
    environment.drop_store(store).await?;
    let mut bytes = 0;
    for file in std::fs::read_dir(folder.path())? {
        bytes += file?.metadata()?.len();
    }
    anyhow::ensure!(bytes > 0, "no letter was written");
    Ok(bytes)
}
