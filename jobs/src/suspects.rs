//! Messages that may have ended a worker: they are told from others and given up.
//!
//! A lease expires when its worker was killed, when its dispatch was lost, or when its worker had no
//! database. From then on each start of the message's job is counted. Where a worker ended after such a
//! start, the job runs alone among such jobs of its lane, so that the next end counts only for this
//! message; messages that were in flight beside it are done by then.

use std::sync::Arc;
use std::time::Duration;

use guestlist::Database;
use guestlist::outbox::{self, Cost, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::back_off::jittered;
use crate::deadline::in_time;
use crate::next::Next;
use crate::queue::Lane;

/// The number of counted crashes after which a message is given up. The first lease that expires is not
/// counted, the next crash may have hit it beside another message, and of the three after it, alone, one
/// may be chance, such as a machine that ran out of memory.
const MOST_CRASHES: i64 = 4;

/// The time that a job waits in its slot for its turn to run alone, and then the delay of its message,
/// which leaves the slot to others.
const TURN_DELAY: Duration = Duration::from_secs(1);

/// Admits messages whose earlier lease expired.
pub(crate) struct Suspects {
    database: Database,
    /// A permit for each lane, because urgent work must not wait for letters.
    alone: [(Lane, Arc<Semaphore>); 2],
}

/// The decision on a message.
pub(crate) enum Admission {
    /// Its job runs; the permit is held until its outcome is recorded.
    Run(Option<OwnedSemaphorePermit>),
    /// Its job does not run.
    Settle(Next),
}

impl Suspects {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            alone: Lane::ALL.map(|lane| (lane, Arc::new(Semaphore::new(1)))),
        }
    }

    /// Decides whether the job of a message runs now, and counts its start if an earlier lease expired.
    ///
    /// # Errors
    /// The database did not count it.
    pub(crate) async fn admit(
        &self,
        lane: Lane,
        message: &Message,
    ) -> Result<Admission, guestlist::Error> {
        let alone = match message.crashes {
            None => return Ok(Admission::Run(None)),
            Some(0) => None,
            Some(crashes) if crashes >= MOST_CRASHES => {
                let why = format!(
                    "{} workers in a row ended without a word while they ran this job, the last {} of \
                     them while they ran no other such job",
                    crashes + 1,
                    crashes - 1
                );
                return Ok(Admission::Settle(Next::Dead { why }));
            }
            Some(_) => match self.turn(lane).await {
                Some(alone) => Some(alone),
                None => {
                    return Ok(Admission::Settle(Next::Retry {
                        after: jittered(TURN_DELAY),
                        why: "a worker ended while it ran this job, so it waits to run alone"
                            .to_owned(),
                        cost: Cost::NotBegun,
                    }));
                }
            },
        };
        let counted = async {
            outbox::begin_counted(&mut self.database.acquire().await?, message.ticket()).await
        };
        in_time(counted).await?;
        Ok(Admission::Run(alone))
    }

    /// Waits for the permit to run alone in `lane`.
    async fn turn(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let (_, alone) = self.alone.iter().find(|(of, _)| *of == lane)?;
        let turn = timeout(TURN_DELAY, Arc::clone(alone).acquire_owned());
        turn.await.ok()?.ok()
    }
}
