//! Everything the oracle knows: the database, the mail server's log, the hosts' journals, the faults.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use guestlist::Database;
use serde_json::Value as Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::history::{Course, Turn};
use crate::chaos::fault::{Fault, Incident};
use crate::host::{self, Deed};
use crate::sink::{self, Accepted, Entry};

/// What a trial leaves behind.
pub(crate) struct Facts {
    pub(super) promises: HashMap<Uuid, Promise>,
    pub(super) invitations: HashMap<Uuid, Invitation>,
    pub(super) courses: HashMap<Uuid, Course>,
    pub(super) events: HashMap<Uuid, Event>,
    pub(super) settled: HashMap<Uuid, Settled>,
    pub(super) dead: HashMap<Uuid, String>,
    pub(super) waiting: HashSet<Uuid>,
    /// Letters by the message they are of, each copy in the order it was accepted.
    pub(super) letters: HashMap<Uuid, Vec<Accepted>>,
    /// Letters of no message.
    pub(super) strays: Vec<Accepted>,
    /// What each recipient's server said against them.
    pub(super) refusals: HashMap<String, Vec<String>>,
    pub(super) deeds: Vec<Deed>,
    pub(super) incidents: Vec<Incident>,
    /// Workers that ended by themselves after they had begun to work.
    pub(super) worked: HashSet<String>,
    pub(super) ended_sessions: i64,
    pub(super) tolerance: Tolerance,
}

/// What is allowed for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    /// How long after its end a letter may begin, since nobody can read and begin at one moment.
    pub(crate) grace: TimeDelta,
    /// How far a worker's clock may be off, by which it knows what has expired.
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

#[derive(FromRow)]
pub(super) struct Promise {
    pub(super) id: Uuid,
    pub(super) kind: String,
    ids: Json,
}

impl Promise {
    /// The invitation and the number of the letter, where one of those is promised.
    pub(super) fn letter(&self) -> Option<(Uuid, i64)> {
        let is_letter = self.kind == "send_invitation";
        let invitation = self.ids["invitation"].as_str()?.parse().ok()?;
        is_letter.then_some((invitation, self.ids["letter"].as_i64()?))
    }

    /// The event that somebody is to be told of.
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

impl Facts {
    pub(crate) async fn gather(
        database: &Database,
        folder: &Path,
        incidents: &[Incident],
        tolerance: Tolerance,
    ) -> anyhow::Result<Self> {
        let pool = super::pool(database)?;
        let events = by_id(all::<Event>(pool, EVENTS).await?, |event| event.id);
        let mut facts = Self {
            promises: by_id(
                all::<Promise>(pool, "SELECT id, kind, ids FROM trials_promises").await?,
                |one| one.id,
            ),
            invitations: by_id(all::<Invitation>(pool, INVITATIONS).await?, |one| one.id),
            courses: courses(&events),
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
            deeds: deeds(folder)?,
            incidents: incidents.to_vec(),
            worked: worked(folder, incidents)?,
            ended_sessions: sqlx::query_scalar(
                "SELECT count(*) FROM guestlist_sessions WHERE ended_at IS NOT NULL",
            )
            .fetch_one(pool)
            .await?,
            tolerance,
        };
        for entry in sink::read(&folder.join("sink.jsonl"))? {
            facts.hear(entry);
        }
        Ok(facts)
    }

    /// Sorts a line of the mail server's log to the promise it belongs to.
    fn hear(&mut self, entry: Entry) {
        match entry {
            Entry::Refused { to, reply, .. } => self.refusals.entry(to).or_default().push(reply),
            Entry::Accepted(letter) => {
                let id = letter
                    .message_id
                    .split('@')
                    .next()
                    .and_then(|id| id.parse().ok());
                match id.filter(|id| self.promises.contains_key(id)) {
                    Some(id) => self.letters.entry(id).or_default().push(letter),
                    None => self.strays.push(letter),
                }
            }
        }
    }

    /// Whether the recipient's server ever refused them for good.
    pub(super) fn was_refused(&self, to: &str) -> bool {
        let replies = self.refusals.get(to);
        replies.is_some_and(|replies| replies.iter().any(|reply| reply.starts_with('5')))
    }
}

const INVITATIONS: &str = "SELECT id, email, status, delivery, letters FROM guestlist_invitations";

const EVENTS: &str =
    "SELECT id, kind, subject, (after ->> 'expires_at')::timestamptz AS expires_at,
    pg_xact_commit_timestamp(xmin) AS committed_at FROM guestlist_events";

const SETTLED: &str =
    "SELECT id, generation, pg_xact_commit_timestamp(xmin) AS committed_at FROM trials_settled";

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

fn courses(events: &HashMap<Uuid, Event>) -> HashMap<Uuid, Course> {
    let mut sorted: Vec<_> = events.values().collect();
    // Ids follow the clocks of whoever wrote, which may be off.
    sorted.sort_by_key(|event| (event.committed_at, event.id));
    let mut courses: HashMap<Uuid, Course> = HashMap::new();
    for event in sorted {
        let Ok(subject) = event.subject.parse() else {
            continue;
        };
        let turn = Turn {
            committed_at: event.committed_at,
            kind: event.kind.clone(),
            expires_at: event.expires_at,
        };
        courses.entry(subject).or_default().add(turn);
    }
    courses
}

fn deeds(folder: &Path) -> anyhow::Result<Vec<Deed>> {
    let mut deeds = Vec::new();
    for place in 0.. {
        let journal = folder.join(format!("h{place}.jsonl"));
        if !journal.exists() {
            break;
        }
        deeds.extend(host::committed(&journal)?);
    }
    Ok(deeds)
}

/// Who of those that ended by themselves had said that it works.
fn worked(folder: &Path, incidents: &[Incident]) -> anyhow::Result<HashSet<String>> {
    let mut worked = HashSet::new();
    for exit in incidents {
        let Some(name) = exit.process.as_deref() else {
            continue;
        };
        if exit.fault != Fault::WorkerExit {
            continue;
        }
        let log = folder.join(format!("{name}.log"));
        let said = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        if said.lines().any(|line| line.ends_with(" working")) {
            worked.insert(name.to_owned());
        }
    }
    Ok(worked)
}
