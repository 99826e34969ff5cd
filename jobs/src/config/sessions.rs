//! The configured session stores.

use crate::redis_url::RedisUrl;
use crate::sessions::{Column, InvalidColumn, InvalidPattern, KeyPattern};

/// A session store to purge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a process has a few of these, for as long as it runs"
)]
pub enum SessionStoreConfig {
    /// Keys in a Redis.
    Redis {
        /// The URL of the Redis.
        url: RedisUrl,
        /// The form of a session's key.
        pattern: KeyPattern,
    },
    /// Rows of a table in the same database.
    Sql {
        /// The column that contains the session.
        column: Column,
    },
}

/// The reason why a text is not a list of session stores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSessionStores {
    /// A word that is not a known store.
    #[error("{0:?} is not a session store")]
    Unknown(String),
    /// `none` together with another store.
    #[error("none cannot be combined with other stores")]
    NoneAndSome,
    /// A pattern without exactly one `{session}`.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// Not a table and a column.
    #[error(transparent)]
    Column(#[from] InvalidColumn),
    /// A Redis store without a URL.
    #[error("a Redis store needs REDIS_URL or GUESTLIST_SESSIONS_REDIS_URL")]
    NoRedis,
}

/// Parses a list of stores; those in Redis are at `redis_url`.
pub(super) fn parse(
    text: &str,
    redis_url: Option<&RedisUrl>,
) -> Result<Vec<SessionStoreConfig>, InvalidSessionStores> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|store| parse_one(store.trim(), redis_url))
        .collect()
}

fn parse_one(
    text: &str,
    redis_url: Option<&RedisUrl>,
) -> Result<SessionStoreConfig, InvalidSessionStores> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("redis", pattern) => {
            let pattern = match text {
                "redis" => KeyPattern::default(),
                _ => pattern.parse()?,
            };
            let url = redis_url.ok_or(InvalidSessionStores::NoRedis)?.clone();
            Ok(SessionStoreConfig::Redis { url, pattern })
        }
        ("sql", column) => Ok(SessionStoreConfig::Sql {
            column: column.parse()?,
        }),
        ("none", "") => Err(InvalidSessionStores::NoneAndSome),
        _ => Err(InvalidSessionStores::Unknown(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> RedisUrl {
        "redis://:secret@localhost".parse().expect("a URL")
    }

    fn redis(pattern: &str) -> SessionStoreConfig {
        SessionStoreConfig::Redis {
            url: url(),
            pattern: pattern.parse().expect("a pattern"),
        }
    }

    fn sql(column: &str) -> SessionStoreConfig {
        SessionStoreConfig::Sql {
            column: column.parse().expect("a column"),
        }
    }

    #[test]
    fn stores_read_as_they_are_documented() {
        assert_eq!(parse("none", None), Ok(vec![]));
        assert_eq!(parse("redis", Some(&url())), Ok(vec![redis("{session}")]));
        let two = parse("redis:sess:{session}, sql:auth.sessions.id", Some(&url()));
        assert_eq!(
            two,
            Ok(vec![redis("sess:{session}"), sql("auth.sessions.id")])
        );
    }

    #[test]
    fn what_names_no_session_or_no_column_is_refused() {
        use InvalidSessionStores as E;
        assert_eq!(
            parse("memcached", Some(&url())),
            Err(E::Unknown("memcached".into()))
        );
        assert_eq!(parse("redis,none", Some(&url())), Err(E::NoneAndSome));
        for text in ["redis:", "redis:sess:*"] {
            assert!(
                matches!(parse(text, Some(&url())), Err(E::Pattern(_))),
                "{text}"
            );
        }
        for text in ["sql:sessions", "sql:a.b.c.d", "sql:s;drop.id", "sql:"] {
            assert!(
                matches!(parse(text, Some(&url())), Err(E::Column(_))),
                "{text}"
            );
        }
        assert_eq!(parse("redis", None), Err(E::NoRedis));
    }

    #[test]
    fn the_password_of_a_store_is_not_printed() {
        assert!(!format!("{:?}", redis("{session}")).contains("secret"));
    }
}
