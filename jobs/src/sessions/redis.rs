//! Sessions in Redis.

use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::SessionKey;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::{SessionStore, StoreError};

/// Sessions under one Redis key each, found by a pattern such as `sess:{session}`.
pub struct RedisSessions {
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
    before: String,
    after: String,
}

/// Why a pattern or URL is not one of sessions in Redis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// The place of the session is missing or there are several.
    #[error("a pattern of session keys holds {{session}} exactly once")]
    Session,
    /// The URL is not one of Redis; it may hold a password, so it is not shown.
    #[error("the sessions' Redis URL is not one")]
    Url,
}

/// What tower-sessions-redis-store writes: the session's id and nothing else.
pub const DEFAULT_PATTERN: &str = "{session}";

/// How long Redis may take to answer or to be connected to.
const PATIENCE: Duration = Duration::from_secs(2);

impl RedisSessions {
    /// Sessions on the server at `url`, each under the key that `pattern` makes of it.
    /// It is connected to when there is something to delete.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn new(url: &str, pattern: &str) -> Result<Self, InvalidPattern> {
        let (before, after) = pattern
            .split_once("{session}")
            .ok_or(InvalidPattern::Session)?;
        if after.contains("{session}") {
            return Err(InvalidPattern::Session);
        }
        Ok(Self {
            client: redis::Client::open(url).map_err(|_| InvalidPattern::Url)?,
            connection: Mutex::new(None),
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    async fn connection(&self) -> Result<ConnectionManager, redis::RedisError> {
        let known = self
            .connection
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone();
        if let Some(connection) = known {
            return Ok(connection);
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connection = self
            .client
            .get_connection_manager_with_config(config)
            .await?;
        let mut slot = self
            .connection
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(slot.insert(connection).clone())
    }

    /// UNLINK frees the memory in the background, so large sessions do not hold Redis up. Each
    /// key is a command of its own, so they may live in different slots of a cluster.
    async fn unlink(&self, sessions: &[SessionKey]) -> Result<(), redis::RedisError> {
        let mut connection = self.connection().await?;
        let mut pipeline = redis::pipe();
        for session in sessions {
            let key = format!("{}{}{}", self.before, session.as_str(), self.after);
            pipeline.cmd("UNLINK").arg(key).ignore();
        }
        pipeline.query_async(&mut connection).await
    }
}

impl SessionStore for RedisSessions {
    fn name(&self) -> &str {
        "Redis"
    }

    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            if sessions.is_empty() {
                return Ok(());
            }
            self.unlink(sessions)
                .await
                .map_err(|error| StoreError(error.into()))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pattern_holds_the_session_once() {
        for pattern in ["sess:", "{session}{session}", ""] {
            let refused = RedisSessions::new("redis://127.0.0.1", pattern).err();
            assert_eq!(refused, Some(InvalidPattern::Session), "{pattern}");
        }
        let store = RedisSessions::new("redis://127.0.0.1", "a:{session}:b").unwrap();
        assert_eq!((store.before.as_str(), store.after.as_str()), ("a:", ":b"));
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_repeating_it() {
        let refused = RedisSessions::new("http://user:secret@host", DEFAULT_PATTERN)
            .err()
            .unwrap();
        assert!(!refused.to_string().contains("secret"));
    }
}
