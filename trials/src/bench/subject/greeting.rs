//! Connections that the mail server accepts and never greets.

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use guestlist_testkit::smtp::{Action, Rule, Stage};
use tokio::time::{Instant, sleep_until};

use super::installation::{Installation, address, seconds};
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};

/// Invites per second.
const RATE: u64 = 60;

/// Time that the server takes for a letter, so that several connections are needed.
const REPLY_TIME: Duration = Duration::from_millis(150);

const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let count = environment.amounts.ordinary;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} invites, {RATE} a second"),
        );
        without.push(longest_wait(environment, count, false).await?);
        with.push(longest_wait(environment, count, true).await?);
    }
    let row = Row::new(
        "greeting",
        "longest time from an invite to its letter while 3 of 16 connections are never greeted",
        "s",
        with,
    )?;
    let row = row.reference("all are greeted", without)?;
    Ok(vec![row.target(Target::EachMax(2.0)).counted(count)])
}

/// Returns the longest time, in seconds, from an invite to the final dot of its letter.
async fn longest_wait(
    environment: &mut Environment,
    count: u64,
    is_stalled: bool,
) -> anyhow::Result<f64> {
    let installation = Installation::create(environment, 8).await?;
    if is_stalled {
        // The 2nd, the 7th and the 12th connection.
        let rule = Rule::new(Stage::Connect, Action::Stall);
        installation
            .server()
            .add_rule(rule.every(5).skip(1).times(3));
    }
    let rule = Rule::new(Stage::End, Action::ReplyLate(REPLY_TIME));
    installation.server().add_rule(rule);
    let mut worker = installation.start_worker(environment, &[])?;
    let (began, mut committed) = (Instant::now(), Vec::new());
    for number in 0..count {
        sleep_until(began + Duration::from_secs(1) * u32::try_from(number)? / RATE as u32).await;
        installation.invite_one("person", number).await?;
        committed.push(Utc::now());
    }
    installation
        .wait_for("guestlist_outbox", 0, TIMEOUT, &mut worker)
        .await?;
    let accepted = installation.sink.accepted()?;
    let mut longest: f64 = 0.0;
    for (number, committed) in (0..).zip(committed) {
        let to = address("person", number);
        let at = accepted
            .get(&to)
            .with_context(|| format!("{to} got no letter"))?;
        longest = longest.max(seconds(committed, *at));
    }
    installation.end(environment, worker).await?;
    Ok(longest)
}
