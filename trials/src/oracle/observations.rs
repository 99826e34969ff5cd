//! Everything the oracle reads: the database, the mail server's log, the hosts' journals, the faults.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use guestlist::Database;
use serde_json::Value as Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::history::{Change, History};
use crate::fault::{Fault, Incident};
use crate::host::{self, Operation};
use crate::replies::MISSING_MAILBOX;
use crate::sink::{self, Accepted, Entry};

/// The data of a finished trial.
pub(crate) struct Observations {
    pub(super) messages: HashMap<Uuid, Message>,
    pub(super) invitations: HashMap<Uuid, Invitation>,
    pub(super) histories: HashMap<Uuid, History>,
    pub(super) events: HashMap<Uuid, Event>,
    pub(super) settled: HashMap<Uuid, Settled>,
    pub(super) dead: HashMap<Uuid, String>,
    pub(super) waiting: HashSet<Uuid>,
    /// Accepted letters by message id; copies in the order of acceptance.
    pub(super) letters: HashMap<Uuid, Vec<Accepted>>,
    /// Letters whose Message-ID belongs to no message.
    pub(super) strays: Vec<Accepted>,
    /// Error replies by recipient.
    pub(super) refusals: HashMap<String, Vec<String>>,
    /// Failures that inviters were shown.
    pub(super) shown: Vec<Shown>,
    /// Suppressed addresses.
    pub(super) suppressed: Vec<String>,
    /// Recorded attempts, counted by verdict and reply.
    pub(super) attempts: Vec<Attempts>,
    /// Operations whose commit a host had confirmed.
    pub(super) operations: Vec<Operation>,
    pub(super) incidents: Vec<Incident>,
    /// Workers that exited by themselves after they had logged that they work.
    pub(super) exited_at_work: HashSet<String>,
    pub(super) ended_sessions: i64,
    pub(super) tolerance: Tolerance,
}

/// The tolerances of the judgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    /// Time after which a letter that became obsolete must not begin: a worker first reads the database
    /// and then begins.
    pub(crate) grace: TimeDelta,
    /// Largest error of a worker's clock, by which it decides whether an invitation has expired.
    pub(crate) skew: TimeDelta,
}

impl Tolerance {
    pub(crate) fn new(grace: Duration, skew: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            grace: TimeDelta::from_std(grace)?,
            skew: TimeDelta::from_std(skew)?,
        })
    }
}

/// A message that was in the outbox.
#[derive(FromRow)]
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) kind: String,
    ids: Json,
}

impl Message {
    /// The invitation and the number of its letter, if this message sends one.
    pub(super) fn letter(&self) -> Option<(Uuid, i64)> {
        let is_letter = self.kind == "send_invitation";
        let invitation = self.ids["invitation"].as_str()?.parse().ok()?;
        is_letter.then_some((invitation, self.ids["letter"].as_i64()?))
    }

    /// The event that this message notifies a member of, if it is a notice.
    pub(super) fn notice(&self) -> Option<Uuid> {
        let is_notice = self.kind == "send_notice";
        is_notice.then(|| self.ids["event"].as_str()?.parse().ok())?
    }
}

#[derive(FromRow)]
pub(super) struct Invitation {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) status: String,
    pub(super) delivery: String,
    pub(super) letters: i64,
}

#[derive(FromRow)]
pub(super) struct Event {
    id: Uuid,
    pub(super) kind: String,
    pub(super) subject: String,
    expires_at: Option<DateTime<Utc>>,
    committed_at: DateTime<Utc>,
}

#[derive(FromRow)]
pub(super) struct Settled {
    id: Uuid,
    pub(super) generation: i64,
    pub(super) committed_at: DateTime<Utc>,
}

/// A failure of delivery that an inviter was shown, with the words beside it.
#[derive(FromRow)]
pub(super) struct Shown {
    pub(super) invitation: Uuid,
    pub(super) delivery: String,
    pub(super) words: String,
}

/// Recorded attempts with the same verdict and reply.
#[derive(FromRow)]
pub(super) struct Attempts {
    pub(super) verdict: String,
    pub(super) reply: String,
    pub(super) count: i64,
}

