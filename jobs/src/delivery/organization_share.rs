//! The share of the connections to the mail server that the letters of one organization may use.
//!
//! A server may leave some recipients without an answer for minutes: RFC 5321 section 4.5.3.2 lets it
//! take 5 minutes for a recipient and 10 for a letter. If all letters of one organization go to such
//! recipients, the rest of the connections still carries the letters of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use guestlist::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::not_admitted::NotAdmitted;
use crate::back_off::jittered;

/// The time without an answer to any letter of an organization after which its other letters no longer
/// wait, because each of them keeps a job from running.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay before such a letter is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// The interval at which the log repeats that the letters of an organization wait.
const REMINDER: Duration = Duration::from_secs(300);

/// The shares of all organizations.
pub(super) struct OrganizationShares {
    /// The number of connections that one organization may use.
    most: usize,
    shares: Mutex<HashMap<OrganizationId, Weak<Share>>>,
}

struct Share {
    connections: Arc<Semaphore>,
    times: Mutex<Times>,
}

struct Times {
    /// The time at which a letter last ended, or the share was created.
    answered: Instant,
    /// The time at which the log last said that letters wait.
    warned: Option<Instant>,
}

/// The right to use one connection of the share, until it is dropped.
pub(super) struct SharePermit {
    share: Arc<Share>,
    _connection: OwnedSemaphorePermit,
}

impl OrganizationShares {
    /// Makes shares of all connections but an eighth of them, rounded up; of all, if there are fewer
    /// than five.
    pub(super) fn of(connections: usize) -> Self {
        let rest = match connections {
            0..5 => 0,
            connections => connections.div_ceil(8),
        };
        Self {
            most: connections - rest,
            shares: Mutex::default(),
        }
    }

    /// Waits until the organization may use another connection, as long as its letters are answered.
    pub(super) async fn permit(
        &self,
        organization: OrganizationId,
    ) -> Result<SharePermit, NotAdmitted> {
        let share = self.share(organization);
        loop {
            let acquired = Arc::clone(&share.connections).acquire_owned();
            match timeout(UNANSWERED_TIMEOUT, acquired).await {
                Ok(Ok(connection)) => {
                    return Ok(SharePermit {
                        share,
                        _connection: connection,
                    });
                }
                Ok(Err(_)) => return Err(NotAdmitted::Stopping),
                Err(_) if share.lock().answered.elapsed() < UNANSWERED_TIMEOUT => {}
                Err(_) => {
                    share.warn(organization, self.most);
                    return Err(NotAdmitted::Unavailable {
                        why: "the mail server has not answered the other letters of this organization yet"
                            .to_owned(),
                        retry_after: jittered(RETRY_DELAY),
                    });
                }
            }
        }
    }

    fn share(&self, organization: OrganizationId) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&organization).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Share {
            connections: Arc::new(Semaphore::new(self.most)),
            times: Mutex::new(Times {
                answered: Instant::now(),
                warned: None,
            }),
        });
        shares.insert(organization, Arc::downgrade(&share));
        share
    }
}

impl Share {
    fn lock(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once in a while that letters of this organization wait.
    fn warn(&self, organization: OrganizationId, most: usize) {
        let now = Instant::now();
        let mut times = self.lock();
        if times.warned.is_some_and(|warned| now - warned < REMINDER) {
            return;
        }
        times.warned = Some(now);
        let silence = now - times.answered;
        warn!(
            %organization,
            "the mail server has answered none of {most} letters of organization {organization} for {} s; its \
             other letters wait, and those of other organizations are sent",
            silence.as_secs()
        );
    }
}

impl Drop for SharePermit {
    fn drop(&mut self) {
        self.share.lock().answered = Instant::now();
    }
}
