//! Admission of letters to the mail server.
//!
//! More jobs run at once than there are connections, so that reading, rendering and recording
//! overlap with sending. At most one letter per connection is at the mail server. A letter that was
//! sent keeps a permit until its outcome is recorded, and there are two such permits per
//! connection: this bounds the letters that are sent twice if the process is killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use guestlist::InvitationId;
use guestlist::worker::{LetterFacts, letter_facts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use crate::context::Context;
use crate::leases::Held;
use crate::loader::Loader;
use crate::mailer::Mailer;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::timestamped::Timestamped;

/// The number of jobs that run at once per connection to the mail server.
pub(crate) const JOBS_A_CONNECTION: usize = 4;

/// The number of letters per connection that may be sent or about to be sent without a recorded
/// outcome.
const UNSETTLED_A_CONNECTION: usize = 2;

/// The state shared by the jobs of one worker.
pub(crate) struct Desk {
    facts: Loader<InvitationId, LetterFacts>,
    turns: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
    pace: Pace,
    mailer: Mailer,
    stop: CancellationToken,
}

/// The right to talk to the mail server, until it is dropped.
pub(super) struct Turn {
    _at_the_server: OwnedSemaphorePermit,
    unsettled: OwnedSemaphorePermit,
}

/// The permit of a letter that was sent, dropped once its outcome is recorded.
#[derive(Debug)]
pub(crate) struct UnsettledPermit(#[allow(dead_code)] OwnedSemaphorePermit);

impl Turn {
    /// Lets another letter talk to the mail server.
    pub(super) fn end(self) -> UnsettledPermit {
        UnsettledPermit(self.unsettled)
    }
}

/// The reason why a letter may not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// The lease was lost while the letter waited.
    LeaseLost,
    /// The worker stops; another worker takes over the letters that were not admitted yet.
    Stopping,
    /// The circuit breaker of the mail server is open.
    Unavailable {
        /// The time until the next attempt.
        retry_after: Duration,
    },
}

impl Desk {
    pub(crate) fn new(
        context: &Context,
        queue: Queue,
        metrics: Metrics,
        turns: usize,
        stop: CancellationToken,
    ) -> Self {
        let guestlist = context.guestlist.clone();
        let facts = Loader::new(
            context.database.clone(),
            move |connection, ids: Vec<InvitationId>| {
                let guestlist = guestlist.clone();
                async move {
                    let found = letter_facts(&guestlist, connection, &ids).await?;
                    let by_id = |facts: LetterFacts| (facts.invitation.id, facts);
                    Ok(found.into_iter().map(by_id).collect())
                }
                .boxed()
            },
        );
        Self {
            facts,
            turns: Arc::new(Semaphore::new(turns.max(1))),
            unsettled: Arc::new(Semaphore::new(turns.max(1) * UNSETTLED_A_CONNECTION)),
            pace: Pace::new(queue, metrics),
            mailer: context.mailer.clone(),
            stop,
        }
    }

    /// Reads the data for the letter of an invitation; `None` if the invitation is gone.
    pub(super) async fn facts(
        &self,
        invitation: InvitationId,
    ) -> Result<Timestamped<Option<LetterFacts>>, guestlist::Error> {
        let asked = Instant::now();
        let value = self.facts.load(invitation).await?;
        Ok(Timestamped { value, asked })
    }

    /// Waits until the letter may be sent and the rate limit allows it.
    pub(super) async fn turn(&self, held: &Held) -> Result<Turn, NoTurn> {
        tokio::select! {
            biased;
            () = held.lost() => Err(NoTurn::LeaseLost),
            () = self.stop.cancelled() => Err(NoTurn::Stopping),
            turn = self.next_turn() => turn,
        }
    }

    async fn next_turn(&self) -> Result<Turn, NoTurn> {
        let permit = async |of: &Arc<Semaphore>| {
            let permit = Arc::clone(of).acquire_owned().await;
            permit.map_err(|_| NoTurn::Stopping)
        };
        let turn = Turn {
            unsettled: permit(&self.unsettled).await?,
            _at_the_server: permit(&self.turns).await?,
        };
        self.pace.keep(&self.mailer).await?;
        Ok(turn)
    }
}
