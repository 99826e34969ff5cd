//! Sessions in Redis.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::SessionKey;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::{SessionStore, StoreError};

/// How a session's key is made: text with `{session}` in it once.
///
/// The default is what tower-sessions-redis-store writes: the session and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPattern {
    before: String,
    after: String,
}

/// The text does not name one session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {0:?} does not hold {{session}} once")]
pub struct InvalidPattern(String);

/// The URL is not one of Redis; it may hold a password, so it is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sessions' Redis URL is not one")]
pub struct InvalidUrl;

/// Sessions in Redis, under one key each.
pub struct RedisSessions {
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
    pattern: KeyPattern,
}

const SESSION: &str = "{session}";

impl KeyPattern {
    fn key(&self, session: &SessionKey) -> String {
        format!("{}{}{}", self.before, session.as_str(), self.after)
    }
}

impl FromStr for KeyPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split(SESSION).collect::<Vec<_>>().as_slice() {
            [before, after] => Ok(Self {
                before: (*before).to_owned(),
                after: (*after).to_owned(),
            }),
            _ => Err(InvalidPattern(text.to_owned())),
        }
    }
}

/// How long Redis may take to answer or to be connected to.
const PATIENCE: Duration = Duration::from_secs(2);

impl RedisSessions {
    /// Sessions on the server at `url`, connected to when there is something to delete.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(url: &str, pattern: KeyPattern) -> Result<Self, InvalidUrl> {
        Ok(Self {
            client: redis::Client::open(url).map_err(|_| InvalidUrl)?,
            connection: Mutex::new(None),
            pattern,
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
            pipeline
                .cmd("UNLINK")
                .arg(self.pattern.key(session))
                .ignore();
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
        for text in ["sess:", "{session}{session}", ""] {
            assert!(text.parse::<KeyPattern>().is_err(), "{text}");
        }
        let session = "s1".parse().unwrap();
        let pattern: KeyPattern = "a:{session}:b".parse().unwrap();
        assert_eq!(pattern.key(&session), "a:s1:b");
        assert_eq!(KeyPattern::default().key(&session), "s1");
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_repeating_it() {
        let refused = RedisSessions::new("http://user:secret@host", KeyPattern::default());
        assert!(!refused.err().unwrap().to_string().contains("secret"));
    }
}
