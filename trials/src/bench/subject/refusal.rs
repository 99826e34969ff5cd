//! A provider that refuses every letter of ours for a while, in several words and at several stages.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist_testkit::smtp::{Rule, Stage};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::installation::{GIVEN_UP, Installation, seconds};
use crate::bench::command::GuestlistProcess;
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};
use crate::replies;

/// The stages and the replies, each of a provider of its own. The first few are noticed before a letter is
/// tried, so they end soonest.
const REPLIES: [(Stage, &str); 12] = [
    (
        Stage::Connect,
        "421 4.3.2 Service not available, closing transmission channel",
    ),
    (Stage::Auth, "535 5.7.8 Authentication credentials invalid"),
    (Stage::Mail, "550 5.7.1 Sender refused"),
    (Stage::Mail, "454 4.7.0 Temporary authentication failure"),
    (Stage::Rcpt, "550 relay not permitted"),
    (
        Stage::Rcpt,
        "554 5.7.1 Service unavailable; Client host blocked using zen.spamhaus.org",
    ),
    (Stage::Rcpt, "550 5.7.1 Rejected"),
    (Stage::Rcpt, "454 4.7.1 Relay access denied"),
    (Stage::Rcpt, "451 Temporary local problem"),
    (
        Stage::End,
        "554 5.2.252 SendAsDenied; not allowed to send as this address",
    ),
    (
        Stage::End,
        "554 5.2.0 STOREDRV.Submission.Exception: SubmissionQuotaExceededException",
    ),
    (Stage::End, "550 5.4.5 Daily user sending limit exceeded"),
];

/// Number of letters accepted before the refusal.
const WARM_UP: u64 = 20;

/// Invites per second to each installation during the refusal.
const RATE: u64 = 4;

/// Maximum time from the end of a refusal to the last letter.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Interval at which the outbox is read while waiting.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

const WAITING: &str = "guestlist_outbox WHERE dead_at IS NULL";

struct Provider {
    installation: Installation,
    worker: GuestlistProcess,
    stage: Stage,
    reply: &'static str,
}

/// The results of one refusal.
struct Measured {
    /// Seconds from its end to the last letter.
    recovered: f64,
    /// Number of letters that failed, were suppressed or were given up.
    given_up: f64,
    /// Warnings and errors in the worker's log that contain the server's words.
    lines: Vec<String>,
}

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let duration = environment.amounts.refusal;
    let count = duration.as_secs() * RATE;
    let replies = &REPLIES[..environment.amounts.refusals];
    environment.progress.report(format!(
        "{} providers that refuse everything for {} s, {count} invites meanwhile to each",
        replies.len(),
        duration.as_secs()
    ));
    let mut installations = Vec::new();
    for &(stage, reply) in replies {
        let installation = Installation::create(environment, 8).await?;
        installations.push((installation, stage, reply));
    }
    let mut refusals = JoinSet::new();
    for (installation, stage, reply) in installations {
        let provider = Provider {
            worker: installation.start_worker(environment, &[])?,
            installation,
            stage,
            reply,
        };
        refusals.spawn(provider.refuse(duration, count));
    }
    let (mut recovered, mut given_up, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(refused) = refusals.join_next().await {
        let (provider, measured) = refused??;
        environment.progress.report(format!(
            "all letters {:.1} s after the end, {} given up, {} lines in the log: {}\n         {}",
            measured.recovered,
            measured.given_up,
            measured.lines.len(),
            provider.reply,
            measured.lines.join("\n         ")
        ));
        recovered.push(measured.recovered);
        given_up.push(measured.given_up);
        lines.push(measured.lines.len() as f64);
        let Provider {
            installation,
            worker,
            ..
        } = provider;
        installation.end(environment, worker).await?;
    }
    let row = |measure: &str, unit, figures, target| {
        let seconds = duration.as_secs();
        let measure = format!("{measure}, provider that refuses everything for {seconds} s");
        anyhow::Ok(Row::new("refusal", measure, unit, figures)?.target(target))
    };
    Ok(vec![
        row(
            "end to the last letter",
            "s",
            recovered,
            Target::EachMax(60.0),
        )?
        .counted(count),
        row(
            "letters failed, suppressed or given up",
            "number",
            given_up,
            Target::EachMax(0.0),
        )?,
        row(
            "warnings and errors in the log with the server's words",
            "number",
            lines,
            Target::Each(1.0),
        )?,
    ])
}

impl Provider {
    /// Refuses everything for this time while people are invited, and waits for their letters.
    async fn refuse(mut self, duration: Duration, count: u64) -> anyhow::Result<(Self, Measured)> {
        self.invite("early", WARM_UP).await?;
        self.drain().await?;
        let (began, end) = (Instant::now(), Utc::now() + TimeDelta::from_std(duration)?);
        let server = self.installation.server();
        let rule = Rule::new(self.stage, replies::action(self.reply));
        server.add_rule(rule.ending_in(duration));
        if matches!(self.stage, Stage::Connect | Stage::Auth) {
            // Only new connections meet it.
            server.close().await;
            server.open().await?;
        }
        for number in 0..count {
            let after = duration * u32::try_from(number)? / u32::try_from(count)?;
            sleep_until(began + after).await;
            self.installation.invite_one("person", number).await?;
        }
        sleep_until(began + duration).await;
        self.drain().await?;
        let measured = self.measured(end, count).await?;
        Ok((self, measured))
    }

    async fn invite(&self, name: &str, count: u64) -> anyhow::Result<()> {
        let installation = &self.installation;
        installation.invite(&installation.teams, name, count).await
    }

    /// Waits until no letter waits but those that were given up, for a limited time.
    async fn drain(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let store = &self.installation.store;
        while store.count(WAITING).await? > 0 && Instant::now() < deadline {
            self.worker.require_running()?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn measured(&self, end: DateTime<Utc>, count: u64) -> anyhow::Result<Measured> {
        let store = &self.installation.store;
        let dead = store.count("guestlist_outbox WHERE dead_at IS NOT NULL");
        let suppressed = store.count("guestlist_suppressions").await?;
        let given_up = store.count(GIVEN_UP).await? + suppressed + dead.await?;
        // A letter that is still missing counts until now.
        let last = self.installation.last_letter("person", count);
        let last = last.unwrap_or_else(|_| Utc::now());
        Ok(Measured {
            recovered: seconds(end, last),
            given_up: given_up as f64,
            lines: self.alerts()?,
        })
    }

    /// Returns the lines of the worker's log at which somebody should look, with the server's words.
    fn alerts(&self) -> anyhow::Result<Vec<String>> {
        let log = self.worker.log()?;
        let lines = log.lines();
        let is_alert = |line: &&str| {
            let is_loud = line.contains("ERROR") || line.contains("WARN");
            is_loud && line.contains(self.reply)
        };
        Ok(lines.filter(is_alert).map(str::to_owned).collect())
    }
}