impl Observations {
    pub(crate) async fn gather(
        database: &Database,
        folder: &Path,
        incidents: &[Incident],
        tolerance: Tolerance,
    ) -> anyhow::Result<Self> {
        let pool = super::pool(database)?;
        let events = by_id(all::<Event>(pool, EVENTS).await?, |event| event.id);
        let mut observations = Self {
            messages: by_id(
                all::<Message>(pool, "SELECT id, kind, ids FROM trials_messages").await?,
                |one| one.id,
            ),
            invitations: by_id(all::<Invitation>(pool, INVITATIONS).await?, |one| one.id),
            histories: histories(&events),
            events,
            settled: by_id(all::<Settled>(pool, SETTLED).await?, |one| one.id),
            dead: all::<(Uuid, String)>(pool, "SELECT id, why FROM trials_dead")
                .await?
                .into_iter()
                .collect(),
            waiting: all::<(Uuid,)>(pool, "SELECT id FROM guestlist_outbox")
                .await?
                .into_iter()
                .map(|row| row.0)
                .collect(),
            letters: HashMap::new(),
            strays: Vec::new(),
            refusals: HashMap::new(),
            shown: all(pool, SHOWN).await?,
            suppressed: all::<(String,)>(pool, SUPPRESSED)
                .await?
                .into_iter()
                .map(|row| row.0)
                .collect(),
            attempts: all(pool, ATTEMPTS).await?,
            operations: operations(folder)?,
            incidents: incidents.to_vec(),
            exited_at_work: exited_at_work(folder, incidents)?,
            ended_sessions: sqlx::query_scalar(
                "SELECT count(*) FROM guestlist_sessions WHERE ended_at IS NOT NULL",
            )
            .fetch_one(pool)
            .await?,
            tolerance,
        };
        for entry in sink::read(&folder.join("sink.jsonl"))? {
            observations.add_entry(entry);
        }
        Ok(observations)
    }

    /// Adds a line of the mail server's log to the message it belongs to.
    fn add_entry(&mut self, entry: Entry) {
        match entry {
            Entry::Refused { to, reply, .. } => self.refusals.entry(to).or_default().push(reply),
            Entry::Accepted(letter) => {
                let id = letter
                    .message_id
                    .split('@')
                    .next()
                    .and_then(|id| id.parse().ok());
                match id.filter(|id| self.messages.contains_key(id)) {
                    Some(id) => self.letters.entry(id).or_default().push(letter),
                    None => self.strays.push(letter),
                }
            }
        }
    }

    /// Returns true if the mail server said that this recipient's mailbox is missing, which is the only
    /// refusal that may be final.
    pub(super) fn is_missing(&self, to: &str) -> bool {
        let replies = self.refusals.get(to);
        replies.is_some_and(|replies| replies.iter().any(|reply| reply == MISSING_MAILBOX))
    }
}

const INVITATIONS: &str = "SELECT id, email, status, delivery, letters FROM guestlist_invitations";

const EVENTS: &str =
    "SELECT id, kind, subject, (after ->> 'expires_at')::timestamptz AS expires_at,
    pg_xact_commit_timestamp(xmin) AS committed_at FROM guestlist_events";

const SETTLED: &str =
    "SELECT id, generation, pg_xact_commit_timestamp(xmin) AS committed_at FROM trials_settled";

const SHOWN: &str = "SELECT invitation, delivery, words FROM trials_shown";

const SUPPRESSED: &str = "SELECT email_key FROM guestlist_suppressions";

const ATTEMPTS: &str = "SELECT verdict, coalesce(reply, '') AS reply, count(*) AS count
    FROM guestlist_attempts GROUP BY 1, 2";

async fn all<T>(pool: &PgPool, statement: &'static str) -> anyhow::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    sqlx::query_as(statement)
        .fetch_all(pool)
        .await
        .context(statement)
}

fn by_id<T>(rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> HashMap<Uuid, T> {
    rows.into_iter().map(|row| (id(&row), row)).collect()
}

fn histories(events: &HashMap<Uuid, Event>) -> HashMap<Uuid, History> {
    let mut sorted: Vec<_> = events.values().collect();
    // Not by id alone: ids follow the clocks of the hosts and workers, which may be wrong.
    sorted.sort_by_key(|event| (event.committed_at, event.id));
    let mut histories: HashMap<Uuid, History> = HashMap::new();
    for event in sorted {
        let Ok(subject) = event.subject.parse() else {
            continue;
        };
        let change = Change {
            committed_at: event.committed_at,
            kind: event.kind.clone(),
            expires_at: event.expires_at,
        };
        histories.entry(subject).or_default().add(change);
    }
    histories
}

fn operations(folder: &Path) -> anyhow::Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for index in 0.. {
        let journal = folder.join(format!("h{index}.jsonl"));
        if !journal.exists() {
            break;
        }
        operations.extend(host::committed(&journal)?);
    }
    Ok(operations)
}

/// Returns the workers that exited by themselves after they had logged that they work.
fn exited_at_work(folder: &Path, incidents: &[Incident]) -> anyhow::Result<HashSet<String>> {
    let mut names = HashSet::new();
    for exit in incidents {
        let Some(name) = exit.process.as_deref() else {
            continue;
        };
        if exit.fault != Fault::WorkerExit {
            continue;
        }
        let log = folder.join(format!("{name}.log"));
        let text = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        if text.lines().any(|line| line.ends_with(" working")) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}
