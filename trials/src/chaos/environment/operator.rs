//! The retries that an operator makes after the faults.

use chrono::{TimeDelta, Utc};
use guestlist::outbox::{self, Message, State};

use super::Environment;
use crate::oracle;

/// Number of messages that the operator retried.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ManualRetries {
    /// Messages whose next attempt the recipient's server had deferred for minutes.
    pub(crate) deferred: usize,
    /// Messages that were given up.
    pub(crate) dead: usize,
}

impl Environment {
    /// Retries dead messages and those that a recipient's server deferred for minutes, as an operator
    /// does after an outage.
    pub(crate) async fn retry_manually(&mut self) -> anyhow::Result<()> {
        let mut connection = self.database.acquire().await?;
        let now = Utc::now();
        let soon = now + TimeDelta::seconds(2);
        let ready = outbox::list(&mut connection, now, State::Ready, None, 100_000).await?;
        // An attempt that is not counted as a fault was deferred by the recipient's server.
        let is_deferred =
            |message: &&Message| message.run_at > soon && message.attempts > message.faults;
        for message in ready.iter().filter(is_deferred) {
            self.manual_retries.deferred +=
                usize::from(outbox::retry(&mut connection, now, message.id).await?);
        }
        let dead = outbox::list(&mut connection, now, State::Dead, None, 100_000).await?;
        oracle::record_dead(&self.database, &dead).await?;
        outbox::retry_dead(&mut connection, now).await?;
        self.manual_retries.dead += dead.len();
        Ok(())
    }
}
