//! Overdue invitations that a worker records as expired.

use super::WAIT_TIMEOUT;
use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{Row, Target};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::rate;

/// Selects the seconds since the first was recorded, by the clock of Postgres.
const SECONDS_SINCE_FIRST: &str =
    "SELECT extract(epoch FROM clock_timestamp() - min(closed_at))::float8
                     FROM guestlist_invitations WHERE status = 'expired'";

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let count = environment.amounts.overdue;
    let mut result = Vec::new();
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} overdue invitations"),
        );
        let store = environment.create_store().await?;
        let filler = Filler::new(environment, &store, environment.amounts.organizations).await?;
        filler.overdue(1, count).await?;
        store.vacuum().await?;
        let sink = SmtpSink::start(&environment.folder).await?;
        // A worker records expired invitations before it sends letters.
        let worker = environment.start_worker(&store, sink.url(), &["--until-idle"])?;
        let ended = store
            .wait_until_none(
                "guestlist_invitations WHERE status = 'pending'",
                WAIT_TIMEOUT,
            )
            .await?;
        let since_first: f64 = sqlx::query_scalar(SECONDS_SINCE_FIRST)
            .fetch_one(store.pool()?)
            .await?;
        let query_time = ended.elapsed();
        worker.kill().await?;
        let took = std::time::Duration::from_secs_f64(since_first).saturating_sub(query_time);
        result.push(rate(count, took));
        for condition in [
            "guestlist_invitations WHERE status = 'expired'",
            "guestlist_events WHERE kind = 'invitation_expired'",
        ] {
            store.require(condition, count).await?;
        }
        environment.drop_store(store).await?;
    }
    let row = Row::new(
        "expiry",
        "overdue invitations recorded, each with its event and notice",
        "a second",
        result,
    )?
    .target(Target::Min(20_000.0))
    .counted(count);
    Ok(vec![row])
}
