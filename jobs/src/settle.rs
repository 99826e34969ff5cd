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
        while let Err(error) = record(&database, &library, &batch).await {
            warn!(%error, "outcomes could not be recorded, trying again: {error}");
            tokio::time::sleep(PAUSE).await;
        }
        for settlement in batch.drain(..) {
            // Nobody waits any more where the job was cut off; it is recorded all the same.
            let _ = settlement.recorded.send(());
        }
    }
}

async fn record(
    database: &Database,
    library: &Organizations,
    batch: &[Settlement],
) -> Result<(), guestlist::Error> {
    let now = library.now();
    let mut transaction = database.begin().await?;
    for report in batch
        .iter()
        .filter_map(|settlement| settlement.outcome.report.as_ref())
    {
        worker::record_delivery(&mut transaction, now, report).await?;
    }
    let mut settled: Vec<MessageId> = Vec::new();
    for Settlement {
        message,
        held,
        outcome,
        ..
    } in batch
    {
        let (id, generation) = (message.id, held.generation());
        match &outcome.next {
            Next::Done | Next::Cancel { .. } => settled.push(id),
            Next::Retry { after, why, cost } => {
                let run_at = now + *after;
                outbox::postpone(&mut transaction, id, generation, run_at, *cost, why).await?;
            }
            Next::Dead { why } => outbox::bury(&mut transaction, id, generation, now, why).await?,
        }
    }
    outbox::complete(&mut transaction, &settled).await?;
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
