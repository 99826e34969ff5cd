//! Invites and letters at the same time.

use std::time::Instant;

use super::WAIT_TIMEOUT;
use super::warm_worker::WarmWorker;
use crate::bench::environment::Environment;
use crate::bench::inviting::invite_many;
use crate::bench::row::{Row, Target};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

/// Number of invites before the measurement.
const WARM_UP: u64 = 320;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (guestlist, count) = (
        environment.guestlist()?,
        environment.amounts.letters_at_once,
    );
    let (mut letters, mut invites) = (Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} invites and their letters"),
        );
        let sink = SmtpSink::start(&environment.folder).await?;
        let WarmWorker {
            store,
            teams,
            worker,
        } = WarmWorker::start(environment, sink.url(), WARM_UP).await?;
        let began = Instant::now();
        let took = invite_many(&store.database, &guestlist, &teams, "person", count).await?;
        let drained = store
            .wait_until_none("guestlist_outbox", WAIT_TIMEOUT)
            .await?;
        letters.push(rate(count, drained - began));
        invites.push(rate(count, took));
        worker.kill().await?;
        sink.require(WARM_UP + count)?;
        store
            .require(
                "guestlist_invitations WHERE delivery = 'sent'",
                WARM_UP + count,
            )
            .await?;
        environment.drop_store(store).await?;
    }
    Ok(vec![
        Row::new(
            "both",
            "letters while people are invited",
            "a second",
            letters,
        )?
        .target(Target::Min(3_000.0))
        .counted(count),
        Row::new("both", "invites at the same time", "a second", invites)?,
    ])
}
