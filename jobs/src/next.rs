//! The next step of a message.

use std::time::Duration;

use guestlist::outbox::Cost;

use crate::metrics::RunOutcome;

/// The next step of a message after its job ran.
#[derive(Debug)]
pub(crate) enum Next {
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
