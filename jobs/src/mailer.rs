//! Delivers finished [`Mail`]s and returns a verdict for each attempt.
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
mod evidence;
mod folder;
mod individual;
mod judge;
mod lent;
mod memory;
mod metrics;
mod ready;
mod remedy;
mod reply_class;
mod report;
mod settings;
mod throttle;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use guestlist::EmailAddress;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

pub use self::circuit_breaker::BreakerState;
pub use self::config::{MailerConfig, MailerConfigError};
pub use self::report::{CheckError, Report};
pub use self::settings::MailerSettings;
pub use self::verdict::{Detail, Verdict, VerdictClass};
pub use crate::smtp::{Deadlines, EhloName, InvalidEhloName};

pub(crate) use self::memory::LetterKey;
pub(crate) use self::metrics::MailerMetrics;
pub(crate) use self::ready::{ClosedWhileIdle, Ready};
#[cfg(test)]
pub(crate) use self::reply_class::documented;

use self::candidates::Candidate;
use self::cause::Cause;
use self::circuit_breaker::{BreakerPermit, CircuitBreaker};
use self::config::Transport;
use self::connection_pool::ConnectionPool;
use self::folder::Folder;
use self::lent::Lent;
use self::memory::Memory;
use self::throttle::Throttle;
use crate::mail::Mail;
use crate::smtp::{SendGuard, SmtpError};

/// The time that a letter waits for the circuit breaker before it goes back to the outbox.
const BREAKER_PATIENCE: Duration = Duration::from_secs(2);

/// The shortest wait for a change of the circuit breaker.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The time that a letter waits for a connection before it goes back to the outbox.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// Delivers letters. Clones share the connections and what the mailer has learnt about the server.
#[derive(Clone)]
pub struct Mailer(Arc<Shared>);

