//! Which fault comes when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use clap::Args;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::fault::Fault;

/// How many faults of each kind.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Faults, how many of each")]
pub(crate) struct Counts {
    /// SIGKILL of a worker process.
    #[arg(long, default_value_t = 6)]
    worker_kills: u32,
    /// SIGKILL of a host process.
    #[arg(long, default_value_t = 2)]
    host_kills: u32,
    /// SIGSTOP of a host for 2 to 8 seconds, perhaps in the middle of a transaction, then SIGCONT.
    #[arg(long, default_value_t = 1)]
    host_stops: u32,
    /// SIGSTOP of a worker for 22 to 28 seconds, which is longer than a lease, then SIGCONT.
    #[arg(long, default_value_t = 1)]
    worker_stops: u32,
    /// Postgres stopped as `pg_ctl stop --mode=immediate` does, and started up to 2 seconds later.
    #[arg(long, default_value_t = 1)]
    postgres_stops: u32,
    /// Redis killed, and started empty up to 3 seconds later.
    #[arg(long, default_value_t = 1)]
    redis_restarts: u32,
    /// FLUSHALL.
    #[arg(long, default_value_t = 2)]
    redis_flushes: u32,
    /// CLIENT KILL of every connection to Redis.
    #[arg(long, default_value_t = 1)]
    redis_client_kills: u32,
    /// Redis without memory for 1 to 3 seconds.
    #[arg(long, default_value_t = 1)]
    redis_fulls: u32,
    /// Redis read-only for 1 to 3 seconds, as a replica is.
    #[arg(long, default_value_t = 1)]
    redis_read_onlys: u32,
    /// The mail server down for 1 to 4 seconds: connections cut, new ones refused.
    #[arg(long, default_value_t = 1)]
    smtp_outages: u32,
    /// A second or two in which the mail server misbehaves in one way drawn by lot: stalls, drops,
    /// refuses for now, answers late, slowly or without end, at one verb. Some recipients get such
    /// treatment all the time, whatever this number is.
    #[arg(long, default_value_t = 4)]
    smtp_faults: u32,
}

impl Counts {
    /// FLUSHALL and nothing else.
    pub(crate) fn flushes_only(redis_flushes: u32) -> Self {
        Self {
            worker_kills: 0,
            host_kills: 0,
            host_stops: 0,
            worker_stops: 0,
            postgres_stops: 0,
            redis_restarts: 0,
            redis_flushes,
            redis_client_kills: 0,
            redis_fulls: 0,
            redis_read_onlys: 0,
            smtp_outages: 0,
            smtp_faults: 0,
        }
    }

    pub(crate) fn redis_flushes(&self) -> u32 {
        self.redis_flushes
    }

    fn each(&self) -> [(Fault, u32); 12] {
        [
            (Fault::WorkerKill, self.worker_kills),
            (Fault::HostKill, self.host_kills),
            (Fault::HostStop, self.host_stops),
            (Fault::WorkerStop, self.worker_stops),
            (Fault::PostgresStop, self.postgres_stops),
            (Fault::RedisRestart, self.redis_restarts),
            (Fault::RedisFlush, self.redis_flushes),
            (Fault::RedisClientKill, self.redis_client_kills),
            (Fault::RedisFull, self.redis_fulls),
            (Fault::RedisReadOnly, self.redis_read_onlys),
            (Fault::SmtpOutage, self.smtp_outages),
            (Fault::Misbehaviour, self.smtp_faults),
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u32 = self.each().iter().map(|(_, count)| count).sum();
        write!(f, "{total} faults to come")
    }
}

/// Something to do at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Begins a fault.
    Begin(Fault),
    /// Starts the worker in this place again.
    StartWorker(usize),
    /// Lets the worker in this place go on, if it is still the process that was stopped.
    Continue { place: usize, incarnation: u32 },
    /// The same for a host.
    ContinueHost { place: usize, incarnation: u32 },
    /// Ends a fault of a server.
    End(Fault),
}

/// Faults spread over the trial: of each kind one in each equal share of the time.
pub(crate) struct Schedule {
    random: StdRng,
    steps: BinaryHeap<Reverse<(Duration, Step)>>,
}

impl Schedule {
    pub(crate) fn new(mut random: StdRng, length: Duration, counts: &Counts) -> Self {
        let mut steps = BinaryHeap::new();
        for (fault, count) in counts.each() {
            let share = length.as_secs_f64() / f64::from(count.max(1));
            for number in 0..count {
                // The first half of its share, so that what lasts a while ends before the next.
                let within = random.random_range(0.05..0.6);
                let at = Duration::from_secs_f64(share * (f64::from(number) + within));
                steps.push(Reverse((at, Step::Begin(fault))));
            }
        }
        Self { random, steps }
    }

    /// The next step whose time has come.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Step> {
        let Reverse((at, step)) = *self.steps.peek()?;
        (at <= now).then(|| {
            self.steps.pop();
            step
        })
    }

    pub(crate) fn later(&mut self, at: Duration, step: Step) {
        self.steps.push(Reverse((at, step)));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// A time between the two, in seconds.
    pub(crate) fn time(&mut self, range: std::ops::Range<f64>) -> Duration {
        Duration::from_secs_f64(self.random.random_range(range))
    }

    /// One of so many.
    pub(crate) fn draw(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }
}
