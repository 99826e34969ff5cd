//! The jobs, one per kind of message.
//!
//! A job reads the current state, acts, and returns what should happen [`Next`] to its message. It
//! never settles the message itself; settling is done in one place for all jobs.

mod expire_invitations;
mod forget_old;
mod letter;
mod outcome;
mod purge_sessions;
mod remind;
mod send_invitation;
mod send_notice;

use std::time::Duration;

use guestlist::outbox::{Cost, Message, Task};
use guestlist::worker;

pub(crate) use self::expire_invitations::expire_invitations;
pub(crate) use self::forget_old::{Retention, forget_old};
use self::letter::{LetterFactsLoader, letter_facts_loader};
pub(crate) use self::outcome::Outcome;
pub(crate) use self::remind::remind;
use self::send_invitation::LetterRef;
use crate::back_off::BackOff;
use crate::context::Context;
use crate::delivery::{Conclusion, Delivery};
use crate::leases::Held;
use crate::letters::LetterError;
use crate::mailer::Verdict;
use crate::metrics::Metrics;
pub(crate) use crate::next::Next;

/// The dependencies of the jobs of one worker.
pub(crate) struct Jobs {
    context: Context,
    delivery: Delivery,
    letter_facts: LetterFactsLoader,
    metrics: Metrics,
}

/// A failure of something the job depends on; the message is retried with back-off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The library or its database failed.
    #[error(transparent)]
    Library(#[from] guestlist::Error),
    /// A letter could not be rendered.
    #[error("the letter could not be rendered: {0}")]
    Letter(LetterError),
}

impl From<LetterError> for Fault {
    fn from(error: LetterError) -> Self {
        Self::Letter(error)
    }
}

/// The number of failures of a job after which its message is given up.
const MAX_FAULTS: i64 = 10;

/// The back-off after a failure of a job.
const BACK_OFF: BackOff = BackOff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(600),
};

impl Jobs {
    pub(crate) fn new(context: Context, delivery: Delivery, metrics: Metrics) -> Self {
        Self {
            letter_facts: letter_facts_loader(&context),
            context,
            delivery,
            metrics,
        }
    }

    /// Runs the job of a message and returns the next step, also if the job fails.
    pub(crate) async fn run(&self, message: &Message, held: &Held) -> Outcome {
        let Some(task) = message.task() else {
            let why = format!(
                "this version of the worker does not know the task {} with these ids",
                message.kind
            );
            return Next::Dead { why }.into();
        };
        let outcome = match &task {
            Task::SendInvitation { invitation, letter } => {
                let letter = LetterRef::new(*invitation, *letter, false);
                send_invitation::run(self, message, held, letter).await
            }
            Task::SendReminder { invitation, letter } => {
                let letter = LetterRef::new(*invitation, *letter, true);
                send_invitation::run(self, message, held, letter).await
            }
            Task::SendNotice { event } => send_notice::run(self, message, held, *event).await,
            Task::PurgeSessions { user } => {
                let Self {
                    context, metrics, ..
                } = self;
                Ok(purge_sessions::run(context, metrics, message, user.as_ref()).await)
            }
            _ => Ok(Next::Dead {
                why: format!("this version of the worker has no job for {}", message.kind),
            }
            .into()),
        };
        outcome.unwrap_or_else(|fault| failed(message, &fault.to_string()))
    }

    /// Draws the conclusion from the verdict on a letter.
    async fn conclude(&self, message: &Message, verdict: Verdict) -> Result<Conclusion, Fault> {
        let Context {
            guestlist,
            database,
            ..
        } = &self.context;
        // Boxed because few verdicts ask, and the future of every letter would hold its kilobytes.
        let others_were_accepted = async |since| {
            Box::pin(async move {
                let mut connection = database.acquire().await?;
                worker::accepted_since(&mut connection, since).await
            })
            .await
        };
        let now = guestlist.now();
        Ok(Conclusion::of(message, now, verdict, others_were_accepted).await?)
    }
}

/// Returns the next step of a message whose job failed or panicked.
pub(crate) fn failed(message: &Message, why: &str) -> Outcome {
    let why = why.to_owned();
    if message.faults + 1 >= MAX_FAULTS {
        return Next::Dead { why }.into();
    }
    Next::Retry {
        after: BACK_OFF.after(message.faults + 1),
        why,
        cost: Cost::Fault,
    }
    .into()
}
