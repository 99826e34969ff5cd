//! The table of pairs and the races between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestlist::{Database, Error, worker};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Barrier;

use crate::fixture::Fixture;
use crate::operation::Operation;
use crate::outcome::{Observation, State, answer, is_fault};
use crate::transaction::OpenTransaction;

pub type Pair = (Operation, Operation);

/// Every unordered pair, including an operation with itself.
pub fn pairs(operations: &[Operation]) -> Vec<Pair> {
    let pair = |(index, one): (usize, &Operation)| {
        let one = *one;
        operations[index..].iter().map(move |other| (one, *other))
    };
    operations.iter().enumerate().flat_map(pair).collect()
}

/// The time after which a round counts as hung; Postgres detects a deadlock after a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// The longest head start, in yields to other tasks.
const HEAD_START: u32 = 300;

/// The results of the races of some pairs.
#[derive(Debug, Default)]
pub struct RaceResults {
    pub pairs: usize,
    pub races: usize,
    /// The races in which both transactions were open at the same time.
    pub overlapped: usize,
    /// The pairs whose outcome shows which operation was first.
    pub order_visible: usize,
    /// The races of those pairs in which the first operation of the pair was first, and the other.
    pub first: [u32; 2],
    /// The pairs that were seen in both orders.
    pub both_orders: usize,
    /// The pairs whose outcome shows the order and that were seen in one order only.
    pub one_order: Vec<Pair>,
    /// The first outcome of each pair that neither order explains.
    pub failures: BTreeMap<String, String>,
}

/// Races every pair `rounds` times and compares the outcome with its two serial outcomes.
pub async fn race_all(
    fixture: &Arc<Fixture>,
    pairs: &[Pair],
    rounds: u32,
    seed: u64,
) -> RaceResults {
    let mut random = StdRng::seed_from_u64(seed);
    let mut results = RaceResults::default();
    for pair in pairs {
        fixture.vacuum().await;
        race_one(fixture, *pair, rounds, &mut random, &mut results).await;
    }
    results
}

async fn race_one(
    fixture: &Arc<Fixture>,
    pair: Pair,
    rounds: u32,
    random: &mut StdRng,
    results: &mut RaceResults,
) {
    let (one, other) = pair;
    let one_first = serial(fixture, [one, other]).await;
    let mut other_first = serial(fixture, [other, one]).await;
    other_first.answers.reverse();
    let mut seen = [0_u32; 2];
    for round in 0..rounds {
        let (observed, overlapped, wrong) = race(fixture, pair, random).await;
        results.races += 1;
        results.overlapped += usize::from(overlapped);
        seen[0] += u32::from(observed == one_first);
        seen[1] += u32::from(observed == other_first);
        if wrong.is_empty() && (observed == one_first || observed == other_first) {
            continue;
        }
        results.failures.entry(format!("{one:?} against {other:?}")).or_insert_with(|| {
            format!(
                "round {round} {wrong:?}\n  what differs from {one:?} first:\n{}  what differs from {other:?} first:\n{}\
                 {one:?} first:\n{one_first}{other:?} first:\n{other_first}observed:\n{observed}",
                observed.difference(&one_first),
                observed.difference(&other_first),
            )
        });
    }
    results.pairs += 1;
    if one_first != other_first {
        results.order_visible += 1;
        results.first[0] += seen[0];
        results.first[1] += seen[1];
        if seen.contains(&0) {
            results.one_order.push(pair);
        } else {
            results.both_orders += 1;
        }
    }
}

/// Runs one operation after the other.
async fn serial(fixture: &Fixture, operations: [Operation; 2]) -> Observation {
    fixture.restore().await;
    let mut answers = Vec::new();
    for operation in operations {
        answers.push(answer(&attempt(fixture, operation).await.0));
    }
    let answers = answers.try_into().expect("two");
    let (observed, wrong) = observe(fixture, operations, answers).await;
    assert!(
        wrong.is_empty(),
        "{operations:?} one after the other: {wrong:?}\n{observed}"
    );
    observed
}

