//! The result of a job.

use guestlist::Attempt;
use guestlist::worker::DeliveryReport;

use crate::delivery::UnsettledPermit;
use crate::next::Next;

/// The result of a job: the next step, and what to record in the same transaction.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The next step of the message.
    pub(crate) next: Next,
    /// The delivery state of an invitation's letter, if the job sent one or decided not to.
    pub(crate) report: Option<DeliveryReport>,
    /// The attempt to send a letter, if there was one.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// The permit of a letter that was sent; it is released when the outcome is recorded.
    pub(crate) unsettled: Option<UnsettledPermit>,
}

impl From<Next> for Outcome {
    fn from(next: Next) -> Self {
        Self {
            next,
            report: None,
            attempt: None,
            unsettled: None,
        }
    }
}

impl Outcome {
    /// Cancels the message because of `why`.
    pub(crate) fn cancelled(why: impl Into<String>) -> Self {
        Next::Cancel { why: why.into() }.into()
    }
}
