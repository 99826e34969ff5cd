//! The connections that are tried without a letter while the mail server cannot be reached.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;

use guestlist::EmailAddress;
use tokio::time::Instant;

use super::cause::Cause;
use super::connection_pool::ConnectionPool;
use super::{Mailer, Post};
use crate::smtp::SmtpError;

impl Mailer {
    /// Stops letters because the server could not be reached or refuses the connection.
    pub(super) fn could_not_connect(&self, error: &SmtpError) {
        let permit = self.0.breaker.admit_connection();
        permit.failed(Instant::now(), Cause::of_connection(error));
        self.spawn_connection_probe();
    }

    /// Tries a connection, up to `MAIL`, whenever the back-off is over, until one succeeds. One task
    /// does it for all failures.
    pub(super) fn spawn_connection_probe(&self) {
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
}
