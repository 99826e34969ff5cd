//! The keys of the queue in Redis, and their types.
//!
//! apalis-redis 1.0 chooses the names of a lane's keys. Redis holds no truth, so a key of another type is
//! deleted wherever it is found, and the outbox dispatches again what it held.

use super::Lane;

/// The hash tag of every key. apalis's registration also writes the key of this name, which cannot
/// be configured; with this tag all keys are in the same slot of Redis Cluster.
const SLOT: &str = "{core:apalis:queues:list}";

/// The list of queues that apalis's registration writes. Other programs with apalis may share it.
pub(super) const QUEUES: Key = Key("core:apalis:queues:list", "zset");

/// A key: its name, or the part of its name after that of its queue, and its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) &'static str, pub(super) &'static str);

/// The keys that each lane has once, in the order in which the scripts take them.
pub(super) const OF_LANE: [Key; 7] = [
    Key("data", "hash"),
    Key("active", "list"),
    Key("scheduled", "zset"),
    Key("done", "set"),
    Key("dead", "set"),
    Key("workers", "zset"),
    Key("signal", "list"),
];

/// The keys that each lane has for every dispatch or for every worker, whose id or name follows after a
/// colon, in the order in which the scripts take them.
pub(super) const OF_ENTRY: [Key; 3] = [
    Key("meta", "hash"),
    Key("inflight", "set"),
    Key("workers:metadata", "hash"),
];

/// The keys that an installation has once: the next slot of the rate limit.
pub(super) const TURNS: Key = Key("turns", "string");

/// The names of the keys of one installation.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    installation: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            installation: format!("{SLOT}:{prefix}"),
        }
    }

    /// Returns the name of the lane's queue, with which the names of its keys begin.
    pub(super) fn queue(&self, lane: Lane) -> String {
        format!("{}:{lane}", self.installation)
    }

    /// Returns the name of a key of `lane`.
    pub(super) fn of(&self, lane: Lane, part: &str) -> String {
        format!("{}:{lane}:{part}", self.installation)
    }

    /// Returns the name of a key that belongs to no lane.
    pub(super) fn shared(&self, part: &str) -> String {
        format!("{}:{part}", self.installation)
    }

    /// Returns every key and its type. `*` stands for the id of a dispatch or the name of a worker.
    pub(super) fn all(&self) -> Vec<(String, &'static str)> {
        let mut all = vec![
            (QUEUES.0.to_owned(), QUEUES.1),
            (self.shared(TURNS.0), TURNS.1),
        ];
        for lane in Lane::ALL {
            all.extend(OF_LANE.map(|Key(part, kind)| (self.of(lane, part), kind)));
            let of_entry = OF_ENTRY.map(|Key(part, kind)| (format!("{part}:*"), kind));
            all.extend(of_entry.map(|(part, kind)| (self.of(lane, &part), kind)));
        }
        all
    }
}
