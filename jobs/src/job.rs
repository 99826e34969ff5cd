//! Jobs: what a message asks for, done.
//!
//! A job reads the state of now, acts, and returns what should happen [`Next`]. It never settles
//! its message itself; one place does that for all.

mod back_off;
mod desk;
mod expire_invitations;
mod forget_old;
mod pace;
mod posting;
mod purge_sessions;
mod remind;
mod send_invitation;
mod send_notice;

use std::time::Duration;

use guestlist::outbox::{Cost, Message, Task};
use guestlist::worker::DeliveryReport;

pub(crate) use self::desk::{Desk, JOBS_A_CONNECTION, Unrecorded};
pub(crate) use self::expire_invitations::expire_invitations;
pub(crate) use self::forget_old::{Retention, forget_old};
pub(crate) use self::remind::remind;
use self::send_invitation::Numbered;
use crate::context::Context;
use crate::leases::Held;
use crate::metrics::{Metrics, RunOutcome};

/// What should happen to a message after its job ran.
#[derive(Debug)]
pub enum Next {
    /// Its effect is confirmed.
    Done,
    /// There is nothing to do any more.
    Cancel {
        /// Why.
        why: String,
    },
    /// It is to be tried again.
    Retry {
        /// After how long.
        after: Duration,
        /// Why.
        why: String,
        /// What it costs the message.
        cost: Cost,
    },
    /// Someone has to look at it.
    Dead {
        /// Why.
        why: String,
    },
}

/// What a job did: what is next, and what to record in the same transaction.
#[derive(Debug)]
pub struct Outcome {
    /// What should happen to the message.
    pub next: Next,
    /// How an invitation's letter fared, where the job sent one or decided not to.
    pub report: Option<DeliveryReport>,
    /// The place of a letter that left, which is free again when the outcome is recorded.
    pub(crate) place: Option<Unrecorded>,
}

impl Next {
    /// What the run counts as.
    pub(crate) fn run_outcome(&self) -> RunOutcome {
        match self {
            Self::Done => RunOutcome::Done,
            Self::Cancel { .. } => RunOutcome::Cancelled,
            Self::Retry { cost, .. } => RunOutcome::put_back(*cost),
            Self::Dead { .. } => RunOutcome::Dead,
        }
    }
}

impl From<Next> for Outcome {
    fn from(next: Next) -> Self {
        Self {
            next,
            report: None,
            place: None,
        }
    }
}

impl Outcome {
    /// Nothing to do any more, because of `why`.
    pub(crate) fn cancelled(why: impl Into<String>) -> Self {
        Next::Cancel { why: why.into() }.into()
    }
}

/// A fault of what a job stands on; the message is tried again with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The library or its database failed.
    #[error(transparent)]
    Library(#[from] guestlist::Error),
    /// A letter could not be written.
    #[error("the letter could not be written: {0}")]
    Letter(#[from] crate::letters::LetterError),
}

/// How often a message is tried whose job fails by itself, before it is given up.
const MAX_FAULTS: i64 = 10;

/// Runs the job of a message and says what is next, whatever happens to the job.
pub(crate) async fn run(
    context: &Context,
    desk: &Desk,
    metrics: &Metrics,
    message: &Message,
    held: &Held,
) -> Outcome {
    let Some(task) = message.task() else {
        let why = format!("this version knows no task {} with such ids", message.kind);
        return Next::Dead { why }.into();
    };
    let outcome = match &task {
        Task::SendInvitation { invitation, letter } => {
            let letter = Numbered::new(*invitation, *letter, false);
            send_invitation::run(context, desk, message, held, letter).await
        }
        Task::SendReminder { invitation, letter } => {
            let letter = Numbered::new(*invitation, *letter, true);
            send_invitation::run(context, desk, message, held, letter).await
        }
        Task::SendNotice { event } => send_notice::run(context, desk, message, held, *event).await,
        Task::PurgeSessions { user } => {
            Ok(purge_sessions::run(context, metrics, message, user.as_ref()).await)
        }
        _ => Ok(Next::Dead {
            why: format!("this version has no job for {}", message.kind),
        }
        .into()),
    };
    outcome.unwrap_or_else(|fault| failed(message, &fault.to_string()))
}

/// What is next for a message whose job failed or panicked.
pub(crate) fn failed(message: &Message, why: &str) -> Outcome {
    let why = why.to_owned();
    if message.faults + 1 >= MAX_FAULTS {
        return Next::Dead { why }.into();
    }
    let after = back_off::after_fault(message.faults);
    Next::Retry {
        after,
        why,
        cost: Cost::Fault,
    }
    .into()
}
