//! A provider that takes so many letters a second and refuses the others, in several words.

use std::time::Duration;

use chrono::{DateTime, Utc};
use guestlist_testkit::smtp::{Rule, Stage};
use tokio::time::sleep;

use super::installation::Installation;
use crate::bench::command::GuestlistProcess;
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};
use crate::replies;

/// Letters per second that the provider takes.
const RATE: u32 = 14;

/// The stages and the replies, each of a provider of its own.
const REPLIES: [(Stage, &str); 4] = [
    (
        Stage::End,
        "454 Throttling failure: Maximum sending rate exceeded.",
    ),
    (Stage::Mail, "421 4.7.0 Too many messages, slow down"),
    (Stage::Mail, "452 4.3.1 Too many messages, try again later"),
    (
        Stage::Rcpt,
        "451 4.7.500 Server busy. Please try again later",
    ),
];

struct Provider {
    installation: Installation,
    worker: GuestlistProcess,
    reply: &'static str,
}

/// The results of the time measured, once the worker has found the rate.
struct Measured {
    /// Letters accepted per second.
    rate: f64,
    /// Percentage of the tries that were refused.
    refused: f64,
    /// Number of tries charged to the recipient.
    charged: f64,
}

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (settling, measured) = (environment.amounts.settling, environment.amounts.throttled);
    // More than the provider takes in that time, so that letters always wait.
    let count = u64::from((settling + measured).as_secs_f64().ceil() as u32 * RATE * 5 / 4);
    environment.progress.report(format!(
        "{} providers that take {RATE} letters a second each, {} s to settle and {} s measured",
        REPLIES.len(),
        settling.as_secs(),
        measured.as_secs()
    ));
    let mut installations = Vec::new();
    for (stage, reply) in REPLIES {
        let installation = Installation::create(environment, 10).await?;
        let rule = Rule::new(stage, replies::action(reply)).above_rate(RATE as usize);
        installation.server().add_rule(rule);
        installation
            .invite(&installation.teams, "person", count)
            .await?;
        installations.push((installation, reply));
    }
    let mut providers = Vec::new();
    for (installation, reply) in installations {
        providers.push(Provider {
            worker: installation.start_worker(environment, &[])?,
            installation,
            reply,
        });
    }
    sleep(settling).await;
    let from = Utc::now();
    sleep(measured).await;
    let (mut rate, mut refused, mut charged) = (Vec::new(), Vec::new(), Vec::new());
    let until = Utc::now();
    for mut provider in providers {
        provider.worker.require_running()?;
        let measured = provider.measured(from, until).await?;
        environment.progress.report(format!(
            "{:.1} letters a second, {:.1} % of the tries refused, {} charged to recipients: {}",
            measured.rate, measured.refused, measured.charged, provider.reply
        ));
        rate.push(measured.rate);
        refused.push(measured.refused);
        charged.push(measured.charged);
        let Provider {
            installation,
            worker,
            ..
        } = provider;
        installation.end(environment, worker).await?;
    }
    let row = |measure: &str, unit, figures, target| {
        let measure = format!("{measure}, provider that takes {RATE} letters a second");
        anyhow::Ok(Row::new("throttle", measure, unit, figures)?.target(target))
    };
    Ok(vec![
        row(
            "letters",
            "a second",
            rate,
            Target::EachMin(0.9 * f64::from(RATE)),
        )?
        .counted(count),
        row("tries refused", "%", refused, Target::EachMax(5.0))?,
        row(
            "tries shown as deferred by the recipient's server",
            "number",
            charged,
            Target::EachMax(0.0),
        )?,
    ])
}

impl Provider {
    async fn measured(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> anyhow::Result<Measured> {
        let pool = self.installation.store.pool()?;
        let (tries, refused): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE verdict <> 'accepted')
             FROM guestlist_attempts WHERE at >= $1 AND at < $2",
        )
        .bind(from)
        .bind(until)
        .fetch_one(pool)
        .await?;
        let charged: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM guestlist_attempts WHERE verdict NOT IN ('accepted', 'throttled', 'server_fault')",
        )
        .fetch_one(pool)
        .await?;
        anyhow::ensure!(tries > 0, "no letter was tried: {}", self.reply);
        let accepted = self.installation.sink.accepted()?;
        let accepted = accepted.values().filter(|at| (from..until).contains(at));
        let seconds = (until - from).to_std().unwrap_or(Duration::ZERO);
        Ok(Measured {
            rate: accepted.count() as f64 / seconds.as_secs_f64(),
            refused: 100.0 * refused as f64 / tries as f64,
            charged: charged as f64,
        })
    }
}
