//! Where letters are made ready and wait for their turn at the mail server.
//!
//! More jobs run at once than there are connections, so that reading, writing letters and recording
//! overlap with sending. As many have a turn as there are connections. A letter that left keeps a place
//! until its outcome is recorded, and there are two places for each connection: a process that is
//! killed repeats no more letters than that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use guestlist::InvitationId;
use guestlist::worker::LetterFacts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use crate::context::Context;
use crate::dated::Dated;
use crate::leases::Held;
use crate::loader::Loader;
use crate::mailer::Mailer;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// How many jobs are at work for each connection to the mail server.
pub(crate) const JOBS_A_CONNECTION: usize = 4;

/// How many letters may have left for each connection, or be about to, whose outcome is not recorded.
const UNRECORDED_A_CONNECTION: usize = 2;

/// What the jobs of one worker share.
pub(crate) struct Desk {
    facts: Loader<InvitationId, LetterFacts>,
    turns: Arc<Semaphore>,
    unrecorded: Arc<Semaphore>,
    pace: Pace,
    mailer: Mailer,
    stop: CancellationToken,
}

/// The right to be at the mail server, until it is dropped.
pub(super) struct Turn {
    _at_the_server: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
}

/// The place of a letter that left, until its outcome is recorded and this is dropped.
#[derive(Debug)]
pub(crate) struct Unrecorded(#[allow(dead_code)] OwnedSemaphorePermit);

impl Turn {
    /// Lets another letter have its turn.
    pub(super) fn end(self) -> Unrecorded {
        Unrecorded(self.place)
    }
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// The lease was lost while the letter waited.
    LeaseLost,
    /// The worker stops; another takes over what had no turn yet.
    Stopping,
    /// The mail server rests.
    Unavailable {
        /// For how long.
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
                    let found = guestlist.letter_facts(connection, &ids).await?;
                    let by_id = |facts: LetterFacts| (facts.invitation.id, facts);
                    Ok(found.into_iter().map(by_id).collect())
                }
                .boxed()
            },
        );
        Self {
            facts,
            turns: Arc::new(Semaphore::new(turns.max(1))),
            unrecorded: Arc::new(Semaphore::new(turns.max(1) * UNRECORDED_A_CONNECTION)),
            pace: Pace::new(queue, metrics),
            mailer: context.mailer.clone(),
            stop,
        }
    }

    /// Reads what a letter of an invitation needs, unless the invitation is gone.
    pub(super) async fn facts(
        &self,
        invitation: InvitationId,
    ) -> Result<Dated<Option<LetterFacts>>, guestlist::Error> {
        let asked = Instant::now();
        let value = self.facts.load(invitation).await?;
        Ok(Dated { value, asked })
    }

    /// Waits for a turn, and for the rate that is to be kept.
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
            place: permit(&self.unrecorded).await?,
            _at_the_server: permit(&self.turns).await?,
        };
        self.pace.keep(&self.mailer).await?;
        Ok(turn)
    }
}
