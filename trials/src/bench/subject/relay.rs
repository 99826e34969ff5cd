//! Time to lease a batch with many messages waiting, or after many messages were processed.

use std::time::{Duration, Instant};

use chrono::Utc;
use guestlist::outbox::{self, FairCursor, Lease, Priority};

use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{Row, Target, count};
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::store::Store;

/// Number of messages in a small outbox.
const FEW: u64 = 1_000;

/// Number of messages to lease at a time.
const BATCH: u64 = 500;

/// Duration of a lease.
const LEASE: Duration = Duration::from_secs(20);

/// An outbox whose number of messages stays the same: each batch that is settled is replaced.
struct Outbox<'a> {
    store: &'a Store,
    filler: Filler<'a>,
    turn: FairCursor,
    next: u64,
}

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (waiting, processed) = (environment.amounts.waiting, environment.amounts.processed);
    let stores = [
        environment.create_store().await?,
        environment.create_store().await?,
        environment.create_store().await?,
    ];
    let mut few = Outbox::fill(environment, &stores[0], FEW).await?;
    let mut many = Outbox::fill(environment, &stores[1], waiting).await?;
    let mut used = Outbox::fill(environment, &stores[2], FEW).await?;
    used.process(processed, environment).await?;
    let [mut of_few, mut of_many, mut of_used] = [(); 3].map(|()| Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{} batches of {BATCH}", environment.amounts.batches),
        );
        // The third is vacuumed only by autovacuum, as in production.
        few.store.vacuum().await?;
        many.store.vacuum().await?;
        let mut took = [(); 3].map(|()| Times::new());
        for _ in 0..environment.amounts.batches {
            for (outbox, took) in [&mut few, &mut many, &mut used].into_iter().zip(&mut took) {
                took.record(outbox.process_batch(BATCH).await?);
            }
        }
        for (figures, times) in [&mut of_few, &mut of_many, &mut of_used]
            .into_iter()
            .zip(&took)
        {
            figures.push(milliseconds(times.quantile(0.5)?));
        }
    }
    few.store.require("guestlist_outbox", FEW).await?;
    many.store.require("guestlist_outbox", waiting).await?;
    used.store.require("guestlist_outbox", FEW).await?;
    for store in stores {
        environment.drop_store(store).await?;
    }
    let row = |measure: String, figures: Vec<f64>, messages: u64| {
        let row = Row::new("relay", measure, "ms", figures)?;
        let row = row.reference(format!("{} waiting, new", count(FEW)), of_few.clone())?;
        anyhow::Ok(row.target(Target::MaxRatio(1.3)).counted(messages))
    };
    Ok(vec![
        row(
            format!("lease of {BATCH} with {} waiting", count(waiting)),
            of_many,
            waiting,
        )?,
        row(
            format!("lease of {BATCH} after {} processed", count(processed)),
            of_used,
            processed,
        )?,
    ])
}

impl<'a> Outbox<'a> {
    async fn fill(
        environment: &'a Environment,
        store: &'a Store,
        waiting: u64,
    ) -> anyhow::Result<Self> {
        let filler = Filler::new(environment, store, 10).await?;
        filler.messages(1, waiting).await?;
        store.vacuum().await?;
        Ok(Self {
            store,
            filler,
            turn: FairCursor::of(Priority::LETTER),
            next: waiting + 1,
        })
    }

    /// Processes this many messages.
    async fn process(&mut self, messages: u64, environment: &Environment) -> anyhow::Result<()> {
        let mut processed = 0;
        while processed < messages {
            let batch = FEW.min(messages - processed);
            self.process_batch(batch).await?;
            processed += batch;
            if processed.is_multiple_of(100_000) {
                environment.progress.report(format!(
                    "{} of {} messages processed",
                    count(processed),
                    count(messages)
                ));
            }
        }
        Ok(())
    }

    /// Leases and settles a batch, and inserts as many messages again. Returns the duration of the lease.
    async fn process_batch(&mut self, batch: u64) -> anyhow::Result<Duration> {
        let (leases, took) = self.lease(batch).await?;
        let leased = leases.len() as u64;
        anyhow::ensure!(
            leased == batch,
            "{batch} messages were due, but {leased} were leased"
        );
        let done: Vec<_> = leases
            .iter()
            .map(|lease| lease.ticket.message.into())
            .collect();
        let mut transaction = self.store.database.begin().await?;
        let completed = outbox::complete(&mut transaction, &done).await?.len();
        transaction.commit().await?;
        anyhow::ensure!(
            completed == done.len(),
            "{leased} messages were leased, but {completed} were settled"
        );
        self.filler.messages(self.next, batch).await?;
        self.next += batch;
        Ok(took)
    }

    /// Leases a batch like the relay.
    async fn lease(&mut self, batch: u64) -> anyhow::Result<(Vec<Lease>, Duration)> {
        let mut connection = self.store.database.acquire().await?;
        let limit = usize::try_from(batch)?;
        let began = Instant::now();
        let leases =
            outbox::lease(&mut connection, &mut self.turn, Utc::now(), LEASE, limit).await?;
        Ok((leases, began.elapsed()))
    }
}
