//! The result of a job.

use std::time::Duration;

use guestlist::outbox::Cost;
use guestlist::worker::DeliveryReport;

use super::desk::Unrecorded;
use crate::metrics::RunOutcome;

/// The next step of a message after its job ran.
#[derive(Debug)]
pub enum Next {
    /// The effect of the message is confirmed.
    Done,
    /// There is nothing to do any more.
    Cancel {
        /// The reason.
        why: String,
    },
    /// The job has to run again.
    Retry {
        /// The delay before the next run.
        after: Duration,
        /// The reason.
        why: String,
        /// The count that this run is added to.
        cost: Cost,
    },
    /// The job is given up; a person has to look at it.
    Dead {
        /// The reason.
        why: String,
    },
}

/// The result of a job: the next step, and what to record in the same transaction.
#[derive(Debug)]
pub struct Outcome {
    /// The next step of the message.
    pub next: Next,
    /// The delivery state of an invitation's letter, if the job sent one or decided not to.
    pub report: Option<DeliveryReport>,
    /// The permit of a letter that was sent; it is released when the outcome is recorded.
    pub(crate) place: Option<Unrecorded>,
}

impl Next {
    /// Returns the label under which the run is counted.
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
    /// Cancels the message because of `why`.
    pub(crate) fn cancelled(why: impl Into<String>) -> Self {
        Next::Cancel { why: why.into() }.into()
    }
}
