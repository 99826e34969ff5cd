//! The leases this process holds, and their renewal.
//!
//! A lease lives for [`LEASE`] and is renewed while its job runs. Whatever could not be renewed in
//! time counts as lost here before anyone else can have it, because the time is taken before the
//! renewal is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use guestlist::{Database, MessageId, outbox};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::deadline::in_time;
use crate::failpoint::fail_point;
use crate::loader::Loader;
use crate::skew::DatabaseClock;

/// How long a lease lives without renewal: a dead process's rows come back after as long.
pub(crate) const LEASE: Duration = Duration::from_secs(20);

/// How often running leases are renewed. A job may start on a lease that outlives two renewals, so
/// that one may fail; a lease with less left is renewed first.
const RENEWAL: Duration = Duration::from_secs(5);

/// All leases of jobs that run in this process.
#[derive(Clone)]
pub(crate) struct Leases {
    database: Database,
    clock: DatabaseClock,
    messages: Loader<(MessageId, i64), outbox::Message>,
    held: Arc<Mutex<HashMap<MessageId, Entry>>>,
}

struct Entry {
    generation: i64,
    /// Whether its message was read. Until then it is not renewed, so that a read that hangs leaves it
    /// to others.
    is_taken: bool,
    until: watch::Sender<Instant>,
}

/// One job's hold on its message; dropping it ends the renewal.
pub(crate) struct Held {
    leases: Leases,
    id: MessageId,
    generation: i64,
    until: watch::Receiver<Instant>,
}

impl Leases {
    pub(crate) fn new(database: Database, clock: DatabaseClock) -> Self {
        let messages = Loader::new(
            database.clone(),
            |connection, leases: Vec<(MessageId, i64)>| {
                async move {
                    let taken = outbox::take_all(connection, &leases).await?;
                    let by_lease =
                        |message: outbox::Message| ((message.id, message.generation), message);
                    Ok(taken.into_iter().map(by_lease).collect())
                }
                .boxed()
            },
        );
        Self {
            database,
            clock,
            messages,
            held: Arc::default(),
        }
    }

    /// Takes a dispatched message into this process's hands, or `None` if its fence moved.
    pub(crate) async fn take(
        &self,
        id: MessageId,
        generation: i64,
    ) -> Result<Option<(outbox::Message, Held)>, guestlist::Error> {
        let asked = Instant::now();
        // Entered before it is read: whoever had it until now has recorded what became of it, and the
        // row that is read next is gone.
        let Some(held) = self.hold(id, generation, asked) else {
            return Ok(None);
        };
        let Some(message) = self.messages.load((id, generation)).await? else {
            return Ok(None);
        };
        let left = message.leased_until.map(|until| until - self.clock.now());
        let left = left.and_then(|left| left.to_std().ok()).unwrap_or_default();
        let until = if left > 2 * RENEWAL {
            asked + left
        } else {
            let until = self.clock.now() + LEASE;
            let ticket = [(id, generation)];
            let renewed = in_time(async {
                outbox::renew(&mut self.database.acquire().await?, until, &ticket).await
            });
            if renewed.await?.is_empty() {
                return Ok(None);
            }
            asked + LEASE
        };
        fail_point!("lease::taken", crate::failpoint::database());
        if let Some(entry) = self.lock().get_mut(&id) {
            entry.is_taken = true;
            entry.until.send_replace(until);
        }
        Ok(Some((message, held)))
    }

    /// Enters a lease, unless this process is at work on the same message already.
    fn hold(&self, id: MessageId, generation: i64, until: Instant) -> Option<Held> {
        let (sender, receiver) = watch::channel(until);
        let mut held = self.lock();
        if held.contains_key(&id) {
            return None;
        }
        held.insert(
            id,
            Entry {
                generation,
                is_taken: false,
                until: sender,
            },
        );
        Some(Held {
            leases: self.clone(),
            id,
            generation,
            until: receiver,
        })
    }

    /// Renews what is held, every few seconds, for ever.
    pub(crate) async fn renew(self) {
        let mut tick = tokio::time::interval(RENEWAL);
        loop {
            tick.tick().await;
            if let Err(error) = self.renew_once().await {
                warn!(%error, "leases could not be renewed: {error}");
            }
        }
    }

    async fn renew_once(&self) -> Result<(), guestlist::Error> {
        let tickets: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, entry)| entry.is_taken)
            .map(|(id, entry)| (*id, entry.generation))
            .collect();
        if tickets.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let until = self.clock.now() + LEASE;
        let renewed = in_time(async {
            outbox::renew(&mut self.database.acquire().await?, until, &tickets).await
        });
        let renewed = renewed.await?;
        let held = self.lock();
        for (id, _) in &tickets {
            let Some(entry) = held.get(id) else { continue };
            entry.until.send_replace(if renewed.contains(id) {
                asked + LEASE
            } else {
                asked
            });
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The fencing token it is held under.
    pub(crate) fn generation(&self) -> i64 {
        self.generation
    }

    /// Whether it still holds when asked, wherever that is.
    pub(crate) fn watched(&self) -> impl Fn() -> bool + Send + Sync + 'static + use<> {
        let until = self.until.clone();
        move || *until.borrow() > Instant::now()
    }

    /// Returns when the lease is lost, at once if it is.
    pub(crate) async fn lost(&self) {
        let mut until = self.until.clone();
        loop {
            let end = *until.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(end) => {
                    if *until.borrow() <= Instant::now() { return }
                }
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.id);
    }
}
