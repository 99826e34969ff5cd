//! Time-driven tasks: expiry, reminders, retention, and the comparison of clocks.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::context::Context;
use crate::job::{Retention, expire_invitations, forget_old, remind};
use crate::mail_pause::MailPause;
use crate::skew::DatabaseClock;

/// The interval at which invitations and the clock are checked.
const EVERY: Duration = Duration::from_secs(1);

/// The interval at which old history is deleted.
const RETENTION_EVERY: Duration = Duration::from_secs(600);

/// The divisor of a batch's duration that gives the pause after it, so that a million overdue
/// invitations do not delay the letters that the same database has to record.
const REST: u32 = 4;

/// Runs the time-driven tasks until it is stopped.
#[derive(Clone)]
pub(crate) struct Scheduler {
    pub(crate) context: Context,
    /// The time before expiry at which an invitee is reminded.
    pub(crate) reminder: Option<Duration>,
    pub(crate) retention: Retention,
    pub(crate) clock: DatabaseClock,
}

impl Scheduler {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut forget_at = Instant::now();
        let mut mail_pause = MailPause::new(self.context.clone(), self.clock.clone());
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let result = async {
                self.clock.set().await;
                mail_pause.update().await?;
                self.sweep(&stop).await?;
                if Instant::now() >= forget_at {
                    self.forget(&stop).await?;
                    forget_at = Instant::now() + RETENTION_EVERY;
                }
                Ok::<(), guestlist::Error>(())
            };
            if let Err(error) = result.await {
                warn!(%error, "the scheduler failed; expiry, reminders and retention are retried: {error}");
            }
        }
        if let Err(error) = mail_pause.withdraw().await {
            warn!(%error, "the end of the pause of sending was not recorded; it shows for some minutes more: {error}");
        }
    }

    /// Expires and reminds what is due.
    pub(crate) async fn sweep(&self, stop: &CancellationToken) -> Result<(), guestlist::Error> {
        let context = &self.context;
        self.repeat(stop, || expire_invitations(context)).await?;
        if let Some(lead) = self.reminder {
            self.repeat(stop, || remind(context, lead)).await?;
        }
        Ok(())
    }

    async fn forget(&self, stop: &CancellationToken) -> Result<(), guestlist::Error> {
        self.repeat(stop, || forget_old(&self.context, self.retention))
            .await
    }

    /// Runs batches until one reports that there are no more, with a pause after each.
    async fn repeat<F: Future<Output = Result<bool, guestlist::Error>>>(
        &self,
        stop: &CancellationToken,
        batch: impl Fn() -> F,
    ) -> Result<(), guestlist::Error> {
        while self.may_go_on(stop) {
            let began = Instant::now();
            if !batch().await? {
                break;
            }
            tokio::time::sleep(began.elapsed() / REST).await;
        }
        Ok(())
    }

    fn may_go_on(&self, stop: &CancellationToken) -> bool {
        !stop.is_cancelled() && !self.clock.is_too_skewed()
    }
}
