//! A mail server that allows fewer connections than the worker is configured for.

use std::time::Duration;

use chrono::Utc;
use guestlist_testkit::smtp::{Action, Rule, Stage};

use super::installation::{Installation, seconds};
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};

/// Number of connections that the server allows.
const ALLOWED: usize = 4;

/// Time that the server takes for a letter, like a provider.
const REPLY_TIME: Duration = Duration::from_millis(50);

const TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let count = environment.amounts.limited;
    let (mut configured_more, mut configured_right) = (Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} letters on {ALLOWED} connections"),
        );
        configured_right.push(run(environment, count, ALLOWED).await?);
        configured_more.push(run(environment, count, 16).await?);
    }
    let row = Row::new(
        "connections",
        format!("letters to a server that allows {ALLOWED} connections, 16 configured"),
        "a second",
        configured_more,
    )?;
    let row = row.reference(format!("{ALLOWED} configured"), configured_right)?;
    Ok(vec![row.target(Target::MinRatio(0.9)).counted(count)])
}

/// Returns the letters per second from the start of a worker to its last letter.
async fn run(environment: &mut Environment, count: u64, configured: usize) -> anyhow::Result<f64> {
    let installation = Installation::create(environment, 8).await?;
    let refusal = Action::reply_and_hang_up("421 4.7.0 too many connections");
    let rule = Rule::new(Stage::Connect, refusal).above_connections(ALLOWED);
    installation.server().add_rule(rule);
    let rule = Rule::new(Stage::End, Action::ReplyLate(REPLY_TIME));
    installation.server().add_rule(rule);
    installation
        .invite(&installation.teams, "person", count)
        .await?;
    installation.store.vacuum().await?;
    let concurrency = [("GUESTLIST_CONCURRENCY", configured.to_string())];
    let began = Utc::now();
    let mut worker = installation.start_worker(environment, &concurrency)?;
    installation
        .wait_for("guestlist_outbox", 0, TIMEOUT, &mut worker)
        .await?;
    let last = installation.last_letter("person", count)?;
    installation.end(environment, worker).await?;
    Ok(count as f64 / seconds(began, last))
}
