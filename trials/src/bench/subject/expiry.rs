//! Invitations whose time is over, recorded as expired.

use super::PATIENCE;
use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{Bar, Row};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

/// When the first was recorded, as long ago as Postgres sees it.
const SINCE: &str = "SELECT extract(epoch FROM clock_timestamp() - min(closed_at))::float8
                     FROM guestlist_invitations WHERE status = 'expired'";

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let count = stage.amounts.overdue;
    let mut ours = Vec::new();
    for time in 1..=stage.repeat {
        stage
            .progress
            .time(time, stage.repeat, format!("{count} overdue invitations"));
        let store = stage.store().await?;
        let filler = Filler::new(stage, &store, stage.amounts.organizations).await?;
        filler.overdue(1, count).await?;
        store.settle().await?;
        let sink = SmtpSink::start(&stage.folder).await?;
        // It sweeps before it begins with letters.
        let worker = stage.work(&store, sink.url(), &["--until-idle"])?;
        let ended = store
            .until_none("guestlist_invitations WHERE status = 'pending'", PATIENCE)
            .await?;
        let since_first: f64 = sqlx::query_scalar(SINCE).fetch_one(store.pool()?).await?;
        let looking = ended.elapsed();
        worker.kill().await?;
        let took = std::time::Duration::from_secs_f64(since_first).saturating_sub(looking);
        ours.push(rate(count, took));
        for what in [
            "guestlist_invitations WHERE status = 'expired'",
            "guestlist_events WHERE kind = 'invitation_expired'",
        ] {
            store.require(what, count).await?;
        }
        stage.drop(store).await?;
    }
    let row = Row::new(
        "expiry",
        "overdue invitations recorded, each with its event and notice",
        "a second",
        ours,
    )?
    .bar(Bar::Least(20_000.0))
    .counted(count);
    Ok(vec![row])
}
