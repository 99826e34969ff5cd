//! What was promised and is still to be done: the truth behind the queue.
//!
//! A mutation writes its messages in the host's transaction. A worker leases due messages, acts,
//! and settles them: a row stays until its effect is confirmed. Hosts only ever write here, through
//! the mutations; everything public in this module is the worker's side.

mod fair_cursor;
mod lease;
mod overview;
mod settle;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

pub use self::fair_cursor::Turn;
pub use self::lease::{Lease, lease, release, renew, take_all};
pub use self::overview::{
    Count, counts, counts_within, discard, due, is_idle, list, oldest_due, retry, retry_dead,
};
pub use self::settle::{Cost, bury, complete, postpone};
use crate::connection::{Connection, Insert};
use crate::error::Error;
use crate::id::{EventId, InvitationId, MessageId, OrganizationId, UserId};
use crate::trace_parent;

/// What a message asks for. It speaks of ids only: never an address, a name or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "ids", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Mail an invitation's link.
    SendInvitation {
        /// The invitation.
        invitation: InvitationId,
        /// Which of its letters; a newer one makes an older one needless.
        letter: i64,
    },
    /// Mail the link again shortly before the invitation expires.
    SendReminder {
        /// The invitation.
        invitation: InvitationId,
        /// The letter it reminds of.
        letter: i64,
    },
    /// Tell someone by letter that an event happened.
    SendNotice {
        /// The event.
        event: EventId,
    },
    /// Delete the sessions that ended with a membership.
    PurgeSessions {
        /// Whose; everybody's where the organization was deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
}

/// How soon a message goes among those that are due; lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(i64);

impl Priority {
    /// Ends of sessions: before any letter.
    pub const URGENT: Self = Self(0);
    /// Letters.
    pub const LETTER: Self = Self(1);

    /// The number stored with the message.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl Task {
    /// The kind and the ids, as they are stored.
    fn spelled(&self) -> (String, Json) {
        let mut tagged = serde_json::to_value(self).expect("a task holds nothing but ids");
        let kind = tagged["kind"].as_str().unwrap_or_default().to_owned();
        (kind, tagged["ids"].take())
    }

    /// The task's place among others.
    pub fn priority(&self) -> Priority {
        match self {
            Self::PurgeSessions { .. } => Priority::URGENT,
            _ => Priority::LETTER,
        }
    }
}

/// Writes messages in the transaction that promises them.
pub(crate) async fn push(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    tasks: &[(OrganizationId, Task)],
) -> Result<(), Error> {
    Ok(connection.insert(vec![messages(now, tasks)]).await?)
}

/// The messages that promise some tasks.
pub(crate) fn messages(now: DateTime<Utc>, tasks: &[(OrganizationId, Task)]) -> Insert<'static> {
    let trace_parent = trace_parent::current();
    let rows = tasks.iter().map(|(organization, task)| {
        let (kind, ids) = task.spelled();
        [
            MessageId::new(now).as_uuid().into(),
            kind.into(),
            ids.into(),
            organization.as_uuid().into(),
            task.priority().get().into(),
            now.into(),
            now.into(),
            trace_parent.clone().into(),
        ]
    });
    let into = "guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at, trace_parent)";
    Insert::new(into, rows)
}

/// A message as a worker sees it.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct Message {
    /// Names the message, and the letter it becomes.
    pub id: MessageId,
    /// The kind of task, which a newer version may know and this one not.
    pub kind: String,
    /// The ids the task speaks of.
    pub ids: Json,
    /// The organization it belongs to.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// When it may run.
    pub run_at: DateTime<Utc>,
    /// When it was promised.
    pub created_at: DateTime<Utc>,
    /// How many attempts were spent.
    pub attempts: i64,
    /// How many of them failed by themselves, and not for the recipient's sake.
    pub faults: i64,
    /// The fencing token: it rises whenever the message is leased.
    pub generation: i64,
    /// Until when someone holds it.
    pub leased_until: Option<DateTime<Utc>>,
    /// When it was given up.
    pub dead_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The span that promised it, as a W3C `traceparent`, where the host is built with the feature
    /// `opentelemetry` and was in a trace.
    pub trace_parent: Option<String>,
}

impl Message {
    /// The task, or `None` where this version knows no such kind or the ids do not fit.
    pub fn task(&self) -> Option<Task> {
        serde_json::from_value(json!({ "kind": self.kind, "ids": self.ids })).ok()
    }

    /// Ready, leased or dead, as of `now`.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match (self.dead_at, self.leased_until) {
            (Some(_), _) => State::Dead,
            (None, Some(until)) if until > now => State::Leased,
            (None, _) => State::Ready,
        }
    }
}

crate::text_enum::text_enum! {
    /// Where a message stands.
    State {
        /// Waiting for its time or for a worker.
        Ready = "ready",
        /// In some worker's hands.
        Leased = "leased",
        /// Given up; someone has to look at it.
        Dead = "dead",
    }
}

const COLUMNS: &str = "id, kind, ids, organization_id, run_at, created_at, attempts, faults, \
                       generation, leased_until, dead_at, last_error, trace_parent";
