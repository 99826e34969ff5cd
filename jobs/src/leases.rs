//! The leases this process holds, and their renewal.
//!
//! A lease is valid for [`LEASE`] and is renewed while its job runs. A lease that could not be
//! renewed in time counts as lost here before another worker can take it, because its end is
//! computed from the time before the renewal was sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use guestlist::outbox::{self, Interrupted};
use guestlist::{Database, MessageId, Ticket};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::deadline::in_time;
use crate::failpoint::fail_point;
use crate::loader::Loader;
use crate::skew::DatabaseClock;
use crate::smtp::SendGuard;

/// The validity of a lease without renewal. The messages of a dead process are due again after it.
pub(crate) const LEASE: Duration = Duration::from_secs(20);

/// The interval between renewals. A job may start on a lease that outlives two renewals, so that
/// one may fail; a lease with less time left is renewed first.
const RENEWAL: Duration = Duration::from_secs(5);

/// The leases of all jobs that run in this process.
#[derive(Clone)]
pub(crate) struct Leases {
    database: Database,
    clock: DatabaseClock,
    messages: Loader<Ticket, outbox::Message>,
    held: Arc<Mutex<HashMap<MessageId, Entry>>>,
    cut_off: Arc<Mutex<Vec<Interrupted>>>,
}

struct Entry {
    generation: i64,
    /// Set once its message was read. Until then it is not renewed, so that a read that hangs leaves
    /// the message to other workers.
    is_taken: bool,
    until: watch::Sender<Instant>,
}

/// The lease of a running job; dropping it ends the renewal. If it was not settled, its job was cut off.
pub(crate) struct Held {
    leases: Leases,
    ticket: Ticket,
    is_settled: bool,
    until: watch::Receiver<Instant>,
    guard: SendGuard,
}

impl Leases {
    pub(crate) fn new(database: Database, clock: DatabaseClock) -> Self {
        let messages = Loader::new(database.clone(), |connection, tickets: Vec<Ticket>| {
            async move {
                let taken = outbox::take_all(connection, &tickets).await?;
                let by_ticket = |message: outbox::Message| (message.ticket(), message);
                Ok(taken.into_iter().map(by_ticket).collect())
            }
            .boxed()
        });
        Self {
            database,
            clock,
            messages,
            held: Arc::default(),
            cut_off: Arc::default(),
        }
    }

    /// Reads a dispatched message and holds its lease; `None` if the lease has another generation, or
    /// the message is gone or is already being worked on here.
    pub(crate) async fn take(
        &self,
        ticket: Ticket,
    ) -> Result<Option<(outbox::Message, Held)>, guestlist::Error> {
        let asked = Instant::now();
        // The lease is entered before the row is read: a job of this process that held it until now
        // has recorded its outcome, so the row that is read next is gone.
        let Some(held) = self.hold(ticket, asked) else {
            return Ok(None);
        };
        let Some(message) = self.messages.load(ticket).await? else {
            return Ok(None);
        };
        let left = message.leased_until.map(|until| until - self.clock.now());
        let left = left.and_then(|left| left.to_std().ok()).unwrap_or_default();
        let until = if left > 2 * RENEWAL {
            asked + left
        } else {
            let until = self.clock.now() + LEASE;
            if self.renewed(until, &[ticket]).await?.is_empty() {
                return Ok(None);
            }
            asked + LEASE
        };
        fail_point!("lease::taken", sqlx::Error::Io);
        if let Some(entry) = self.lock().get_mut(&ticket.message) {
            entry.is_taken = true;
            entry.until.send_replace(until);
        }
        Ok(Some((message, held)))
    }

    /// Enters a lease, unless a job of this process already holds the same message.
    fn hold(&self, ticket: Ticket, until: Instant) -> Option<Held> {
        let (sender, receiver) = watch::channel(until);
        let mut held = self.lock();
        if held.contains_key(&ticket.message) {
            return None;
        }
        held.insert(
            ticket.message,
            Entry {
                generation: ticket.generation,
                is_taken: false,
                until: sender,
            },
        );
        let until = receiver.clone();
        Some(Held {
            leases: self.clone(),
            ticket,
            is_settled: false,
            until: receiver,
            guard: SendGuard::new(move || *until.borrow() > Instant::now()),
        })
    }

    /// Renews all held leases at every [`RENEWAL`] interval, for ever.
    pub(crate) async fn renew(self) {
        let mut tick = tokio::time::interval(RENEWAL);
        loop {
            tick.tick().await;
            if let Err(error) = self.renew_once().await {
                warn!(
                    %error,
                    "leases of running jobs could not be renewed; trying again in {} s: {error}",
                    RENEWAL.as_secs()
                );
            }
        }
    }

    async fn renew_once(&self) -> Result<(), guestlist::Error> {
        let tickets: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, entry)| entry.is_taken)
            .map(|(id, entry)| Ticket::new(*id, entry.generation))
            .collect();
        if tickets.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let until = self.clock.now() + LEASE;
        let renewed = self.renewed(until, &tickets).await?;
        let held = self.lock();
        for ticket in &tickets {
            let Some(entry) = held.get(&ticket.message) else {
                continue;
            };
            entry.until.send_replace(if renewed.contains(ticket) {
                asked + LEASE
            } else {
                asked
            });
        }
        Ok(())
    }

    /// Renews leases until `until` and returns those still held.
    async fn renewed(
        &self,
        until: DateTime<Utc>,
        tickets: &[Ticket],
    ) -> Result<Vec<Ticket>, guestlist::Error> {
        let renewal =
            async { outbox::renew(&mut self.database.acquire().await?, until, tickets).await };
        in_time(renewal).await
    }

    /// Takes the leases of jobs that were cut off, with the progress of their letters.
    pub(crate) fn take_cut_off(&self) -> Vec<Interrupted> {
        std::mem::take(&mut *self.cut_off())
    }

    fn cut_off(&self) -> MutexGuard<'_, Vec<Interrupted>> {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Returns the ticket of the lease.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Returns the guard of the message's letter, which allows it while the lease is held.
    pub(crate) fn send_guard(&self) -> &SendGuard {
        &self.guard
    }

    /// Notes that the outcome of the job is recorded.
    pub(crate) fn settled(&mut self) {
        self.is_settled = true;
    }

    /// Waits until the lease is lost; returns at once if it is.
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
        let entry = self.leases.lock().remove(&self.ticket.message);
        let was_taken = entry.is_some_and(|entry| entry.is_taken);
        if was_taken && !self.is_settled {
            let Self { ticket, guard, .. } = &*self;
            let progress = Interrupted::new(*ticket, guard.has_begun(), guard.has_ended());
            self.leases.cut_off().push(progress);
        }
    }
}