/// Runs both at the same time. Also returns if they overlapped, and the violations.
async fn race(
    fixture: &Arc<Fixture>,
    (one, other): Pair,
    random: &mut StdRng,
) -> (Observation, bool, Vec<String>) {
    fixture.restore().await;
    let barrier = Arc::new(Barrier::new(2));
    let head_start = random.random_range(0..HEAD_START);
    let waits = if random.random() {
        [head_start, 0]
    } else {
        [0, head_start]
    };
    let start = |operation, wait| {
        let (fixture, barrier) = (Arc::clone(fixture), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            for _ in 0..wait {
                tokio::task::yield_now().await;
            }
            attempt(&fixture, operation).await
        })
    };
    let (one_runs, other_runs) = (start(one, waits[0]), start(other, waits[1]));
    let both = async {
        (
            one_runs.await.expect("no panic"),
            other_runs.await.expect("no panic"),
        )
    };
    let ended = tokio::time::timeout(DEADLINE, both).await;
    let ((one_said, one_ran), (other_said, other_ran)) =
        ended.unwrap_or_else(|_| panic!("{one:?} against {other:?}: hung"));
    let answers = [answer(&one_said), answer(&other_said)];
    let (observed, wrong) = observe(fixture, [one, other], answers).await;
    let overlapped = one_ran.0.max(other_ran.0) < one_ran.1.min(other_ran.1);
    (observed, overlapped, wrong)
}

/// Runs one operation and returns when it ran. A worker that gave way to a host tries again.
async fn attempt(
    fixture: &Fixture,
    operation: Operation,
) -> (Result<String, Error>, (Instant, Instant)) {
    let began = Instant::now();
    loop {
        let result = in_transaction(fixture, operation).await;
        let gave_way = matches!(result, Err(Error::Conflict(_))) && operation.is_by_worker();
        if !gave_way || began.elapsed() > DEADLINE {
            return (result, (began, Instant::now()));
        }
    }
}

/// Runs one operation in a transaction of its own and commits only if it succeeded.
async fn in_transaction(fixture: &Fixture, operation: Operation) -> Result<String, Error> {
    let database = &fixture.team.database;
    let mut tx = if operation.is_by_worker() {
        worker::begin(database).await?
    } else {
        database.begin().await?
    };
    let transaction = OpenTransaction {
        fixture,
        tx: &mut tx,
    };
    match operation.run(transaction).await {
        Ok(word) => tx.commit().await.map(|()| word),
        Err(error) => tx.rollback().await.and(Err(error)),
    }
}

/// Reads the state, after sweeps that skipped a locked row ran once more.
async fn observe(
    fixture: &Fixture,
    operations: [Operation; 2],
    answers: [String; 2],
) -> (Observation, Vec<String>) {
    for sweep in operations
        .into_iter()
        .filter(|operation| operation.is_sweep())
    {
        attempt(fixture, sweep)
            .await
            .0
            .expect("a sweep alone succeeds");
    }
    let state = State::read(fixture).await;
    let mut wrong = state.violations();
    wrong.extend(answers.iter().filter(|answer| is_fault(answer)).cloned());
    let rows = state.lines(fixture);
    (Observation { answers, rows }, wrong)
}

impl RaceResults {
    /// The line that `bin/test` prints at its end.
    pub fn measured(&self, database: &Database, rounds: u32) -> String {
        let database = match database {
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => "Postgres",
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => "SQLite",
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        let Self {
            pairs,
            races,
            overlapped,
            order_visible,
            both_orders,
            first: [one, other],
            ..
        } = self;
        format!(
            "measured: races on {database}: pairs={pairs} rounds={rounds} races={races} overlapped={overlapped} \
             pairs_that_tell_the_order={order_visible} seen_in_both_orders={both_orders} one_first={one} other_first={other}"
        )
    }

    /// Panics unless pairs occur in both orders: otherwise the operations do not race.
    pub fn assert_both_orders_occur(&self) {
        let one_order = self.one_order.len();
        assert!(
            one_order * 10 <= self.order_visible,
            "{one_order} of {} pairs always came out in one order: {:?}",
            self.order_visible,
            self.one_order
        );
    }

    /// Panics with every pair that had an outcome which neither order explains.
    pub fn assert_serial(&self) {
        let mut report = String::new();
        for (pair, failure) in self.failures.iter().take(3) {
            writeln!(report, "{pair}: {failure}").expect("writing to a string succeeds");
        }
        let pairs: Vec<_> = self.failures.keys().collect();
        assert!(
            pairs.is_empty(),
            "{} pairs are not serial: {pairs:#?}\n{report}",
            pairs.len()
        );
    }
}
