//! Sessions in Redis.

use std::str::FromStr;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use guestlist::SessionKey;

use super::{SessionStore, StoreError};
use crate::redis_connection::RedisConnection;
use crate::redis_url::InvalidRedisUrl;

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

/// Why sessions cannot be in that Redis.
#[derive(Debug, thiserror::Error)]
#[error("the sessions' Redis URL is not one: {0}")]
pub struct InvalidUrl(#[from] InvalidRedisUrl);

/// Sessions in Redis, under one key each.
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

/// Keys sent at once, since Redis works off what has arrived from one client before it turns to the
/// next. While 100,000 keys were deleted so, no command took a millisecond (SLOWLOG, LATENCY).
const BATCH: usize = 500;

impl RedisSessions {
    /// Sessions in the Redis at `url`, connected to when there is something to delete. The forms of
    /// the URL are those of [`RedisUrl`](crate::redis_url::RedisUrl).
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(url: &str, pattern: KeyPattern) -> Result<Self, InvalidUrl> {
        Ok(Self {
            connection: RedisConnection::repeating(&url.parse()?),
            pattern,
        })
    }

    /// UNLINK frees the memory in the background, so large sessions do not hold Redis up. Each
    /// key is a command of its own, so they may live in different slots of a cluster; the commands
    /// follow each other without waiting for answers.
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
