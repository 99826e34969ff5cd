//! The table of pairs, and the race of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestlist::{Database, Error, worker};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Barrier;

use crate::fixture::World;
use crate::operation::Operation;
use crate::outcome::{Observation, State, answer, is_a_fault};
use crate::transaction::Turn;

pub type Pair = (Operation, Operation);

/// Every unordered pair, an operation with itself included.
pub fn pairs(operations: &[Operation]) -> Vec<Pair> {
    let pair = |(place, one): (usize, &Operation)| {
        let one = *one;
        operations[place..].iter().map(move |other| (one, *other))
    };
    operations.iter().enumerate().flat_map(pair).collect()
}

/// How long one round may take before it counts as hung; a deadlock is found after a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// The longest head start, in turns given to other tasks.
const HEAD_START: u32 = 300;

/// What the races of some pairs came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub pairs: usize,
    pub races: usize,
    /// Races in which both transactions were under way at the same moment.
    pub overlapped: usize,
    /// Pairs whose outcome tells who was first.
    pub telling: usize,
    /// In how many of those pairs' races the first operation of the pair was first, and the other.
    pub first: [u32; 2],
    /// Pairs that were seen both ways.
    pub both_ways: usize,
    /// Pairs that tell and were not.
    pub one_way: Vec<Pair>,
    /// What came out that no order explains, the first time for each pair.
    pub failures: BTreeMap<String, String>,
}

/// Races every pair so many times against its two serial outcomes.
pub async fn race_all(world: &Arc<World>, pairs: &[Pair], rounds: u32, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    for pair in pairs {
        world.tidy().await;
        race_one(world, *pair, rounds, &mut random, &mut tally).await;
    }
    tally
}

async fn race_one(
    world: &Arc<World>,
    pair: Pair,
    rounds: u32,
    random: &mut StdRng,
    tally: &mut Tally,
) {
    let (one, other) = pair;
    let in_turn = serial(world, [one, other]).await;
    let mut in_return = serial(world, [other, one]).await;
    in_return.answers.reverse();
    let mut seen = [0_u32; 2];
    for round in 0..rounds {
        let (observed, overlapped, wrong) = race(world, pair, random).await;
        tally.races += 1;
        tally.overlapped += usize::from(overlapped);
        seen[0] += u32::from(observed == in_turn);
        seen[1] += u32::from(observed == in_return);
        if wrong.is_empty() && (observed == in_turn || observed == in_return) {
            continue;
        }
        tally.failures.entry(format!("{one:?} against {other:?}")).or_insert_with(|| {
            format!(
                "round {round} {wrong:?}\n  what differs from {one:?} first:\n{}  what differs from {other:?} first:\n{}\
                 {one:?} first:\n{in_turn}{other:?} first:\n{in_return}observed:\n{observed}",
                observed.difference(&in_turn),
                observed.difference(&in_return),
            )
        });
    }
    tally.pairs += 1;
    if in_turn != in_return {
        tally.telling += 1;
        tally.first[0] += seen[0];
        tally.first[1] += seen[1];
        if seen.contains(&0) {
            tally.one_way.push(pair);
        } else {
            tally.both_ways += 1;
        }
    }
}

/// One after the other.
async fn serial(world: &World, operations: [Operation; 2]) -> Observation {
    world.restore().await;
    let mut answers = Vec::new();
    for operation in operations {
        answers.push(answer(&attempt(world, operation).await.0));
    }
    let answers = answers.try_into().expect("two");
    let (observed, wrong) = observe(world, operations, answers).await;
    assert!(
        wrong.is_empty(),
        "{operations:?} in turn: {wrong:?}\n{observed}"
    );
    observed
}

/// Both at once; says as well whether they met, and what may never be.
async fn race(
    world: &Arc<World>,
    (one, other): Pair,
    random: &mut StdRng,
) -> (Observation, bool, Vec<String>) {
    world.restore().await;
    let line = Arc::new(Barrier::new(2));
    let head_start = random.random_range(0..HEAD_START);
    let waits = if random.random() {
        [head_start, 0]
    } else {
        [0, head_start]
    };
    let start = |operation, wait| {
        let (world, line) = (Arc::clone(world), Arc::clone(&line));
        tokio::spawn(async move {
            line.wait().await;
            for _ in 0..wait {
                tokio::task::yield_now().await;
            }
            attempt(&world, operation).await
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
    let (observed, wrong) = observe(world, [one, other], answers).await;
    let overlapped = one_ran.0.max(other_ran.0) < one_ran.1.min(other_ran.1);
    (observed, overlapped, wrong)
}

/// Runs one operation and says when it ran. A worker that gave way to a host comes back.
async fn attempt(
    world: &World,
    operation: Operation,
) -> (Result<String, Error>, (Instant, Instant)) {
    let began = Instant::now();
    loop {
        let result = in_transaction(world, operation).await;
        let gave_way = matches!(result, Err(Error::Conflict(_))) && operation.is_the_workers();
        if !gave_way || began.elapsed() > DEADLINE {
            return (result, (began, Instant::now()));
        }
    }
}

/// Runs one operation in a transaction of its own, committed only when it succeeded.
async fn in_transaction(world: &World, operation: Operation) -> Result<String, Error> {
    let database = &world.team.database;
    let mut tx = if operation.is_the_workers() {
        worker::begin(database).await?
    } else {
        database.begin().await?
    };
    let turn = Turn { world, tx: &mut tx };
    match operation.run(turn).await {
        Ok(word) => tx.commit().await.map(|()| word),
        Err(error) => tx.rollback().await.and(Err(error)),
    }
}

/// Reads what is there, once sweeps that passed over a held row had their next turn.
async fn observe(
    world: &World,
    operations: [Operation; 2],
    answers: [String; 2],
) -> (Observation, Vec<String>) {
    for sweep in operations
        .into_iter()
        .filter(|operation| operation.is_a_sweep())
    {
        attempt(world, sweep)
            .await
            .0
            .expect("a sweep alone succeeds");
    }
    let state = State::read(world).await;
    let mut wrong = state.violations();
    wrong.extend(answers.iter().filter(|answer| is_a_fault(answer)).cloned());
    let rows = state.words(world);
    (Observation { answers, rows }, wrong)
}

impl Tally {
    /// The numbers that `bin/test` shows at its end.
    pub fn measured(&self, database: &Database, rounds: u32) -> String {
        let database = match database {
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => "Postgres",
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => "SQLite",
        };
        let Self {
            pairs,
            races,
            overlapped,
            telling,
            both_ways,
            first: [one, other],
            ..
        } = self;
        format!(
            "measured: races on {database}: pairs={pairs} rounds={rounds} races={races} overlapped={overlapped} \
             pairs_that_tell_the_order={telling} seen_in_both_orders={both_ways} one_first={one} other_first={other}"
        )
    }

    /// Panics unless races go both ways: one that always ends alike is none.
    pub fn assert_open(&self) {
        let one_way = self.one_way.len();
        assert!(
            one_way * 10 <= self.telling,
            "{one_way} of {} pairs always came out in one order: {:?}",
            self.telling,
            self.one_way
        );
    }

    /// Panics with every pair that came out as no order explains.
    pub fn assert_serial(&self) {
        let mut report = String::new();
        for (pair, story) in self.failures.iter().take(3) {
            writeln!(report, "{pair}: {story}").expect("a string grows");
        }
        let pairs: Vec<_> = self.failures.keys().collect();
        assert!(
            pairs.is_empty(),
            "{} pairs are not serial: {pairs:#?}\n{report}",
            pairs.len()
        );
    }
}
