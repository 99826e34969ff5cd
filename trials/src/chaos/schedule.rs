//! The time of each fault.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use clap::Args;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::fault::Fault;

/// Number of faults of each kind.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Number of faults of each kind")]
pub(crate) struct Counts {
    /// SIGKILL of a worker process.
    #[arg(long, default_value_t = 6)]
    worker_kills: u32,
    /// SIGKILL of a host process.
    #[arg(long, default_value_t = 2)]
    host_kills: u32,
    /// SIGSTOP of a host for 2 to 8 seconds, possibly in the middle of a transaction, then SIGCONT.
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
    /// FLUSHALL on Redis.
    #[arg(long, default_value_t = 2)]
    redis_flushes: u32,
    /// CLIENT KILL of every connection to Redis.
    #[arg(long, default_value_t = 1)]
    redis_client_kills: u32,
    /// Redis out of memory for 1 to 3 seconds.
    #[arg(long, default_value_t = 1)]
    redis_fulls: u32,
    /// Redis read-only for 1 to 3 seconds, as a replica is.
    #[arg(long, default_value_t = 1)]
    redis_read_onlys: u32,
    /// The mail server down for 1 to 4 seconds: connections cut, new ones refused.
    #[arg(long, default_value_t = 1)]
    smtp_outages: u32,
    /// One random fault of the mail server for 0.5 to 2 seconds, at one SMTP command: it stalls, drops
    /// the connection, refuses temporarily, or answers late, slowly or without end. Some recipients are
    /// treated like this all the time, whatever this number is; see --easy-recipients.
    #[arg(long, default_value_t = 4)]
    smtp_faults: u32,
    /// A tenth of the recipients refused by the mail server for 3 to 6 seconds, with 550 5.7.1 at RCPT
    /// or at the final dot.
    #[arg(long, default_value_t = 2)]
    smtp_refusals: u32,
    /// The mail server throttling for 3 to 8 seconds: it takes 2 to 6 letters a second and answers the
    /// others with 421, 452 or 454.
    #[arg(long, default_value_t = 2)]
    smtp_throttles: u32,
}

impl Counts {
    /// FLUSHALL and no other fault.
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
            smtp_refusals: 0,
            smtp_throttles: 0,
        }
    }

    pub(crate) fn redis_flushes(&self) -> u32 {
        self.redis_flushes
    }

    fn each(&self) -> [(Fault, u32); 14] {
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
            (Fault::PolicyRefusal, self.smtp_refusals),
            (Fault::Throttling, self.smtp_throttles),
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u32 = self.each().iter().map(|(_, count)| count).sum();
        write!(f, "{total} faults")
    }
}

/// An action of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Begins a fault.
    Begin(Fault),
    /// Starts the worker with this index again.
    StartWorker(usize),
    /// Resumes the worker with this index, if it is still the process that was stopped.
    ContinueWorker { index: usize, incarnation: u32 },
    /// Resumes the host with this index, if it is still the process that was stopped.
    ContinueHost { index: usize, incarnation: u32 },
    /// Ends a fault of a server.
    End(Fault),
}

/// Faults spread over the trial. The time is divided into as many equal slices as there are faults of a
/// kind, with one in each.
pub(crate) struct Schedule {
    random: StdRng,
    steps: BinaryHeap<Reverse<(Duration, Step)>>,
}

impl Schedule {
    pub(crate) fn new(mut random: StdRng, length: Duration, counts: &Counts) -> Self {
        let mut steps = BinaryHeap::new();
        for (fault, count) in counts.each() {
            let slice = length.as_secs_f64() / f64::from(count.max(1));
            for number in 0..count {
                // In the first 60 %, so that a fault that lasts ends before the next of its kind.
                let within = random.random_range(0.05..0.6);
                let at = Duration::from_secs_f64(slice * (f64::from(number) + within));
                steps.push(Reverse((at, Step::Begin(fault))));
            }
        }
        Self { random, steps }
    }

    /// Takes the next step whose time has come.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Step> {
        let Reverse((at, step)) = *self.steps.peek()?;
        (at <= now).then(|| {
            self.steps.pop();
            step
        })
    }

    pub(crate) fn add(&mut self, at: Duration, step: Step) {
        self.steps.push(Reverse((at, step)));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// Draws a duration from a range of seconds.
    pub(crate) fn draw_duration(&mut self, range: std::ops::Range<f64>) -> Duration {
        Duration::from_secs_f64(self.random.random_range(range))
    }

    /// Draws an index below `count`.
    pub(crate) fn draw_index(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }
}
