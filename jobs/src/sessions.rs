//! The stores in which a host keeps sessions, from which the purge deletes.

mod purge;
mod redis;
mod sql;

use std::fmt;

use futures::future::BoxFuture;
use guestlist::SessionKey;

pub(crate) use self::purge::purge_in_rounds;
pub use self::purge::{PurgeError, purge};
pub use self::redis::{InvalidPattern, KeyPattern, RedisSessions};
pub use self::sql::{Column, InvalidColumn, SqlSessions};

/// A store that sessions can be deleted from.
pub trait SessionStore: Send + Sync {
    /// Returns the name of the store for logs.
    fn name(&self) -> &str;

    /// Deletes these sessions. A session that does not exist counts as deleted. A purge allows 30
    /// seconds for at most 500 sessions, and is then repeated.
    ///
    /// # Errors
    /// Anything that leaves it uncertain whether a session is deleted; the purge is then repeated.
    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The reason why a store did not delete; contains no session.
#[derive(Debug)]
pub struct StoreError(Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Creates it from the error of the store, or from a text.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StoreError {}
