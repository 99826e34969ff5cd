//! Jobs: the messages of the outbox.

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use guestlist::MessageId;
use guestlist::outbox::{self, Count, Message, State};
use serde_json::{Value as Json, json};

use super::context::Context;
use super::failure::{Done, Reason, Status};
use super::id;
use super::output::{Row, moment, or_dash};

/// Count the jobs that are not done yet, list them, retry or discard them.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  guestlist jobs\n  guestlist jobs --state dead\n  guestlist jobs retry --all-dead"
)]
pub(crate) struct Command {
    /// List the jobs in this state instead of counting: ready (waiting for its time or for a
    /// worker), leased (taken by a worker) or dead (given up).
    #[arg(long, value_parser = states())]
    state: Option<State>,
    /// Stop after this many.
    #[arg(long, requires = "state", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a dead or waiting job due now, and count its attempts from zero.
    Retry(Retry),
    /// Delete a job without doing it.
    Discard {
        /// The job.
        #[arg(value_name = "ID", value_parser = id::job)]
        job: MessageId,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Retry {
    /// The job.
    #[arg(value_name = "ID", value_parser = id::job)]
    job: Option<MessageId>,
    /// All dead jobs.
    #[arg(long)]
    all_dead: bool,
}

fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.iter().map(State::as_str))
        .try_map(|text| text.parse::<State>())
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match (self.action, self.state) {
            (Some(Action::Retry(Retry { job: Some(job), .. })), _) => retry(context, job).await,
            (Some(Action::Retry(Retry { job: None, .. })), _) => retry_dead(context).await,
            (Some(Action::Discard { job }), _) => discard(context, job).await,
            (None, Some(state)) => list(context, state, self.limit).await,
            (None, None) => count(context).await,
        }
    }
}

async fn count(context: &Context) -> Done {
    let now = context.guestlist.now();
    let counts = context
        .read(async |tx| outbox::counts(tx, now).await)
        .await?;
    context.output.rows(&counts)?;
    if counts.is_empty() && !context.output.is_json() {
        context.output.line("There are no jobs.")?;
    }
    context.note_mail_pause().await?;
    Ok(Status::Done)
}

/// The number of jobs read at a time.
const PAGE: u32 = 1000;

async fn list(context: &Context, state: State, limit: Option<u32>) -> Done {
    let now = context.guestlist.now();
    let mut left = limit.unwrap_or(u32::MAX);
    let mut after = None;
    loop {
        let wanted = left.min(PAGE);
        let messages = context
            .read(async |tx| outbox::list(tx, now, state, after, wanted).await)
            .await?;
        let read = u32::try_from(messages.len()).expect("no more than wanted");
        after = messages.last().map(|message| message.id);
        let rows: Vec<_> = messages
            .into_iter()
            .map(|message| Listed { message, now })
            .collect();
        context.output.rows(&rows)?;
        left -= read;
        if read < wanted || left == 0 {
            return Ok(Status::Done);
        }
    }
}

fn not_found_or_leased(job: MessageId) -> Reason {
    Reason::refused(
        "not_found",
        format!("there is no job {job}, or a worker has leased it"),
    )
}

async fn retry(context: &Context, job: MessageId) -> Done {
    let now = context.guestlist.now();
    if !context
        .change(async |tx| outbox::retry(tx, now, job).await)
        .await?
    {
        return Err(not_found_or_leased(job).into());
    }
    context
        .output
        .sentence(json!({ "retried": 1 }), format!("{job} is due now."))
}

async fn retry_dead(context: &Context) -> Done {
    let now = context.guestlist.now();
    let retried = context
        .change(async |tx| outbox::retry_dead(tx, now).await)
        .await?;
    context.output.sentence(
        json!({ "retried": retried }),
        format!("{retried} dead jobs are due now."),
    )
}

async fn discard(context: &Context, job: MessageId) -> Done {
    let now = context.guestlist.now();
    if !context
        .change(async |tx| outbox::discard(tx, now, job).await)
        .await?
    {
        return Err(not_found_or_leased(job).into());
    }
    context
        .output
        .sentence(json!({ "discarded": 1 }), format!("Discarded {job}."))
}

impl Row for Count {
    const HEADER: &'static [&'static str] = &["kind", "state", "count", "oldest"];

    fn json(&self) -> Json {
        json!(self)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.state.to_string(),
            self.count.to_string(),
            moment(self.oldest_at),
        ]
    }
}

struct Listed {
    message: Message,
    now: DateTime<Utc>,
}

impl Row for Listed {
    const HEADER: &'static [&'static str] =
        &["job", "kind", "due", "attempts", "refusals", "last error"];

    fn json(&self) -> Json {
        let Self { message, now } = self;
        json!({
            "job": message.id,
            "kind": message.kind,
            "state": message.state(*now),
            "organization": message.organization,
            "ids": message.ids,
            "run_at": message.run_at,
            "created_at": message.created_at,
            "attempts": message.attempts,
            "refusals": message.refusals,
            "refused_at": message.refused_at,
            "leased_until": message.leased_until,
            "dead_at": message.dead_at,
            "last_error": message.last_error,
        })
    }

    fn cells(&self) -> Vec<String> {
        let Self { message, .. } = self;
        vec![
            message.id.to_string(),
            message.kind.clone(),
            moment(message.run_at),
            message.attempts.to_string(),
            message.refusals.to_string(),
            or_dash(message.last_error.as_ref()),
        ]
    }
}
