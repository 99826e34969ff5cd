//! What a relay leases at a time, with many messages waiting or after many have passed through.

use std::time::{Duration, Instant};

use chrono::Utc;
use guestlist::outbox::{self, Lease, Priority, Turn};

use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{Bar, Row, count};
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::store::Store;

/// How many wait where few do.
const FEW: u64 = 1_000;

/// How many are leased at a time.
const BATCH: u64 = 500;

/// For how long.
const LEASE: Duration = Duration::from_secs(20);

/// An outbox in which always as many wait.
struct Place<'a> {
    store: &'a Store,
    filler: Filler<'a>,
    turn: Turn,
    next: u64,
}

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (waiting, passed) = (stage.amounts.waiting, stage.amounts.passed);
    let stores = [
        stage.store().await?,
        stage.store().await?,
        stage.store().await?,
    ];
    let mut few = Place::fill(stage, &stores[0], FEW).await?;
    let mut many = Place::fill(stage, &stores[1], waiting).await?;
    let mut worn = Place::fill(stage, &stores[2], FEW).await?;
    worn.pass(passed, stage).await?;
    let [mut of_few, mut of_many, mut of_worn] = [(); 3].map(|()| Vec::new());
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{} batches of {BATCH}", stage.amounts.batches),
        );
        // The two that only wait are as new; vacuum of the third is Postgres's own business.
        few.store.settle().await?;
        many.store.settle().await?;
        let mut took = [(); 3].map(|()| Times::new());
        for _ in 0..stage.amounts.batches {
            for (place, took) in [&mut few, &mut many, &mut worn].into_iter().zip(&mut took) {
                took.note(place.turn_over(BATCH).await?);
            }
        }
        for (figures, times) in [&mut of_few, &mut of_many, &mut of_worn]
            .into_iter()
            .zip(&took)
        {
            figures.push(milliseconds(times.quantile(0.5)?));
        }
    }
    few.store.require("guestlist_outbox", FEW).await?;
    many.store.require("guestlist_outbox", waiting).await?;
    worn.store.require("guestlist_outbox", FEW).await?;
    for store in stores {
        stage.drop(store).await?;
    }
    let row = |measure: String, figures: Vec<f64>, messages: u64| {
        let row = Row::new("relay", measure, "ms", figures)?;
        let row = row.beside(format!("{} waiting, new", count(FEW)), of_few.clone())?;
        anyhow::Ok(row.bar(Bar::MostOfLimit(1.3)).counted(messages))
    };
    Ok(vec![
        row(
            format!("lease of {BATCH} with {} waiting", count(waiting)),
            of_many,
            waiting,
        )?,
        row(
            format!("lease of {BATCH} after {} passed through", count(passed)),
            of_worn,
            passed,
        )?,
    ])
}

impl<'a> Place<'a> {
    async fn fill(stage: &'a Stage, store: &'a Store, waiting: u64) -> anyhow::Result<Self> {
        let filler = Filler::new(stage, store, 10).await?;
        filler.messages(1, waiting).await?;
        store.settle().await?;
        Ok(Self {
            store,
            filler,
            turn: Turn::of(Priority::LETTER),
            next: waiting + 1,
        })
    }

    /// Lets so many pass through.
    async fn pass(&mut self, messages: u64, stage: &Stage) -> anyhow::Result<()> {
        let mut passed = 0;
        while passed < messages {
            let batch = FEW.min(messages - passed);
            self.turn_over(batch).await?;
            passed += batch;
            if passed.is_multiple_of(100_000) {
                stage.progress.say(format!(
                    "{} of {} messages passed through",
                    count(passed),
                    count(messages)
                ));
            }
        }
        Ok(())
    }

    /// Leases a batch, and says how long that took; settles it, and promises as many.
    async fn turn_over(&mut self, batch: u64) -> anyhow::Result<Duration> {
        let (leases, took) = self.lease(batch).await?;
        let leased = leases.len() as u64;
        anyhow::ensure!(
            leased == batch,
            "{leased} were leased, and {batch} were due"
        );
        let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
        let mut connection = self.store.database.acquire().await?;
        let completed = outbox::complete(&mut connection, &ids).await?.len();
        anyhow::ensure!(
            completed == ids.len(),
            "{completed} of {leased} were settled"
        );
        self.filler.messages(self.next, batch).await?;
        self.next += batch;
        Ok(took)
    }

    /// As the relay does.
    async fn lease(&mut self, batch: u64) -> anyhow::Result<(Vec<Lease>, Duration)> {
        let mut connection = self.store.database.acquire().await?;
        let limit = usize::try_from(batch)?;
        let began = Instant::now();
        let leases =
            outbox::lease(&mut connection, &mut self.turn, Utc::now(), LEASE, limit).await?;
        Ok((leases, began.elapsed()))
    }
}
