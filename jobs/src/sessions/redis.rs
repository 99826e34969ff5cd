//! Session store in Redis.

use std::str::FromStr;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use guestlist::SessionKey;

use super::{SessionStore, StoreError};
use crate::redis_connection::RedisConnection;
use crate::redis_url::RedisUrl;

/// The form of a session's key: text with `{session}` in it once.
///
/// The default is the key of tower-sessions-redis-store: the session and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPattern {
    before: String,
    after: String,
}

/// The error of a text without exactly one `{session}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {0:?} does not contain {{session}} exactly once")]
pub struct InvalidPattern(String);

/// Sessions in Redis, each under a key of its own.
pub struct RedisSessions {
    connection: RedisConnection,
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

/// The number of keys sent at once, because Redis processes what has arrived from one client before
/// the next. While 100,000 keys were deleted this way, no command took a millisecond (SLOWLOG,
/// LATENCY).
const BATCH: usize = 500;

impl RedisSessions {
    /// Creates a store for the Redis at `url`, which connects when there is something to delete.
    #[must_use]
    pub fn new(url: &RedisUrl, pattern: KeyPattern) -> Self {
        Self {
            connection: RedisConnection::repeating(url),
            pattern,
        }
    }

    /// Deletes with UNLINK, which frees memory in the background, so that large sessions do not
    /// block Redis. Each key is a command of its own, so that keys may be in different slots of a
    /// cluster; the commands are pipelined.
    async fn unlink(&self, sessions: &[SessionKey]) -> Result<(), redis::RedisError> {
        for batch in sessions.chunks(BATCH) {
            let unlinked = batch.iter().map(|session| {
                let mut connection = self.connection.clone();
                async move {
                    redis::cmd("UNLINK")
                        .arg(self.pattern.key(session))
                        .exec_async(&mut connection)
                        .await
                }
            });
            try_join_all(unlinked).await?;
        }
        Ok(())
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
            self.unlink(sessions).await.map_err(StoreError::new)
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
}
