//! The one way of a letter: state read, permit, connection, rendered, sent, verdict.
//!
//! Letters of invitations and notices go the same way. Several jobs run for each connection, so that
//! reading, waiting and recording overlap with sending.

mod admission;
mod conclusion;
mod not_admitted;
mod organization_share;
mod rate_wait;
#[cfg(test)]
mod replay;
mod retry_schedule;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::TryFutureExt;
use guestlist::outbox::Message;
use guestlist::{EmailAddress, Guestlist};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub(crate) use self::admission::{JOBS_A_CONNECTION, UnsettledPermit};
pub(crate) use self::conclusion::Conclusion;
pub(crate) use self::not_admitted::NotAdmitted;

use self::admission::Admission;
use crate::context::Context;
use crate::leases::Held;
use crate::mail::Mail;
use crate::mailer::{ClosedWhileIdle, LetterKey, Mailer, Verdict};
use crate::metrics::Metrics;
use crate::rate_limiter::RateLimiter;
use crate::timestamped::Timestamped;
use crate::trace;

/// A letter that a job wants to deliver: it reads the current state and renders the letter from it.
pub(crate) trait Letter {
    /// The state that the letter is rendered from.
    type State;
    /// The reason why there is nothing to send.
    type Error;

    /// Reads the current state.
    async fn read(&self) -> Result<Timestamped<Self::State>, Self::Error>;

    /// Returns the recipient.
    fn recipient<'a>(&self, state: &'a Self::State) -> &'a EmailAddress;

    /// Renders the letter.
    fn render(&self, state: &Self::State) -> Result<Mail, Self::Error>;
}

/// The delivery of the letters of one worker.
pub(crate) struct Delivery {
    guestlist: Guestlist,
    admission: Admission,
    mailer: Mailer,
    stop: CancellationToken,
}

/// The result of an attempt.
pub(crate) struct Delivered<S> {
    /// The state that the letter was rendered from.
    pub(crate) state: S,
    /// The time at which the attempt began, by the clock of the library.
    pub(crate) at: DateTime<Utc>,
    /// The duration of the attempt.
    pub(crate) took: Duration,
    /// The verdict of the mailer.
    pub(crate) verdict: Verdict,
    /// The permit of the letter, to be dropped once the outcome is recorded.
    pub(crate) unsettled: UnsettledPermit,
}

/// The reason why a letter was not attempted.
pub(crate) enum NotDelivered<E> {
    /// It may not be sent now.
    NotAdmitted(NotAdmitted),
    /// There is nothing to send, or it could not be rendered.
    Letter(E),
}

impl Delivery {
    pub(crate) fn new(
        context: &Context,
        rate_limiter: Option<RateLimiter>,
        metrics: Metrics,
        connections: usize,
        stop: CancellationToken,
    ) -> Self {
        let mailer = context.mailer.clone();
        Self {
            guestlist: context.guestlist.clone(),
            admission: Admission::new(mailer.clone(), rate_limiter, metrics, connections),
            mailer,
            stop,
        }
    }

    /// Attempts to deliver a letter while its lease is held.
    ///
    /// The state is read first, so that a pointless letter takes no permit, and again if it is stale
    /// once a connection is ready.
    ///
    /// # Errors
    /// [`NotDelivered`]; nothing was sent.
    pub(crate) async fn deliver<L: Letter>(
        &self,
        message: &Message,
        held: &Held,
        letter: &L,
    ) -> Result<Delivered<L::State>, NotDelivered<L::Error>> {
        let mut state = letter.read().await.map_err(NotDelivered::Letter)?;
        let key = LetterKey::new(
            letter.recipient(&state.value).as_str(),
            Some(message.organization),
        );
        let permit = self
            .unless_ended(held, self.admission.permit(message.organization))
            .await?;
        let span = trace::delivery(message);
        let mut began;
        let mut replaced = 0;
        let verdict = loop {
            let ready = self.mailer.ready(key, replaced).map_err(NotAdmitted::from);
            let ready = self.unless_ended(held, ready).await?;
            if !state.is_fresh() {
                state = letter.read().await.map_err(NotDelivered::Letter)?;
            }
            let mail = letter.render(&state.value).map_err(NotDelivered::Letter)?;
            began = (self.guestlist.now(), Instant::now());
            let sending = ready
                .send(&mail, held.send_guard())
                .instrument(span.clone());
            let sent = tokio::select! {
                biased;
                () = held.lost() => return Err(NotAdmitted::LeaseLost.into()),
                sent = sending => sent,
            };
            match sent {
                Ok(verdict) => break verdict,
                Err(ClosedWhileIdle) => replaced += 1,
            }
        };
        trace::delivered(&span, &verdict);
        Ok(Delivered {
            state: state.value,
            at: began.0,
            took: began.1.elapsed(),
            verdict,
            unsettled: permit.into_unsettled(),
        })
    }

    /// Waits, unless the lease is lost or the worker stops meanwhile.
    async fn unless_ended<T>(
        &self,
        held: &Held,
        waiting: impl Future<Output = Result<T, NotAdmitted>>,
    ) -> Result<T, NotAdmitted> {
        tokio::select! {
            biased;
            () = held.lost() => Err(NotAdmitted::LeaseLost),
            () = self.stop.cancelled() => Err(NotAdmitted::Stopping),
            result = waiting => result,
        }
    }
}

impl<E> From<NotAdmitted> for NotDelivered<E> {
    fn from(reason: NotAdmitted) -> Self {
        Self::NotAdmitted(reason)
    }
}
