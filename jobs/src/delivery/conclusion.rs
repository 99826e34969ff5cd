//! The translation of a verdict into the next step of a letter.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::outbox::{Cost, Message};

use super::retry_schedule;
use crate::back_off::BackOff;
use crate::mailer::{Verdict, VerdictClass};
use crate::next::Next;

/// The number of times the same letter may be left without an answer before a person has to look at
/// it.
const MAX_UNKNOWN: i64 = 20;

/// The delay of a letter that was left without an answer, which its recipient may have got.
const UNANSWERED: BackOff = BackOff::new(Duration::from_millis(500), Duration::from_secs(1800));

/// The number of refusals, and the time from the first to the last, after which a refusal is final.
const CONFIRMED: (i64, TimeDelta) = (3, TimeDelta::hours(2));

/// The meaning of a verdict for a letter.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// The mail server has accepted it.
    Accepted,
    /// It is tried again, and its sender is told the server's words.
    Deferred { next: Next, text: String },
    /// It is tried again for a reason other than the recipient.
    Waiting(Next),
    /// The recipient will never get it.
    Failed {
        text: String,
        /// True if the mailbox is missing, so that no other letter can reach it either.
        suppresses: bool,
    },
    /// It can never be sent; a person has to look at it.
    Dead { text: String },
}

impl Conclusion {
    /// Draws the conclusion from a verdict. `others_were_accepted` tells whether the server accepted
    /// other letters since the first refusal of this one; it is asked only if that decides.
    pub(crate) async fn of<E>(
        message: &Message,
        now: DateTime<Utc>,
        verdict: Verdict,
        others_were_accepted: impl AsyncFnOnce(DateTime<Utc>) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let Verdict {
            class,
            detail,
            retry_after,
        } = verdict;
        let text = detail.text;
        let suppresses = detail.says_mailbox_is_missing;
        Ok(match class {
            VerdictClass::Accepted => Self::Accepted,
            VerdictClass::Refused => Self::Failed { text, suppresses },
            VerdictClass::Provisional => match first_refusal_if_many(message, now) {
                Some(first) if others_were_accepted(first).await? => {
                    Self::Failed { text, suppresses }
                }
                _ => {
                    let after = retry_schedule::after_refusal(message.refusals);
                    Self::deferred(text, after, Cost::Refusal)
                }
            },
            VerdictClass::Deferred => {
                let deferrals = message.attempts - message.faults - message.refusals;
                let after = match retry_after.is_zero() {
                    true => retry_schedule::after_deferral(deferrals),
                    false => retry_schedule::after_doubtful_deferral(deferrals, retry_after),
                };
                Self::deferred(text, after, Cost::Attempt)
            }
            VerdictClass::Unknown if message.faults >= MAX_UNKNOWN => Self::Dead { text },
            VerdictClass::Unknown => {
                let after = retry_after.max(UNANSWERED.after(message.faults + 1));
                Self::waiting(text, after, Cost::Fault)
            }
            VerdictClass::Throttled
            | VerdictClass::ServerFault
            | VerdictClass::SenderRefused
            | VerdictClass::NotTried => Self::waiting(text, retry_after, Cost::Nothing),
        })
    }

    fn deferred(text: String, after: Duration, cost: Cost) -> Self {
        let why = text.clone();
        Self::Deferred {
            next: Next::Retry { after, why, cost },
            text,
        }
    }

    fn waiting(why: String, after: Duration, cost: Cost) -> Self {
        Self::Waiting(Next::Retry { after, why, cost })
    }
}

/// Returns the time of the first refusal of a letter that was refused often and long enough, this
/// refusal included.
fn first_refusal_if_many(message: &Message, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (times, span) = CONFIRMED;
    let first = message.refused_at?;
    (message.refusals + 1 >= times && now - first >= span).then_some(first)
}
