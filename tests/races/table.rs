//! The table of pairs, and the race of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestlist::{Database, Error};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Barrier;

use crate::operation::Operation;
use crate::outcome::{Observation, State, answer, is_a_fault};
use crate::turn::Turn;
use crate::world::World;

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
    /// Those of them that were seen both ways.
    pub both_ways: usize,
    /// Those of them that were not.
    pub one_way: Vec<Pair>,
    /// What came out that no order explains, the first time for each pair.
    pub failures: BTreeMap<String, String>,
}

/// Races every pair so many times against its two serial outcomes.
pub async fn race_all(world: Arc<World>, pairs: &[Pair], rounds: u32, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    for pair in pairs {
        world.tidy().await;
        race_one(&world, *pair, rounds, &mut random, &mut tally).await;
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
        answers.push(answer(&attempt(world, operation, None).await.0));
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
        tokio::spawn(async move { attempt(&world, operation, Some((&line, wait))).await })
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

/// Runs one operation in a transaction of its own, committed only when it succeeded, and says when
/// it ran. In a race it waits at the line, with its transaction open where that excludes nobody,
/// and lets others have so many turns.
async fn attempt(
    world: &World,
    operation: Operation,
    line: Option<(&Barrier, u32)>,
) -> (Result<String, Error>, (Instant, Instant)) {
    let database = &world.team.database;
    let mut open = None;
    if has_many_writers(database) {
        open = Some(database.begin().await.expect("a transaction"));
    }
    if let Some((line, wait)) = line {
        line.wait().await;
        for _ in 0..wait {
            tokio::task::yield_now().await;
        }
    }
    let began = Instant::now();
    let mut tx = match open {
        Some(tx) => tx,
        None => match database.begin().await {
            Ok(tx) => tx,
            Err(error) => return (Err(error), (began, Instant::now())),
        },
    };
    let turn = Turn { world, tx: &mut tx };
    let result = match operation.run(turn).await {
        Ok(word) => tx.commit().await.map(|()| word),
        Err(error) => tx.rollback().await.and(Err(error)),
    };
    (result, (began, Instant::now()))
}

fn has_many_writers(database: &Database) -> bool {
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => true,
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => false,
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
        attempt(world, sweep, None)
            .await
            .0
            .expect("a sweep alone succeeds");
    }
    let state = State::read(world).await.expect("read");
    let mut wrong = state.violations("owner");
    wrong.extend(answers.iter().filter(|answer| is_a_fault(answer)).cloned());
    let rows = state.rows();
    (Observation { answers, rows }, wrong)
}

impl Tally {
    /// One line of numbers, which `bin/test` shows.
    pub fn measured(&self, what: &str, rounds: u32) -> String {
        let Self {
            pairs,
            races,
            overlapped,
            telling,
            both_ways,
            ..
        } = self;
        format!(
            "measured: races {what}: pairs={pairs} rounds={rounds} races={races} overlapped={overlapped} \
             order_tells={telling} seen_both_ways={both_ways}"
        )
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
