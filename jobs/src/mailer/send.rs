//! The way of one letter to the mail server: its permit, a connection and its turn in the pace.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::candidates::Candidate;
use super::cause::Cause;
use super::circuit_breaker::BreakerPermit;
use super::connection_pool::ConnectionPool;
use super::lent::Lent;
use super::memory::LetterKey;
use super::ready::{ClosedWhileIdle, Ready};
use super::throttle_queue::Turn;
use super::verdict::Verdict;
use super::{Mailer, Post, Shared, Unavailable};
use crate::mail::Mail;
use crate::smtp::SendGuard;

/// The time that a letter waits for the circuit breaker before it goes back to the outbox.
const BREAKER_PATIENCE: Duration = Duration::from_secs(2);

/// The shortest wait for a change of the circuit breaker.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The time that a letter waits for a connection before it goes back to the outbox.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// Letters were stopped after this one was admitted.
struct Revoked;

impl Mailer {
    /// Attempts to deliver one letter that belongs to no organization, such as one of the host's own.
    ///
    /// Returns [`VerdictClass::NotTried`](super::VerdictClass::NotTried) while the circuit breaker is
    /// open. Dropping the future cancels the letter: it is not sent, or its connection is dropped.
    pub async fn send(&self, mail: Mail) -> Verdict {
        self.send_while(|| true, mail).await
    }

    /// Like [`send`](Self::send), but only as long as `stands` returns true. It is called right before
    /// the final dot, the last moment at which the letter can be held back. Once it returns false,
    /// nothing is sent, and the verdict is [`VerdictClass::NotTried`](super::VerdictClass::NotTried).
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
            // Letters may be stopped while this one waits; the connection goes back then.
            let Ok(mut turn) = self.turn(letter, &permit).await else {
                continue;
            };
            // The server may have closed it while it waited.
            if turn.is_some() && lent.drop_if_closed() {
                drop(lent);
                // The slot is taken before the wait for another connection, which delays no other letter.
                if let Some(turn) = turn.take() {
                    turn.take(&self.0.throttle);
                }
                let Some(other) = self.checkout(pool, &permit).await? else {
                    continue;
                };
                lent = other;
                if permit.revoked(Instant::now()).is_some() {
                    continue;
                }
            }
            let may_replace = replaced < pool.most_connections();
            return Ok(Ready::on(
                self.clone(),
                letter,
                permit,
                lent,
                turn,
                may_replace,
            ));
        }
    }

    /// Waits for a connection. Returns `None` if letters were stopped meanwhile, also because none could be
    /// opened: the breaker tells then how long to wait.
    pub(super) async fn checkout(
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

    /// Waits for a slot if there is a pace. One letter at a time waits for the next, so a change of the pace
    /// takes effect at once. The slot is taken when the letter is sent, so one that is stopped takes none.
    async fn turn(
        &self,
        letter: LetterKey,
        permit: &BreakerPermit,
    ) -> Result<Option<Turn>, Revoked> {
        let Shared {
            memory,
            throttle,
            throttle_queue,
            ..
        } = &*self.0;
        if throttle.pace().is_none() {
            return match permit.revoked(Instant::now()) {
                Some(_) => Err(Revoked),
                None => Ok(None),
            };
        }
        let is_repeat = memory.is_throttled(Instant::now(), letter);
        tokio::select! {
            biased;
            () = permit.revocation() => Err(Revoked),
            turn = throttle_queue.turn(throttle, is_repeat) => Ok(Some(turn)),
        }
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
}
