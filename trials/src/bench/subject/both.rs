//! People are invited and written to at the same time.

use std::time::Instant;

use super::PATIENCE;
use crate::bench::environment::Stage;
use crate::bench::inviting::{invite_many, teams};
use crate::bench::row::{Bar, Row};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

/// How many are invited before the clock runs.
const WARM_UP: u64 = 320;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (guestlist, count) = (stage.guestlist()?, stage.amounts.letters_at_once);
    let (mut letters, mut invites) = (Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{count} invites and their letters"),
        );
        let store = stage.store().await?;
        let teams = teams(&store.database, &guestlist, stage.amounts.organizations).await?;
        let sink = SmtpSink::start(&stage.folder).await?;
        let worker = stage.work(&store, sink.url(), &[])?;
        invite_many(&store.database, &guestlist, &teams, "early", WARM_UP).await?;
        store.until_none("guestlist_outbox", PATIENCE).await?;
        store.settle().await?;
        let began = Instant::now();
        let took = invite_many(&store.database, &guestlist, &teams, "person", count).await?;
        let drained = store.until_none("guestlist_outbox", PATIENCE).await?;
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
        stage.drop(store).await?;
    }
    Ok(vec![
        Row::new(
            "both",
            "letters while people are invited",
            "a second",
            letters,
        )?
        .bar(Bar::Least(3_000.0))
        .counted(count),
        Row::new("both", "invites meanwhile", "a second", invites)?,
    ])
}
