//! What the queue keeps in Redis, and the scripts that keep it in order.
//!
//! apalis fetches and acknowledges; pushing, counting and cleaning are here, each one atomic
//! script. A push goes straight to the lane's active list: apalis's own goes through a schedule
//! that compares two machines' clocks, and cannot see the window.

use std::{
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    Client, RedisError, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{Dispatch, Lane, Lanes, QueueError, WINDOW, payload::Payload};

/// The hash tag of every key. apalis's registration also writes the key of this name, which no
/// setting moves; under its slot, all keys sit together in Redis Cluster.
const SLOT: &str = "{core:apalis:queues:list}";

/// A worker whose process has not beaten for so long is dead. Longer than a lease, so its rows
/// have been dispatched again before its keys go.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// How many finished dispatches one sweep forgets, from each of two sets.
const SWEEP: usize = 500;

/// An answer that takes longer counts as none.
const TIMEOUT: Duration = Duration::from_secs(2);

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("push.lua")));
static SWEEP_LANE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep.lua")));
static MEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mend.lua")));

/// The queue's part of a Redis server.
pub(super) struct Store {
    client: Client,
    address: String,
    queues: Lanes<String>,
    connection: Mutex<ConnectionManager>,
    reconnects: AtomicU64,
}

/// A lane after a sweep.
pub(super) struct Swept {
    /// Dispatches in the lane, in whatever state.
    pub(super) held: usize,
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
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, QueueError> {
        let client = Client::open(url).map_err(|_| QueueError::Url)?;
        let address = client.get_connection_info().addr().to_string();
        let connection = connect(&client).map_err(|_| QueueError::Url)?;
        Ok(Self {
            client,
            address,
            queues: Lanes::each(|lane| format!("{SLOT}:{prefix}:{lane}")),
            connection: Mutex::new(connection),
            reconnects: AtomicU64::new(0),
        })
    }

    /// Host and port, without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn queue(&self, lane: Lane) -> &str {
        self.queues.of(lane)
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        self.current().clone()
    }

    /// Replaces the connection: one that timed out may never notice that its peer is gone, and
    /// after a failover the name may belong to another server.
    pub(super) fn reconnect(&self) -> ConnectionManager {
        if let Ok(fresh) = connect(&self.client) {
            *self.current() = fresh;
            self.reconnects.fetch_add(1, Relaxed);
        }
        self.connection()
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// Sweeps `lane` and returns how many dispatches every lane holds.
    pub(super) async fn held(&self, lane: Lane) -> Result<Lanes<usize>, QueueError> {
        let other = match lane {
            Lane::Urgent => Lane::Letters,
            Lane::Letters => Lane::Urgent,
        };
        let swept = self.sweep(lane, &[]).await?.held;
        let rest: usize = redis::cmd("HLEN")
            .arg(self.key(other, "data"))
            .query_async(&mut self.connection())
            .await
            .map_err(|source| self.failed(source))?;
        Ok(Lanes::each(|each| if each == lane { swept } else { rest }))
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
        let (held, counted, forgotten, dead_workers): (usize, usize, usize, Vec<Vec<u8>>) =
            self.invoke(&script).await?;
        Ok(Swept {
            held,
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

    async fn invoke<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        script
            .invoke_async(&mut self.connection())
            .await
            .map_err(|source| self.failed(source))
    }

    fn current(&self) -> std::sync::MutexGuard<'_, ConnectionManager> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is made at its first use and again whenever it breaks.
fn connect(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(200));
    client.get_connection_manager_lazy(config)
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
