//! What a person does by hand when the trouble is over.

use chrono::{TimeDelta, Utc};
use guestlist::outbox::{self, Message, State};

use super::Stage;
use crate::oracle;

/// What an operator's retries were about.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ByHand {
    /// What a recipient's server had put off for minutes.
    pub(crate) put_off: usize,
    /// What was set aside as dead.
    pub(crate) dead: usize,
}

impl Stage {
    /// What an operator does when the trouble is over: has another look at what was set aside, and
    /// does not wait for the next attempt at what a recipient's server put off for minutes.
    pub(crate) async fn operate(&mut self) -> anyhow::Result<()> {
        let mut connection = self.database.acquire().await?;
        let now = Utc::now();
        let soon = now + TimeDelta::seconds(2);
        let ready = outbox::list(&mut connection, now, State::Ready, None, 100_000).await?;
        // An attempt that is no fault was spent because the recipient's server asked to wait.
        let is_put_off =
            |message: &&Message| message.run_at > soon && message.attempts > message.faults;
        for message in ready.iter().filter(is_put_off) {
            self.by_hand.put_off +=
                usize::from(outbox::retry(&mut connection, now, message.id).await?);
        }
        let dead = outbox::list(&mut connection, now, State::Dead, None, 100_000).await?;
        oracle::note_dead(&self.database, &dead).await?;
        outbox::retry_dead(&mut connection, now).await?;
        self.by_hand.dead += dead.len();
        Ok(())
    }
}
