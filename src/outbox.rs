//! The outbox: messages for the worker, stored in the same transaction as the change.
//!
//! A change writes its messages in the host's transaction. A worker leases due messages, carries
//! them out and settles them; a row stays until its effect is confirmed. Hosts write here only
//! through changes; everything public in this module is for workers.

/// The date that a letter has to keep, in SQL; `NULL` if it has none yet.
///
/// A worker of a release before `letter_date` dates a letter by its creation. If the mail server did not answer
/// its last byte, that worker counts a fault and leaves `late_since` empty, which a fault of this release sets.
/// If it also counted a deferral, the row looks like one of this release, whose letter is dated anew.
macro_rules! kept_letter_date {
    () => {
        "CASE WHEN letter_date IS NULL AND faults > 0 AND late_since IS NULL
                  AND attempts = faults + CASE WHEN dead_at IS NULL THEN 0 ELSE 1 END THEN created_at
              ELSE letter_date END"
    };
}

mod crash;
mod fair_cursor;
mod lease;
mod overview;
mod settle;
mod ticket;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

pub use self::crash::{Interrupted, begin_counted, interrupt};
pub use self::fair_cursor::FairCursor;
pub use self::lease::{Lease, lease, release, renew, take_all};
pub use self::overview::{
    Count, counts, counts_within, discard, due, is_idle, list, oldest_due, retry, retry_dead,
};
pub use self::settle::{Completion, Cost, complete, give_up, postpone};
pub use self::ticket::Ticket;
use crate::connection::{Connection, Insert};
use crate::error::Error;
use crate::id::{EventId, InvitationId, MessageId, OrganizationId, UserId};
use crate::trace_parent;

/// The task of a message. It holds only ids: never an address, a name or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "ids", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Mail the link of an invitation.
    SendInvitation {
        /// The invitation.
        invitation: InvitationId,
        /// The number of the letter; a newer letter replaces an older one.
        letter: i64,
    },
    /// Mail the link again shortly before the invitation expires.
    SendReminder {
        /// The invitation.
        invitation: InvitationId,
        /// The letter that the reminder repeats.
        letter: i64,
    },
    /// Mail a notice of an event.
    SendNotice {
        /// The event.
        event: EventId,
    },
    /// Delete the sessions that ended with a membership.
    PurgeSessions {
        /// The user whose sessions ended; `None` for all members of a deleted organization.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
}

/// The priority of a message among those that are due; lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(i64);

impl Priority {
    /// Purges of sessions, before any letter.
    pub const URGENT: Self = Self(0);
    /// Letters.
    pub const LETTER: Self = Self(1);

    /// Returns the number stored with the message.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl Task {
    /// Returns the kind and the ids as they are stored.
    fn spelled(&self) -> (String, Json) {
        let mut tagged = serde_json::to_value(self).expect("a task holds nothing but ids");
        let kind = tagged["kind"].as_str().unwrap_or_default().to_owned();
        (kind, tagged["ids"].take())
    }

    /// Returns the priority of the task.
    pub fn priority(&self) -> Priority {
        match self {
            Self::PurgeSessions { .. } => Priority::URGENT,
            _ => Priority::LETTER,
        }
    }
}

/// Writes messages in the transaction of the change.
pub(crate) async fn push(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    tasks: &[(OrganizationId, Task)],
) -> Result<(), Error> {
    Ok(connection.insert(vec![messages(now, tasks)]).await?)
}

/// Returns the rows of the messages for some tasks.
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

/// A message as a worker reads it.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct Message {
    /// The id, also of the letter sent for it.
    pub id: MessageId,
    /// The kind of task; a newer version may write kinds that this one does not know.
    pub kind: String,
    /// The ids of the task.
    pub ids: Json,
    /// The organization.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// The time from which it may run.
    pub run_at: DateTime<Utc>,
    /// The time it was written.
    pub created_at: DateTime<Utc>,
    /// The number of attempts.
    pub attempts: i64,
    /// The number of attempts that failed for another reason than the recipient's mail server.
    pub faults: i64,
    /// The number of attempts that were refused for a reason that later attempts have to confirm.
    pub refusals: i64,
    /// The time of the first of these refusals.
    pub refused_at: Option<DateTime<Utc>>,
    /// The fencing token: it increases with every lease.
    pub generation: i64,
    /// The time until which a worker holds it.
    pub leased_until: Option<DateTime<Utc>>,
    /// The time at which it was leased, unless a worker of an earlier release did it.
    pub leased_at: Option<DateTime<Utc>>,
    /// The `Date` of its letter, if the mail server may have received it already.
    pub letter_date: Option<DateTime<Utc>>,
    /// The number of workers that may have ended because of its task. `None` if its previous lease did
    /// not expire.
    pub crashes: Option<i64>,
    /// The time at which it was given up.
    pub dead_at: Option<DateTime<Utc>>,
    /// The text of the last error.
    pub last_error: Option<String>,
    /// The span of the change that wrote it, as a W3C `traceparent`, if the host is built with the
    /// feature `opentelemetry` and was in a trace.
    pub trace_parent: Option<String>,
}

impl Message {
    /// Returns the task; `None` if this version does not know the kind or the ids do not fit.
    pub fn task(&self) -> Option<Task> {
        serde_json::from_value(json!({ "kind": self.kind, "ids": self.ids })).ok()
    }

    /// Returns the ticket of its latest lease.
    pub fn ticket(&self) -> Ticket {
        Ticket::new(self.id, self.generation)
    }

    /// Returns the `Date` of its letter under this lease: the time of the lease under which the mail
    /// server was first sent the letter, or may have been. Every attempt from then on has the same.
    pub fn date(&self) -> DateTime<Utc> {
        let leased_at = self.leased_at.unwrap_or(self.created_at);
        self.letter_date.unwrap_or(leased_at)
    }

    /// Returns the state as of `now`.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match (self.dead_at, self.leased_until) {
            (Some(_), _) => State::Dead,
            (None, Some(until)) if until > now => State::Leased,
            (None, _) => State::Ready,
        }
    }
}

crate::text_enum::text_enum! {
    /// The state of a message.
    State {
        /// Waiting until it is due or leased.
        Ready = "ready",
        /// Leased by a worker.
        Leased = "leased",
        /// Given up; an operator has to retry or discard it.
        Dead = "dead",
    }
}

const COLUMNS: &str = "id, kind, ids, organization_id, run_at, created_at, attempts, faults, \
                       refusals, refused_at, generation, leased_until, leased_at, letter_date, crashes, \
                       dead_at, last_error, trace_parent";
