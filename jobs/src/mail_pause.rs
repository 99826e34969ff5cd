//! The announcement that no letter leaves, for the readers of invitations.

use guestlist::{Error, worker};

use crate::context::Context;
use crate::mailer::Unavailable;
use crate::skew::DatabaseClock;
use crate::worker_id::worker_id;

/// Announces in the database that this worker's mailer sends nothing now, and withdraws it.
///
/// Only readers of invitations see it. Other workers go on by what they learn themselves: the cause
/// may be this machine's.
pub(crate) struct MailPause {
    context: Context,
    clock: DatabaseClock,
    is_announced: bool,
}

impl MailPause {
    pub(crate) fn new(context: Context, clock: DatabaseClock) -> Self {
        Self {
            context,
            clock,
            is_announced: false,
        }
    }

    /// Announces the pause with its next try, or withdraws it once letters pass again. To be called
    /// once a second; it uses the database only in a pause and at its end.
    pub(crate) async fn update(&mut self) -> Result<(), Error> {
        let Some(Unavailable { why, retry_after }) = self.context.mailer.stopped() else {
            return self.withdraw().await;
        };
        let now = self.clock.now();
        let mut connection = self.context.database.acquire().await?;
        worker::pause_mail(&mut connection, now, now + retry_after, worker_id(), &why).await?;
        self.is_announced = true;
        Ok(())
    }

    /// Withdraws the announcement of this worker, if there is one.
    pub(crate) async fn withdraw(&mut self) -> Result<(), Error> {
        if self.is_announced {
            let mut connection = self.context.database.acquire().await?;
            worker::resume_mail(&mut connection).await?;
            self.is_announced = false;
        }
        Ok(())
    }
}
