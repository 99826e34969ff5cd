//! The keys of the queue in Redis, and the scripts that change them.
//!
//! apalis fetches and acknowledges. Pushing, counting and cleaning are done here, each in one atomic
//! script. A push goes directly to the lane's active list: apalis's own push uses a schedule that
//! compares the clocks of two machines, and does not know the window.

use std::{sync::LazyLock, time::Duration};

use guestlist::Ticket;
use redis::{RedisError, Script, ScriptInvocation};

use super::{Lane, Lanes, QueueError, WINDOW, payload::Payload};
use crate::{redis_connection::RedisConnection, redis_url::RedisUrl};

/// The hash tag of every key. apalis's registration also writes the key of this name, which cannot
/// be configured; with this tag all keys are in the same slot of Redis Cluster.
const SLOT: &str = "{core:apalis:queues:list}";

/// The time without a heartbeat after which a worker counts as dead. It is longer than a lease, so
/// that its rows have been dispatched again before its keys are deleted.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// The number of finished dispatches that one sweep deletes, from each of two sets.
const SWEEP: usize = 500;

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("push.lua")));
static SWEEP_LANE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep.lua")));
static REPAIR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("repair.lua")));

/// The queue's part of a Redis server.
pub(super) struct Store {
    address: String,
    queues: Lanes<String>,
    slots: String,
    connection: RedisConnection,
}

/// A lane after a sweep.
pub(super) struct Swept {
    /// The number of dispatches in the lane, in any state.
    pub(super) held: usize,
    /// The number of them that no worker has fetched.
    pub(super) waiting: usize,
    /// True if more finished dispatches remain to be deleted.
    pub(super) more: bool,
    /// Workers of killed processes.
    pub(super) dead_workers: Vec<String>,
    /// True if keys are inconsistent: some were evicted, lost or changed by another program.
    pub(super) is_inconsistent: bool,
}

/// The entries that a repair of a lane dropped.
pub(super) struct Repaired {
    pub(super) abandoned: usize,
    pub(super) orphans: usize,
    pub(super) broken: Vec<String>,
}

impl Store {
    pub(super) fn new(url: &RedisUrl, prefix: &str) -> Self {
        Self {
            connection: RedisConnection::new(url),
            address: url.to_string(),
            queues: Lanes::each(|lane| format!("{SLOT}:{prefix}:{lane}")),
            slots: format!("{SLOT}:{prefix}:turns"),
        }
    }

    /// Returns the address of Redis, without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn queue(&self, lane: Lane) -> &str {
        self.queues.of(lane)
    }

    /// Returns the key of the rate limit.
    pub(super) fn slots(&self) -> &str {
        &self.slots
    }

    pub(super) fn connection(&self) -> RedisConnection {
        self.connection.clone()
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.connection.reconnects()
    }

    /// Sweeps `lane` and returns the number of dispatches of every lane, and the number of this one
    /// that no worker has fetched.
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

    pub(super) async fn push(&self, lane: Lane, dispatches: &[Ticket]) -> Result<(), QueueError> {
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
            // apalis ignores an id that it has seen, so each lease has its own.
            script
                .arg(dispatch.to_string())
                .arg(Payload::encode(*dispatch));
        }
        let held: i64 = self.invoke(&script).await?;
        if held < 0 {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }

    /// Deletes finished dispatches and sends heartbeats for the workers named in `live`.
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
            is_inconsistent: held != counted,
        })
    }

    /// Removes `workers` with their dispatches, and drops other inconsistent entries.
    ///
    /// The dispatches are dropped and not delivered again, because a handler may still run. Their
    /// rows are dispatched again when the leases expire.
    pub(super) async fn repair(
        &self,
        lane: Lane,
        workers: &[String],
    ) -> Result<Repaired, QueueError> {
        let mut script = self.lane_script(&REPAIR, lane);
        script.key(self.key(lane, "workers:metadata")).arg(workers);
        let (abandoned, orphans, broken): (usize, usize, Vec<Vec<u8>>) =
            self.invoke(&script).await?;
        Ok(Repaired {
            abandoned,
            orphans,
            broken: broken.into_iter().map(lossy).collect(),
        })
    }

    pub(super) fn failed(&self, source: RedisError) -> QueueError {
        QueueError::Redis {
            address: self.address.clone(),
            problem: source,
        }
    }

    /// Returns the key of apalis-redis 1.0 for `part` of the lane's queue.
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
