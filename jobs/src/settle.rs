//! Settles messages, which happens nowhere else: in batches, so that many letters share a commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use guestlist::outbox::{Completion, Cost};
use guestlist::{Attempt, Database, Delivery, MessageId, Transaction, outbox, worker};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::attempt_log::AttemptLog;
use crate::back_off::jittered;
use crate::batch::Batch;
use crate::deadline::in_time;
use crate::failpoint::fail_point;
use crate::job::{Next, Outcome};
use crate::leases::Held;
use crate::skew::DatabaseClock;

/// The maximum number of outcomes settled in one transaction.
const MOST: usize = 128;

/// The delay before settling again after a failure of the database.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Sends outcomes to [`Settling`]. Dropping every clone ends it.
#[derive(Clone)]
pub(crate) struct Settler {
    sender: mpsc::UnboundedSender<Settlement>,
    attempt_log: AttemptLog,
}

/// The outcome of a job; the lease is held until the outcome is recorded.
struct Settlement {
    message: outbox::Message,
    held: Held,
    outcome: Outcome,
    recorded: oneshot::Sender<()>,
}

impl Settlement {
    fn is_done(&self) -> bool {
        matches!(self.outcome.next, Next::Done | Next::Cancel { .. })
    }

    /// Returns the completion of the message, with the letter if the report on it says only that it
    /// was sent.
    fn completion(&self) -> Completion {
        let id = self.message.id;
        match &self.outcome.report {
            Some(report) if report.delivery == Delivery::Sent && report.detail.is_none() => {
                Completion::of_letter(id, report.invitation, report.letter)
            }
            _ => id.into(),
        }
    }

    /// Returns the date that the letter keeps because the mail server may have received a part of it.
    fn letter_date(&self) -> Option<DateTime<Utc>> {
        let has_begun = self.held.send_guard().has_begun();
        has_begun.then(|| self.message.date())
    }
}

/// The task that settles outcomes. Clones share the outcomes that are not settled yet: after a panic
/// the next one begins with the batch that was left, so that no letter is sent again because of the
/// panic.
#[derive(Clone)]
pub(crate) struct Settling {
    database: Database,
    clock: DatabaseClock,
    batch: Arc<Mutex<Batch<Settlement>>>,
}

impl Settler {
    /// Creates the sender of outcomes, and the task that settles them once it runs.
    pub(crate) fn new(
        database: Database,
        clock: DatabaseClock,
        attempt_log: AttemptLog,
    ) -> (Self, Settling) {
        let (sender, batch) = Batch::new(MOST);
        let settling = Settling {
            database,
            clock,
            batch: Arc::new(Mutex::new(batch)),
        };
        let settler = Self {
            sender,
            attempt_log,
        };
        (settler, settling)
    }

    /// Records an outcome and returns when it is committed.
    pub(crate) async fn settle(&self, message: outbox::Message, held: Held, mut outcome: Outcome) {
        log(&message, &outcome);
        let attempt = outcome.attempt.take();
        outcome.attempt = attempt.filter(|attempt| self.attempt_log.records(attempt));
        let (recorded, committed) = oneshot::channel();
        let settlement = Settlement {
            message,
            held,
            outcome,
            recorded,
        };
        if let Err(mpsc::error::SendError(lost)) = self.sender.send(settlement) {
            let (id, kind) = (lost.message.id, lost.message.kind.as_str());
            error!(
                %id,
                kind,
                "the outcome of {kind} was not recorded because the task that records outcomes has \
                 ended; the job runs again when its lease expires"
            );
            return;
        }
        // An error means that the task was cut off; the message is dispatched again when its lease
        // expires, as after a crash.
        let _ = committed.await;
    }
}

impl Settling {
    /// Settles until no settler is left and everything is recorded.
    pub(crate) async fn run(self) {
        let (database, clock) = (&self.database, &self.clock);
        let mut batch = self.batch.lock().await;
        while batch.gather().await {
            let batch = &mut batch.items;
            // Rows are locked in the order of their ids, as renewals lock them.
            batch.sort_by_key(|settlement| settlement.message.id);
            let mut is_repeat = false;
            while let Err(error) = in_time(complete(database, clock, batch, is_repeat)).await {
                pause_after(&error).await;
                is_repeat = true;
            }
            is_repeat = false;
            while let Err(error) = in_time(put_back(database, clock, batch, is_repeat)).await {
                pause_after(&error).await;
                is_repeat = true;
            }
            for mut settlement in batch.drain(..) {
                settlement.held.settled();
                // Only now may another letter be sent: a process killed before the commit sends this
                // one again.
                drop(settlement.outcome.unsettled);
                // The job no longer waits if it was cut off; its outcome is recorded all the same.
                let _ = settlement.recorded.send(());
            }
        }
    }
}

