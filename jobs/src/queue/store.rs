//! The scripts that change the keys of the queue in Redis.
//!
//! apalis fetches and acknowledges. Pushing, counting and cleaning are done here, each in one atomic
//! script. A push goes directly to the lane's active list: apalis's own push uses a schedule that
//! compares the clocks of two machines, and does not know the window.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use guestlist::Ticket;
use redis::{ErrorKind, RedisError, Script, ScriptInvocation, ServerErrorKind};

use super::{
    Lane, Lanes, QueueError, WINDOW,
    junk_log::JunkLog,
    keys::{Key, Keys, OF_ENTRY, OF_LANE, QUEUES, TURNS},
    payload::Payload,
};
use crate::{redis_connection::RedisConnection, redis_url::RedisUrl};

/// The time without a heartbeat after which a worker counts as dead. It is longer than a lease, so
/// that its rows have been dispatched again before its keys are deleted.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// The number of finished dispatches that one sweep deletes, from each of two sets.
const SWEEP: usize = 500;

/// The number of entries from which a key is deleted as a whole, far more than the window allows.
/// Entry by entry, a script that removes hundreds of thousands would block Redis.
const MOST_ENTRIES: usize = 4 * WINDOW;

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("push.lua")));
static SWEEP_LANE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep.lua")));
static REPAIR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("repair.lua")));

/// The queue's part of a Redis server.
pub(super) struct Store {
    address: String,
    keys: Keys,
    queues: Lanes<String>,
    connection: RedisConnection,
    pub(super) junk_log: Arc<JunkLog>,
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
    pub(super) dead_workers: Vec<Vec<u8>>,
    /// True if keys are inconsistent: some were evicted, lost or changed by another program.
    pub(super) is_inconsistent: bool,
}

impl Store {
    pub(super) fn new(url: &RedisUrl, prefix: &str, junk_log: Arc<JunkLog>) -> Self {
        let keys = Keys::new(prefix);
        Self {
            connection: RedisConnection::new(url),
            address: url.to_string(),
            queues: Lanes::each(|lane| keys.queue(lane)),
            keys,
            junk_log,
        }
    }

    /// Returns the address of Redis, without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn queue(&self, lane: Lane) -> &str {
        self.queues.of(lane)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the key of the rate limit.
    pub(super) fn slots(&self) -> String {
        self.keys.shared(TURNS.0)
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
        let mut count = redis::cmd("HLEN");
        count.arg(self.keys.of(other, "data"));
        let mut connection = self.connection();
        let rest = match count.query_async(&mut connection).await {
            Err(error) if self.mends(&error).await => count.query_async(&mut connection).await,
            answer => answer,
        };
        let rest: usize = rest.map_err(|source| self.failed(source))?;
        let held = Lanes::each(|each| if each == lane { swept.held } else { rest });
        Ok((held, swept.waiting))
    }

    pub(super) async fn push(&self, lane: Lane, dispatches: &[Ticket]) -> Result<(), QueueError> {
        let mut script = PUSH.prepare_invoke();
        script.key(self.keys.of(lane, "data"));
        for other in Lane::ALL.into_iter().filter(|other| *other != lane) {
            script.key(self.keys.of(other, "data"));
        }
        script
            .key(self.keys.of(lane, "active"))
            .key(self.keys.of(lane, "meta"))
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
        let mut script = SWEEP_LANE.prepare_invoke();
        for Key(part, _) in &OF_LANE[..6] {
            script.key(self.keys.of(lane, part));
        }
        script
            .key(self.keys.of(lane, "inflight"))
            .key(self.keys.of(lane, "meta"))
            .arg(SWEEP)
            .arg(DEAD_AFTER.as_secs())
            .arg(live);
        type Answer = (usize, usize, usize, usize, Vec<Vec<u8>>);
        let (held, waiting, counted, forgotten, dead_workers): Answer =
            self.invoke(&script).await?;
        Ok(Swept {
            held,
            waiting,
            more: forgotten >= SWEEP,
            dead_workers,
            is_inconsistent: held != counted,
        })
    }

    /// Removes `workers` with their dispatches, and drops and logs other inconsistent entries and
    /// keys.
    ///
    /// The dispatches are dropped and not delivered again, because a handler may still run. Their
    /// rows are dispatched again when the leases expire.
    pub(super) async fn repair(&self, lane: Lane, workers: &[Vec<u8>]) -> Result<(), RedisError> {
        let mut script = REPAIR.prepare_invoke();
        for Key(part, _) in OF_LANE {
            script.key(self.keys.of(lane, part));
        }
        script.key(QUEUES.0);
        for Key(part, _) in OF_ENTRY {
            script.key(self.keys.of(lane, part));
        }
        script.arg(MOST_ENTRIES);
        for Key(_, kind) in OF_LANE.into_iter().chain([QUEUES]) {
            script.arg(kind);
        }
        script.arg(workers);
        type Answer = (usize, usize, usize, Vec<u8>, Vec<Vec<u8>>);
        let (abandoned, orphans, broken, example, deleted): Answer =
            script.invoke_async(&mut self.connection()).await?;
        if let [first, ..] = &deleted[..] {
            self.junk_log.keys(deleted.len(), &lossy(first));
        }
        self.junk_log.entries(broken, &lossy(&example));
        self.junk_log.dispatches(abandoned + orphans);
        Ok(())
    }

    pub(super) fn failed(&self, source: RedisError) -> QueueError {
        QueueError::Redis {
            address: self.address.clone(),
            problem: source,
        }
    }

    async fn invoke<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let mut connection = self.connection();
        let answer = match script.invoke_async(&mut connection).await {
            Err(error) if self.mends(&error).await => script.invoke_async(&mut connection).await,
            answer => answer,
        };
        answer.map_err(|source| self.failed(source))
    }

    /// Repairs the lanes if a damaged key can be the cause of an error, and returns whether it did: the
    /// failed command is then worth another try.
    async fn mends(&self, error: &RedisError) -> bool {
        if !may_be_damage(error) {
            return false;
        }
        for lane in Lane::ALL {
            if self.repair(lane, &[]).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Returns whether a key of another type or with other contents can be the cause of an error. Before
/// version 7 of Redis, the error of a script is inside a general one.
fn may_be_damage(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
        || error.code() == Some("WRONGTYPE")
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
