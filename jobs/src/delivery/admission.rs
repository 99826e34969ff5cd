//! Admission of letters to the mail server.
//!
//! At most one letter for each connection is at the mail server, and no organization has all connections. A letter that was sent keeps a permit
//! until its outcome is recorded, and there are two such permits for each connection: this bounds the
//! letters that are sent twice if the process is killed.

use std::sync::Arc;

use guestlist::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::not_admitted::NotAdmitted;
use super::organization_share::{OrganizationShares, SharePermit};
use super::rate_wait::RateWait;
use crate::mailer::Mailer;
use crate::metrics::Metrics;
use crate::rate_limiter::RateLimiter;

/// The number of jobs that run at once for each connection to the mail server.
pub(crate) const JOBS_A_CONNECTION: usize = 4;

/// The number of letters for each connection that may be sent or about to be sent without a recorded
/// outcome.
const UNSETTLED_A_CONNECTION: usize = 2;

/// The permits of one worker.
pub(super) struct Admission {
    shares: OrganizationShares,
    sending: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
    rate: Option<RateWait>,
    mailer: Mailer,
}

/// The right to send a letter, until it is dropped.
pub(super) struct SendPermit {
    _share: SharePermit,
    _sending: OwnedSemaphorePermit,
    unsettled: OwnedSemaphorePermit,
}

/// The permit of a letter that was sent, dropped once its outcome is recorded.
#[derive(Debug)]
pub(crate) struct UnsettledPermit(#[allow(dead_code)] OwnedSemaphorePermit);

impl SendPermit {
    /// Lets another letter be sent.
    pub(super) fn into_unsettled(self) -> UnsettledPermit {
        UnsettledPermit(self.unsettled)
    }
}

impl Admission {
    pub(super) fn new(
        mailer: Mailer,
        rate_limiter: Option<RateLimiter>,
        metrics: Metrics,
        connections: usize,
    ) -> Self {
        let connections = connections.max(1);
        Self {
            shares: OrganizationShares::of(connections),
            sending: Arc::new(Semaphore::new(connections)),
            unsettled: Arc::new(Semaphore::new(connections * UNSETTLED_A_CONNECTION)),
            rate: rate_limiter.map(|limiter| RateWait::new(limiter, metrics)),
            mailer,
        }
    }

    /// Waits until a letter of the organization may be sent and the rate limit allows it.
    pub(super) async fn permit(
        &self,
        organization: OrganizationId,
    ) -> Result<SendPermit, NotAdmitted> {
        let acquire = async |of: &Arc<Semaphore>| {
            let permit = Arc::clone(of).acquire_owned().await;
            permit.map_err(|_| NotAdmitted::Stopping)
        };
        let permit = SendPermit {
            _share: self.shares.permit(organization).await?,
            unsettled: acquire(&self.unsettled).await?,
            _sending: acquire(&self.sending).await?,
        };
        if let Some(rate) = &self.rate {
            rate.wait(&self.mailer).await?;
        }
        Ok(permit)
    }
}