async fn pause_after(error: &guestlist::Error) {
    warn!(
        %error,
        "outcomes of jobs could not be recorded; trying again in {} ms: {error}",
        RETRY_DELAY.as_millis()
    );
    tokio::time::sleep(jittered(RETRY_DELAY)).await;
}

/// Deletes messages that are done or cancelled, and records the delivery of their letters.
async fn complete(
    database: &Database,
    clock: &DatabaseClock,
    batch: &[Settlement],
    is_repeat: bool,
) -> Result<(), guestlist::Error> {
    let done: Vec<&Settlement> = batch
        .iter()
        .filter(|settlement| settlement.is_done())
        .collect();
    if done.is_empty() {
        return Ok(());
    }
    let completions: Vec<Completion> = done
        .iter()
        .map(|settlement| settlement.completion())
        .collect();
    let attempts = attempts(done.iter().copied());
    let mut transaction = worker::begin(database).await?;
    let completed = outbox::complete(&mut transaction, &completions).await?;
    let completed: HashSet<MessageId> = completed.into_iter().collect();
    for (settlement, completion) in done.into_iter().zip(completions) {
        if let Some(report) = &settlement.outcome.report
            && completion.sent.is_none()
            && completed.contains(&completion.message)
        {
            worker::record_delivery(&mut transaction, clock.now(), report).await?;
        }
    }
    record(&mut transaction, &attempts, is_repeat).await?;
    fail_point!("settle::commit", sqlx::Error::Io);
    transaction.commit().await?;
    fail_point!("settle::committed", sqlx::Error::Io);
    Ok(())
}

/// Postpones messages that are tried again, and marks those that are given up as dead.
async fn put_back(
    database: &Database,
    clock: &DatabaseClock,
    batch: &[Settlement],
    is_repeat: bool,
) -> Result<(), guestlist::Error> {
    if batch.iter().all(Settlement::is_done) {
        return Ok(());
    }
    let now = clock.now();
    let mut transaction = worker::begin(database).await?;
    for settlement in batch {
        let ticket = settlement.held.ticket();
        let letter_date = settlement.letter_date();
        match &settlement.outcome.next {
            Next::Done | Next::Cancel { .. } => continue,
            Next::Retry { after, why, cost } => {
                outbox::postpone(
                    &mut transaction,
                    ticket,
                    now,
                    *after,
                    *cost,
                    why,
                    letter_date,
                )
                .await?;
            }
            Next::Dead { why } => {
                outbox::give_up(&mut transaction, ticket, now, why, letter_date).await?
            }
        }
        if let Some(report) = &settlement.outcome.report {
            worker::record_delivery(&mut transaction, now, report).await?;
        }
    }
    let put_back = batch.iter().filter(|settlement| !settlement.is_done());
    record(&mut transaction, &attempts(put_back), is_repeat).await?;
    transaction.commit().await
}

/// Collects the attempts to record, so that one statement inserts those of a transaction. They
/// happened even if another worker has settled the message meanwhile.
fn attempts<'a>(settlements: impl Iterator<Item = &'a Settlement>) -> Vec<Attempt> {
    settlements
        .filter_map(|settlement| settlement.outcome.attempt.as_deref().cloned())
        .collect()
}

/// Records attempts. The transaction before may have recorded those of a repeat, if the reply to its
/// commit was lost.
async fn record(
    transaction: &mut Transaction,
    attempts: &[Attempt],
    is_repeat: bool,
) -> Result<(), guestlist::Error> {
    match is_repeat {
        false => worker::record_attempts(transaction, attempts).await,
        true => worker::record_attempts_again(transaction, attempts).await,
    }
}

fn log(message: &outbox::Message, outcome: &Outcome) {
    let (id, kind) = (message.id, message.kind.as_str());
    match &outcome.next {
        Next::Done => debug!(%id, kind, "{kind} done"),
        Next::Cancel { why } => info!(%id, kind, why, "{kind} cancelled: {why}"),
        // While a mail server is down every letter waits, and the mailer has logged it once.
        Next::Retry {
            why,
            cost: Cost::Nothing | Cost::NotBegun,
            ..
        } => debug!(%id, kind, why, "{kind} waits: {why}"),
        Next::Retry { after, why, .. } => {
            info!(%id, kind, why, ?after, "{kind} is tried again in {}: {why}", rounded(*after));
        }
        Next::Dead { why } => {
            error!(%id, kind, why, "{kind} given up: {why}; see `guestlist jobs --state dead`");
        }
    }
}

fn rounded(wait: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(wait.as_secs()))
}
