//! The one place that settles messages: in batches, so no letter costs a commit of its own.

use std::time::Duration;

use guestlist::outbox::Cost;
use guestlist::{Database, MessageId, Organizations, outbox, worker};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::job::{Next, Outcome};
use crate::leases::Held;

/// The most outcomes settled in one transaction.
const BATCH: usize = 64;

/// How long to wait before settling again after the database failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Hands outcomes to the task that settles them. Dropping every clone ends that task.
#[derive(Clone)]
pub(crate) struct Settler(mpsc::Sender<Settlement>);

/// A job's outcome; its lease is held until it is recorded.
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
}

impl Settler {
    /// Starts the task. It ends when no settler is left and everything is recorded.
    pub(crate) fn start(
        database: Database,
        library: Organizations,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(BATCH);
        (
            Self(sender),
            tokio::spawn(work(database, library, receiver)),
        )
    }

    /// Records an outcome and returns when it is committed.
    pub(crate) async fn settle(&self, message: outbox::Message, held: Held, outcome: Outcome) {
        log(&message, &outcome);
        let (recorded, committed) = oneshot::channel();
        let settlement = Settlement {
            message,
            held,
            outcome,
            recorded,
        };
        if self.0.send(settlement).await.is_ok() {
            // An error means the task was cut off; the lease then decides, as after a crash.
            let _ = committed.await;
        }
    }
}

async fn work(
    database: Database,
    library: Organizations,
    mut receiver: mpsc::Receiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        // Rows are locked in the order of their ids, as renewals lock them.
        batch.sort_by_key(|settlement| settlement.message.id);
        while let Err(error) = complete(&database, &library, &batch).await {
            rest_after(&error).await;
        }
        while let Err(error) = put_back(&database, &library, &batch).await {
            rest_after(&error).await;
        }
        for settlement in batch.drain(..) {
            // Nobody waits any more where the job was cut off; it is recorded all the same.
            let _ = settlement.recorded.send(());
        }
    }
}

async fn rest_after(error: &guestlist::Error) {
    warn!(%error, "outcomes could not be recorded, trying again: {error}");
    tokio::time::sleep(PAUSE).await;
}

/// Deletes what is done with, and records what became of its letter.
async fn complete(
    database: &Database,
    library: &Organizations,
    batch: &[Settlement],
) -> Result<(), guestlist::Error> {
    let done: Vec<&Settlement> = batch
        .iter()
        .filter(|settlement| settlement.is_done())
        .collect();
    if done.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = done
        .iter()
        .map(|settlement| settlement.message.id)
        .collect();
    let mut transaction = worker::begin(database).await?;
    let completed = outbox::complete(&mut transaction, &ids).await?;
    for settlement in done {
        if let (Some(report), true) = (
            &settlement.outcome.report,
            completed.contains(&settlement.message.id),
        ) {
            worker::record_delivery(&mut transaction, library.now(), report).await?;
        }
    }
    transaction.commit().await
}

/// Puts back what is to be tried again, and sets aside what is given up.
async fn put_back(
    database: &Database,
    library: &Organizations,
    batch: &[Settlement],
) -> Result<(), guestlist::Error> {
    if batch.iter().all(Settlement::is_done) {
        return Ok(());
    }
    let now = library.now();
    let mut transaction = worker::begin(database).await?;
    for settlement in batch {
        let (id, generation) = (settlement.message.id, settlement.held.generation());
        match &settlement.outcome.next {
            Next::Done | Next::Cancel { .. } => continue,
            Next::Retry { after, why, cost } => {
                let run_at = now + *after;
                outbox::postpone(&mut transaction, id, generation, run_at, *cost, why).await?;
            }
            Next::Dead { why } => outbox::bury(&mut transaction, id, generation, now, why).await?,
        }
        if let Some(report) = &settlement.outcome.report {
            worker::record_delivery(&mut transaction, now, report).await?;
        }
    }
    transaction.commit().await
}

fn log(message: &outbox::Message, outcome: &Outcome) {
    let (id, kind) = (message.id, message.kind.as_str());
    match &outcome.next {
        Next::Done => debug!(%id, kind, "{kind} done"),
        Next::Cancel { why } => info!(%id, kind, why, "{kind} cancelled: {why}"),
        // While a mail server is down every letter waits, and the mailer has said so once.
        Next::Retry {
            why,
            cost: Cost::Nothing,
            ..
        } => debug!(%id, kind, why, "{kind} waits: {why}"),
        Next::Retry { after, why, .. } => {
            info!(%id, kind, why, ?after, "{kind} again in {}: {why}", rounded(*after));
        }
        Next::Dead { why } => {
            error!(%id, kind, why, "{kind} given up: {why}; see `guestlist jobs --state dead`");
        }
    }
}

fn rounded(wait: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(wait.as_secs()))
}
