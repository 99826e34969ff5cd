//! What is due by the clock: expiry, reminders, retention, and a look at the clock itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::context::Context;
use crate::job::{Retention, expire_invitations, forget_old, remind};
use crate::skew;

/// How often it looks at invitations and at the clock.
const EVERY: Duration = Duration::from_secs(1);

/// How often it deletes old history.
const RETENTION_EVERY: Duration = Duration::from_secs(600);

/// Sweeps until stopped.
pub(crate) struct Scheduler {
    pub(crate) context: Context,
    /// How long before expiry an invitee is reminded.
    pub(crate) reminder: Option<Duration>,
    pub(crate) retention: Retention,
    /// Set while the clocks disagree too much.
    pub(crate) stands_down: Arc<AtomicBool>,
}

impl Scheduler {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut forget_at = Instant::now();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let result = async {
                self.look_at_the_clock().await;
                self.sweep(&stop).await?;
                if Instant::now() >= forget_at {
                    self.forget(&stop).await?;
                    forget_at = Instant::now() + RETENTION_EVERY;
                }
                Ok::<(), guestlist::Error>(())
            };
            if let Err(error) = result.await {
                warn!(%error, "the scheduler could not work, trying again: {error}");
            }
        }
    }

    /// Stands the worker down while its clock cannot be trusted.
    pub(crate) async fn look_at_the_clock(&self) {
        let skew = match skew::clock_skew(&self.context.library, &self.context.database).await {
            Ok(skew) => skew,
            Err(error) => return warn!(%error, "the database was not asked the time: {error}"),
        };
        let is_too_much = skew::is_too_much(skew);
        let was_too_much = self.stands_down.swap(is_too_much, Ordering::Relaxed);
        let seconds = skew.num_seconds();
        if is_too_much && !was_too_much {
            error!(
                seconds,
                "this machine's clock is {seconds} s off the database's; nothing is done until it is set"
            );
        } else if was_too_much && !is_too_much {
            info!("the clocks agree again");
        }
    }

    /// Brings invitations up to date with the time.
    pub(crate) async fn sweep(&self, stop: &CancellationToken) -> Result<(), guestlist::Error> {
        while self.may_go_on(stop) && expire_invitations(&self.context).await? {}
        if let Some(lead) = self.reminder {
            while self.may_go_on(stop) && remind(&self.context, lead).await? {}
        }
        Ok(())
    }

    async fn forget(&self, stop: &CancellationToken) -> Result<(), guestlist::Error> {
        while self.may_go_on(stop) && forget_old(&self.context, self.retention).await? {}
        Ok(())
    }

    fn may_go_on(&self, stop: &CancellationToken) -> bool {
        !stop.is_cancelled() && !self.stands_down.load(Ordering::Relaxed)
    }
}
