//! Kinds of faults, and the faults that were caused.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// SIGKILL of a worker.
    WorkerKill,
    /// SIGKILL of a host.
    HostKill,
    /// SIGSTOP of a host.
    HostStop,
    /// SIGSTOP of a worker for longer than its leases.
    WorkerStop,
    /// Postgres stopped immediately, and started again.
    PostgresStop,
    /// Redis killed and started empty.
    RedisRestart,
    /// FLUSHALL.
    RedisFlush,
    /// CLIENT KILL of every connection to Redis.
    RedisClientKill,
    /// Redis out of memory: `maxmemory` set to one byte.
    RedisFull,
    /// Redis read-only, as a replica is.
    RedisReadOnly,
    /// The mail server down.
    SmtpOutage,
    /// The mail server misbehaving.
    Misbehaviour,
    /// The mail server refusing a few recipients for policy.
    PolicyRefusal,
    /// The mail server taking fewer letters a second than are sent.
    Throttling,
    /// Not injected: a worker exited by itself. Allowed only while it starts and Postgres is down.
    WorkerExit,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WorkerKill => "workers killed",
            Self::HostKill => "hosts killed",
            Self::HostStop => "hosts stopped",
            Self::WorkerStop => "workers stopped for longer than their leases",
            Self::PostgresStop => "immediate shutdowns of Postgres",
            Self::RedisRestart => "Redis killed and restarted empty",
            Self::RedisFlush => "FLUSHALL",
            Self::RedisClientKill => "CLIENT KILL",
            Self::RedisFull => "Redis out of memory",
            Self::RedisReadOnly => "Redis read-only",
            Self::SmtpOutage => "mail server down",
            Self::Misbehaviour => "mail server misbehaving",
            Self::PolicyRefusal => "mail server refusing some recipients for policy",
            Self::Throttling => "mail server throttling",
            Self::WorkerExit => "worker starts that failed because Postgres was down",
        })
    }
}

/// A fault that was caused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) fault: Fault,
    /// The process that was killed or stopped, if the fault hit one. A worker signs in to the mail
    /// server under the same name.
    pub(crate) process: Option<String>,
    pub(crate) from: DateTime<Utc>,
    /// End of the fault; `None` while it lasts.
    pub(crate) until: Option<DateTime<Utc>>,
}
