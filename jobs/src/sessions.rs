//! Session stores: where a host keeps what the purge deletes.

mod purge;
mod redis;
mod sql;

use std::fmt;

use futures::future::BoxFuture;
use guestlist::SessionKey;

pub(crate) use self::purge::purge_in_rounds;
pub use self::purge::{PurgeError, purge};
pub use self::redis::{InvalidPattern, InvalidUrl, KeyPattern, RedisSessions};
pub use self::sql::{Column, InvalidColumn, SqlSessions};

/// A store that sessions can be deleted from.
pub trait SessionStore: Send + Sync {
    /// What it is called in logs.
    fn name(&self) -> &str;

    /// Deletes these sessions. Deleting one that is not there is a success. A purge gives it 30 seconds
    /// for at most 500 of them, and is then repeated.
    ///
    /// # Errors
    /// Whatever kept a session from being deleted for certain; the purge is then repeated.
    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Why a store did not delete; it names no session.
#[derive(Debug)]
pub struct StoreError(pub Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StoreError {}
