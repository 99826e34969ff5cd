//! What the queue keeps in Redis, and the scripts that keep it in order.
//!
//! apalis fetches and acknowledges; pushing, counting and cleaning are here, each one atomic
//! script. A push goes straight to the lane's active list: apalis's own goes through a schedule
//! that compares two machines' clocks, and cannot see the window.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisError, Script, ScriptInvocation};

use super::{Dispatch, Lane, Lanes, QueueError, WINDOW, payload::Payload};
use crate::{redis_connection::RedisConnection, redis_url::RedisUrl};

/// The hash tag of every key. apalis's registration also writes the key of this name, which no
/// setting moves; under its slot, all keys sit together in Redis Cluster.
const SLOT: &str = "{core:apalis:queues:list}";

/// A worker whose process has not beaten for so long is dead. Longer than a lease, so its rows
/// have been dispatched again before its keys go.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// How many finished dispatches one sweep forgets, from each of two sets.
const SWEEP: usize = 500;

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("push.lua")));
static SWEEP_LANE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep.lua")));
static MEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mend.lua")));

/// The queue's part of a Redis server.
pub(super) struct Store {
    address: String,
    queues: Lanes<String>,
    turns: String,
    connection: RedisConnection,
}

/// A lane after a sweep.
pub(super) struct Swept {
    /// Dispatches in the lane, in whatever state.
    pub(super) held: usize,
    /// Those of them that nobody has fetched.
    pub(super) waiting: usize,
    /// More finished ones wait to be forgotten.
    pub(super) more: bool,
    /// Workers of killed processes.
    pub(super) dead_workers: Vec<String>,
    /// Keys contradict each other: some were evicted, lost or tampered with.
    pub(super) is_torn: bool,
}

/// What mending a lane dropped.
pub(super) struct Mended {
    pub(super) buried: usize,
    pub(super) orphans: usize,
    pub(super) broken: Vec<String>,
}

impl Store {
    pub(super) fn new(url: &RedisUrl, prefix: &str) -> Self {
        Self {
            connection: RedisConnection::new(url),
            address: url.to_string(),
            queues: Lanes::each(|lane| format!("{SLOT}:{prefix}:{lane}")),
            turns: format!("{SLOT}:{prefix}:turns"),
        }
    }

    /// Where Redis is, without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn queue(&self, lane: Lane) -> &str {
        self.queues.of(lane)
    }

    /// The key of the turns at the mail server.
    pub(super) fn turns(&self) -> &str {
        &self.turns
    }

    pub(super) fn connection(&self) -> RedisConnection {
        self.connection.clone()
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.connection.reconnects()
    }

    /// Sweeps `lane` and returns how many dispatches every lane holds, and how many of this one
    /// nobody has fetched.
    pub(super) async fn held(&self, lane: Lane) -> Result<(Lanes<usize>, usize), QueueError> {
        let other = match lane {
            Lane::Urgent => Lane::Letters,
            Lane::Letters => Lane::Urgent,
        };
        let swept = self.sweep(lane, &[]).await?;
        let rest: usize = redis::cmd("HLEN")
            .arg(self.key(other, "data"))
            .query_async(&mut self.connection())
            .await
            .map_err(|source| self.failed(source))?;
        let held = Lanes::each(|each| if each == lane { swept.held } else { rest });
        Ok((held, swept.waiting))
    }

    pub(super) async fn push(&self, lane: Lane, dispatches: &[Dispatch]) -> Result<(), QueueError> {
        let mut script = PUSH.prepare_invoke();
        script.key(self.key(lane, "data"));
        for other in Lane::ALL.into_iter().filter(|other| *other != lane) {
            script.key(self.key(other, "data"));
        }
        script
            .key(self.key(lane, "active"))
            .key(self.key(lane, "meta"))
            .arg(lane.window())
            .arg(WINDOW);
        for dispatch in dispatches {
            script
                .arg(dispatch.task_id())
                .arg(Payload::encode(*dispatch));
        }
        let held: i64 = self.invoke(&script).await?;
        if held < 0 {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }

    /// Forgets finished dispatches and beats for the workers named in `live`.
    pub(super) async fn sweep(&self, lane: Lane, live: &[String]) -> Result<Swept, QueueError> {
        let mut script = self.lane_script(&SWEEP_LANE, lane);
        script.arg(SWEEP).arg(DEAD_AFTER.as_secs()).arg(live);
        type Answer = (usize, usize, usize, usize, Vec<Vec<u8>>);
        let (held, waiting, counted, forgotten, dead_workers): Answer =
            self.invoke(&script).await?;
        Ok(Swept {
            held,
            waiting,
            more: forgotten >= SWEEP,
            dead_workers: dead_workers.into_iter().map(lossy).collect(),
            is_torn: held != counted,
        })
    }

    /// Buries `workers` with what they held, and drops whatever else contradicts itself.
    ///
    /// Their dispatches are dropped and not delivered again: a handler may still run, and the
    /// lease knows.
    pub(super) async fn mend(&self, lane: Lane, workers: &[String]) -> Result<Mended, QueueError> {
        let mut script = self.lane_script(&MEND, lane);
        script.key(self.key(lane, "workers:metadata")).arg(workers);
        let (buried, orphans, broken): (usize, usize, Vec<Vec<u8>>) = self.invoke(&script).await?;
        Ok(Mended {
            buried,
            orphans,
            broken: broken.into_iter().map(lossy).collect(),
        })
    }

    pub(super) fn failed(&self, source: RedisError) -> QueueError {
        QueueError::Redis {
            address: self.address.clone(),
            source,
        }
    }

    /// The key of apalis-redis 1.0 for `part` of the lane's queue.
    pub(super) fn key(&self, lane: Lane, part: &str) -> String {
        format!("{}:{part}", self.queue(lane))
    }

    fn lane_script<'a>(&self, script: &'a Script, lane: Lane) -> ScriptInvocation<'a> {
        let mut invocation = script.prepare_invoke();
        for part in [
            "data",
            "active",
            "scheduled",
            "done",
            "dead",
            "workers",
            "meta",
            "inflight",
        ] {
            invocation.key(self.key(lane, part));
        }
        invocation
    }

    pub(super) async fn invoke<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        script
            .invoke_async(&mut self.connection())
            .await
            .map_err(|source| self.failed(source))
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
