//! Delivers finished [`Mail`](crate::mail::Mail)s and returns a verdict for each attempt.
//!
//! A letter gets a ready connection from a pool, which finds by itself how many connections the server
//! allows. A failed attempt is judged by the server's words and by what happened to other letters
//! lately; a circuit breaker stops all letters while the server fails or refuses us. With `file:`
//! letters are written as files instead.

mod candidates;
mod cause;
mod circuit_breaker;
mod config;
mod connection_pool;
mod connection_probe;
mod evidence;
mod folder;
mod judge;
mod known_refusals;
mod lent;
mod memory;
mod metrics;
mod ready;
mod remedy;
mod reply_class;
mod report;
mod send;
mod settings;
mod throttle;
mod throttle_queue;
mod verdict;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use guestlist::EmailAddress;
use tokio::time::Instant;

pub use self::circuit_breaker::BreakerState;
pub use self::config::{MailerConfig, MailerConfigError};
pub use self::report::{CheckError, Report};
pub use self::settings::MailerSettings;
pub use self::verdict::{Detail, Verdict, VerdictClass};
pub use crate::smtp::{Deadlines, EhloName, InvalidEhloName};

pub(crate) use self::memory::LetterKey;
pub(crate) use self::metrics::MailerMetrics;
pub(crate) use self::ready::ClosedWhileIdle;
#[cfg(test)]
pub(crate) use self::reply_class::documented;

use self::circuit_breaker::CircuitBreaker;
use self::config::Transport;
use self::connection_pool::ConnectionPool;
use self::folder::Folder;
use self::memory::Memory;
use self::throttle::Throttle;
use self::throttle_queue::ThrottleQueue;

/// Delivers letters. Clones share the connections and what the mailer has learnt about the server.
#[derive(Clone)]
pub struct Mailer(Arc<Shared>);

struct Shared {
    post: Post,
    breaker: Arc<CircuitBreaker>,
    memory: Memory,
    throttle: Throttle,
    throttle_queue: ThrottleQueue,
    metrics: MailerMetrics,
    back_off: Duration,
    /// True while a task tries connections.
    has_probe: AtomicBool,
    /// The sender of the last letter, for probes without a letter.
    sender: std::sync::Mutex<Option<EmailAddress>>,
}

/// The destination of letters.
enum Post {
    Smtp(ConnectionPool),
    Folder(Folder),
}

/// No letter can be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// The reason.
    pub(crate) why: String,
    /// The time until the next try.
    pub(crate) retry_after: Duration,
}

impl Mailer {
    /// Creates a mailer. It connects when it has its first letter.
    ///
    /// # Panics
    /// Outside of a tokio runtime, because the pool keeps its connections up in a task.
    pub fn new(config: MailerConfig, settings: MailerSettings) -> Self {
        let mut settings = settings;
        settings.connections = settings.connections.max(1);
        let metrics = MailerMetrics::new();
        let breaker = CircuitBreaker::new(&settings);
        Self(Arc::new_cyclic(|mailer: &Weak<Shared>| {
            let post = match config.transport {
                Transport::File(folder) => Post::Folder(Folder(folder)),
                Transport::Smtp(server) => {
                    let mailer = mailer.clone();
                    let on_failure = move |error| {
                        if let Some(mailer) = mailer.upgrade() {
                            Self(mailer).could_not_connect(&error);
                        }
                    };
                    let counters = metrics.smtp().clone();
                    Post::Smtp(ConnectionPool::new(*server, settings, counters, on_failure))
                }
            };
            Shared {
                post,
                breaker,
                memory: Memory::default(),
                throttle: Throttle::default(),
                throttle_queue: ThrottleQueue::default(),
                metrics,
                back_off: settings.back_off.first,
                has_probe: AtomicBool::new(false),
                sender: std::sync::Mutex::default(),
            }
        }))
    }

    pub(crate) fn unavailable(&self) -> Unavailable {
        let retry_after = match self.state() {
            BreakerState::Open { retry_after } => retry_after,
            BreakerState::Closed | BreakerState::HalfOpen => self.0.back_off,
        };
        Unavailable {
            why: self.0.breaker.cause(),
            retry_after,
        }
    }

    /// Returns the state of the circuit breaker; to be checked before messages are leased.
    pub fn state(&self) -> BreakerState {
        self.0.breaker.state(Instant::now())
    }

    /// Returns why no letter is sent now and when the next try is; `None` while letters pass.
    pub(crate) fn stopped(&self) -> Option<Unavailable> {
        let stops = self.0.breaker.stops(Instant::now());
        stops.then(|| self.unavailable())
    }

    /// Returns the problem that a person has to fix before letters leave again: the server refuses
    /// our credentials, our sender address or our reputation. `None` while letters leave, and while
    /// the circuit breaker is open because of a failure of the server itself.
    pub fn paused(&self) -> Option<String> {
        self.0.breaker.paused(Instant::now())
    }

    /// Returns for how long letters have been tried and none was accepted, because the server fails,
    /// refuses us or asks to slow down.
    pub(crate) fn stopped_for(&self) -> Option<Duration> {
        let now = Instant::now();
        let stopped = self.0.breaker.stopped_since(now);
        let since = stopped.or_else(|| self.0.throttle.refused_since(now))?;
        Some(now.saturating_duration_since(since))
    }

    /// Returns the pace in letters a second if the server asked to send more slowly lately.
    pub(crate) fn throttled_pace(&self) -> Option<f64> {
        self.0.throttle.recent_pace(Instant::now())
    }

    /// Returns the counters since the mailer was created.
    pub(crate) fn metrics(&self) -> &MailerMetrics {
        &self.0.metrics
    }

    /// Checks that letters could be delivered, without sending one: connects, greets, encrypts,
    /// signs in and quits, or tries to write to the folder. The circuit breaker does not change.
    ///
    /// # Errors
    /// The problem to fix, without the password.
    pub async fn check(&self) -> Result<Report, CheckError> {
        self.check_as(None).await
    }

    /// Like [`check`](Self::check), and asks the server whether it takes a letter of this envelope
    /// sender to the sender's own `address` (`MAIL`, `RCPT`, `RSET`), because many servers judge a
    /// session only then. A refusal of that recipient alone is no problem.
    ///
    /// # Errors
    /// The problem to fix, without the password.
    pub async fn check_sender(
        &self,
        envelope: &EmailAddress,
        address: &EmailAddress,
    ) -> Result<Report, CheckError> {
        self.check_as(Some((envelope, address))).await
    }

    async fn check_as(
        &self,
        sender: Option<(&EmailAddress, &EmailAddress)>,
    ) -> Result<Report, CheckError> {
        match &self.0.post {
            Post::Smtp(pool) => Ok(Report::on(pool, sender).await?),
            Post::Folder(folder) => match folder.check().await {
                Ok(()) => Ok(Report::Folder(folder.0.clone())),
                Err(error) => Err(CheckError(format!(
                    "cannot write to {}: {error}",
                    folder.0.display()
                ))),
            },
        }
    }

    /// Finishes the letters that have a connection and closes the connections with `QUIT`. Later
    /// letters are not tried. Takes as long as the slowest letter, so the caller bounds it by the
    /// drain time; a letter cut off by that is sent again.
    pub async fn close(&self) {
        if let Post::Smtp(pool) = &self.0.post {
            pool.close().await;
        }
    }
}
