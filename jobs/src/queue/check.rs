//! The health of the queue's server, for operators.

use std::fmt;

use super::{
    Lane, QueueError,
    rights::{self, is_denied},
    store::Store,
};

/// The state of the queue's server as read by [`Queue::check`](super::Queue::check). A queue in
/// memory has no server, so every field is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The address: host and port, or sentinels, or the nodes of a cluster.
    pub address: Option<String>,
    /// The version the server reports.
    pub version: Option<String>,
    /// The server's `maxmemory-policy`.
    pub eviction: Option<String>,
}

impl Health {
    /// Returns true if the server may evict keys.
    ///
    /// Eviction is safe, because the outbox is the source of truth: an evicted dispatch is
    /// dispatched again when its lease expires. This takes time, so `noeviction` is better.
    /// Persistence is not needed either.
    #[must_use]
    pub fn may_evict(&self) -> bool {
        self.eviction
            .as_deref()
            .is_some_and(|policy| policy != "noeviction")
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(address) = &self.address else {
            return f.write_str("in this process");
        };
        let version = self.version.as_deref().unwrap_or("of unknown version");
        write!(f, "redis {version} at {address}")?;
        match &self.eviction {
            Some(policy) if self.may_evict() => write!(
                f,
                ", maxmemory-policy {policy} (nothing is lost, but an evicted job is delayed until \
                 its lease expires; noeviction is better)"
            ),
            _ => Ok(()),
        }
    }
}

/// Checks the rights, and reads the configuration from `INFO`, which managed servers allow even if they
/// refuse `CONFIG`. The worker needs neither.
pub(super) async fn redis(store: &Store) -> Result<Health, QueueError> {
    rights::check(store).await?;
    // The first command has a key, so that in a cluster one node answers, which holds the queue.
    let info = redis::pipe()
        .cmd("TYPE")
        .arg(store.keys().of(Lane::Urgent, "data"))
        .ignore()
        .cmd("INFO")
        .query_async(&mut store.connection())
        .await;
    let (info,): (String,) = match info {
        Err(error) if is_denied(&error) => (String::new(),),
        info => info.map_err(|source| store.failed(source))?,
    };
    Ok(Health {
        address: Some(store.address().to_owned()),
        version: field(&info, "redis_version"),
        eviction: field(&info, "maxmemory_policy"),
    })
}

fn field(info: &str, name: &str) -> Option<String> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::to_owned)
}