struct Shared {
    post: Post,
    breaker: Arc<CircuitBreaker>,
    memory: Memory,
    throttle: Throttle,
    /// Held by the letter that waits for the next slot of the throttle.
    throttle_queue: Mutex<()>,
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
                throttle_queue: Mutex::default(),
                metrics,
                back_off: settings.back_off.first,
                has_probe: AtomicBool::new(false),
                sender: std::sync::Mutex::default(),
            }
        }))
    }

    /// Attempts to deliver one letter that belongs to no organization, such as one of the host's own.
    ///
    /// Returns [`VerdictClass::NotTried`] while the circuit breaker is open. Dropping the future
    /// cancels the letter: it is not sent, or its connection is dropped.
    pub async fn send(&self, mail: Mail) -> Verdict {
        self.send_while(|| true, mail).await
    }

    /// Like [`send`](Self::send), but only as long as `stands` returns true. It is called right before
    /// the final dot, the last moment at which the letter can be held back. Once it returns false,
    /// nothing is sent, and the verdict is [`VerdictClass::NotTried`].
    pub async fn send_while(
        &self,
        stands: impl Fn() -> bool + Send + Sync + 'static,
        mail: Mail,
    ) -> Verdict {
        let guard = SendGuard::new(stands);
        let letter = LetterKey::new(mail.to.as_str(), None);
        let mut replaced = 0;
        loop {
            let ready = match self.ready(letter, replaced).await {
                Ok(ready) => ready,
                Err(Unavailable { why, retry_after }) => {
                    return Verdict::not_tried(&why, retry_after);
                }
            };
            match ready.send(&mail, &guard).await {
                Ok(verdict) => return verdict,
                Err(ClosedWhileIdle) => replaced += 1,
            }
        }
    }

    /// Waits until a letter can be sent at once: for the circuit breaker, for a connection, and for
    /// the pace that the server asked for. `replaced` is the number of connections on which the server
    /// did not take the letter because they were closed.
    ///
    /// # Errors
    /// [`Unavailable`] if none of it comes within seconds.
    pub(crate) async fn ready(
        &self,
        letter: LetterKey,
        replaced: usize,
    ) -> Result<Ready, Unavailable> {
        let deadline = Instant::now() + BREAKER_PATIENCE;
        loop {
            let permit = self.permit(letter, deadline).await?;
            let Post::Smtp(pool) = &self.0.post else {
                return Ok(Ready::to_folder(self.clone(), letter, permit));
            };
            let Some(mut lent) = self.checkout(pool, &permit).await? else {
                continue;
            };
            // The server may have closed it while it waited.
            let is_closed = self.wait_for_throttle().await && lent.drop_if_closed();
            // Letters may have been stopped while this one waited; the connection goes back then.
            if permit.revoked(Instant::now()).is_some() {
                continue;
            }
            if is_closed {
                drop(lent);
                // Without another wait: the slot is the letter's already.
                let Some(other) = self.checkout(pool, &permit).await? else {
                    continue;
                };
                lent = other;
                if permit.revoked(Instant::now()).is_some() {
                    continue;
                }
            }
            let may_replace = replaced < pool.most_connections();
            return Ok(Ready::on(self.clone(), letter, permit, lent, may_replace));
        }
    }

    /// Waits for a connection. Returns `None` if letters were stopped meanwhile, also because none could be
    /// opened: the breaker tells then how long to wait.
    async fn checkout(
        &self,
        pool: &ConnectionPool,
        permit: &BreakerPermit,
    ) -> Result<Option<Lent>, Unavailable> {
        let checkout = async {
            tokio::select! {
                biased;
                lent = pool.checkout() => lent.ok(),
                () = permit.revocation() => None,
            }
        };
        match timeout(CHECKOUT_TIMEOUT, checkout).await {
            Ok(Some(lent)) => Ok(Some(lent)),
            Ok(None) if pool.is_closed() => Err(self.unavailable()),
            Ok(None) => Ok(None),
            Err(_) if pool.is_open() => Err(self.unavailable()),
            Err(_) => {
                pool.was_too_slow();
                Err(self.no_connection_in_time(permit))
            }
        }
    }

    async fn permit(
        &self,
        letter: LetterKey,
        deadline: Instant,
    ) -> Result<BreakerPermit, Unavailable> {
        let breaker = &self.0.breaker;
        let since = Instant::now();
        let waiting = breaker.wait(Candidate {
            letter,
            is_domain_accepted: self.0.memory.accepts_domain(since, letter),
            since,
        });
        loop {
            let changed = breaker.changed();
            let now = Instant::now();
            let wait = match waiting.admit(now) {
                Ok(permit) => return Ok(permit),
                Err(wait) => wait,
            };
            if now >= deadline || wait > BREAKER_PATIENCE {
                return Err(Unavailable {
                    retry_after: wait,
                    ..self.unavailable()
                });
            }
            let wait = wait.min(deadline - now).max(SHORTEST_WAIT);
            let _ = timeout(wait, changed).await;
        }
    }

    /// Waits for a slot, and returns whether there is a pace. One letter at a time reserves and waits, so
    /// a change of the pace takes effect at once.
    async fn wait_for_throttle(&self) -> bool {
        if self.0.throttle.pace().is_none() {
            return false;
        }
        let _queue = self.0.throttle_queue.lock().await;
        let wait = self.0.throttle.reserve(Instant::now());
        tokio::time::sleep(wait).await;
        true
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

    /// Stops letters because the server could not be reached or refuses the connection.
    fn could_not_connect(&self, error: &SmtpError) {
        let permit = self.0.breaker.admit_connection();
        permit.failed(Instant::now(), Cause::of_connection(error));
        self.spawn_connection_probe();
    }

    fn no_connection_in_time(&self, permit: &BreakerPermit) -> Unavailable {
        let why = format!(
            "no connection to the mail server became ready within {} s",
            CHECKOUT_TIMEOUT.as_secs()
        );
        let retry_after = permit.failed(Instant::now(), Cause::of_no_connection(why.clone()));
        self.spawn_connection_probe();
        Unavailable { why, retry_after }
    }

    /// Tries a connection, up to `MAIL`, whenever the back-off is over, until one succeeds. One task
    /// does it for all failures.
    pub(crate) fn spawn_connection_probe(&self) {
        if self.0.has_probe.swap(true, SeqCst) {
            return;
        }
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                let Some(mailer) = weak.upgrade().map(Self) else {
                    return;
                };
                let Some(at) = mailer.0.breaker.connection_probe_at() else {
                    mailer.0.has_probe.store(false, SeqCst);
                    // A failure of this moment still found the task.
                    if mailer.0.breaker.connection_probe_at().is_some() {
                        mailer.spawn_connection_probe();
                    }
                    return;
                };
                drop(mailer);
                tokio::time::sleep_until(at).await;
                let Some(mailer) = weak.upgrade().map(Self) else {
                    return;
                };
                let Post::Smtp(pool) = &mailer.0.post else {
                    return;
                };
                if pool.is_closed() {
                    return;
                }
                mailer.probe_connection(pool).await;
            }
        });
    }

    /// Tries a connection of the pool, so that one that is not greeted gives way to another.
    async fn probe_connection(&self, pool: &ConnectionPool) {
        if self.0.breaker.connection_probe_at().is_none() {
            return;
        }
        let permit = self.0.breaker.admit_connection();
        // If there is none, the breaker was told why.
        let Ok(Some(mut lent)) = self.checkout(pool, &permit).await else {
            return;
        };
        // A sender beyond ASCII would need SMTPUTF8, which only a letter decides.
        let sender = self.sender().filter(|sender| sender.as_str().is_ascii());
        let probed = match sender {
            Some(sender) => lent.probe(&sender).await,
            None => Ok(()),
        };
        match probed {
            Ok(()) => permit.connected(),
            Err(error) => {
                permit.failed(Instant::now(), Cause::of_connection(&error));
            }
        }
    }

    fn sender(&self) -> Option<EmailAddress> {
        let sender = self.0.sender.lock();
        sender.unwrap_or_else(PoisonError::into_inner).clone()
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
