//! Where the host keeps the sessions that end with a membership.

use std::fmt;

/// A store of sessions to purge.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionStoreConfig {
    /// Keys of a Redis.
    Redis {
        /// The Redis; may hold a password.
        url: String,
        /// The key's form, with `{session}` once.
        pattern: String,
    },
    /// Rows of a table in the same database.
    Sql {
        /// The table, with its schema where it has one.
        table: String,
        /// The column that holds the session.
        column: String,
    },
}

/// Why a text does not say where sessions are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionStores {
    /// A word that is none of the forms.
    #[error("{0:?} is not a session store")]
    Unknown(String),
    /// `none` beside another store.
    #[error("none stands beside other stores")]
    NoneAndSome,
    /// A pattern that does not name one session.
    #[error("the pattern {0:?} does not hold {{session}} once")]
    Pattern(String),
    /// Not a table and a column.
    #[error("{0:?} is not TABLE.COLUMN in letters, digits and _")]
    Column(String),
    /// Redis without a URL.
    #[error("a Redis store needs REDIS_URL or GUESTLIST_SESSIONS_REDIS_URL")]
    NoRedis,
}

/// What tower-sessions-redis-store writes: the session's id is the key.
const BARE: &str = "{session}";

/// Reads a list of stores, those in Redis being at `redis_url`.
pub(super) fn parse(
    text: &str,
    redis_url: Option<&str>,
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
    redis_url: Option<&str>,
) -> Result<SessionStoreConfig, InvalidSessionStores> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("redis", pattern) => {
            let pattern = if text == "redis" { BARE } else { pattern };
            if pattern.matches(BARE).count() != 1 {
                return Err(InvalidSessionStores::Pattern(pattern.to_owned()));
            }
            let url = redis_url.ok_or(InvalidSessionStores::NoRedis)?.to_owned();
            Ok(SessionStoreConfig::Redis {
                url,
                pattern: pattern.to_owned(),
            })
        }
        ("sql", place) => {
            let invalid = || InvalidSessionStores::Column(place.to_owned());
            let (table, column) = place.rsplit_once('.').ok_or_else(invalid)?;
            if table.split('.').count() > 2 || !table.split('.').chain([column]).all(is_identifier)
            {
                return Err(invalid());
            }
            Ok(SessionStoreConfig::Sql {
                table: table.to_owned(),
                column: column.to_owned(),
            })
        }
        ("none", "") => Err(InvalidSessionStores::NoneAndSome),
        _ => Err(InvalidSessionStores::Unknown(text.to_owned())),
    }
}

/// Whether a text can stand in SQL as a name and be nothing else.
fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Debug for SessionStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis { url, pattern } => f
                .debug_struct("Redis")
                .field("url", &super::redacted(url))
                .field("pattern", pattern)
                .finish(),
            Self::Sql { table, column } => f
                .debug_struct("Sql")
                .field("table", table)
                .field("column", column)
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Option<&str> = Some("redis://:secret@localhost");

    fn redis(pattern: &str) -> SessionStoreConfig {
        SessionStoreConfig::Redis {
            url: "redis://:secret@localhost".into(),
            pattern: pattern.into(),
        }
    }

    fn sql(table: &str, column: &str) -> SessionStoreConfig {
        SessionStoreConfig::Sql {
            table: table.into(),
            column: column.into(),
        }
    }

    #[test]
    fn stores_read_as_they_are_documented() {
        assert_eq!(parse("none", None), Ok(vec![]));
        assert_eq!(parse("redis", URL), Ok(vec![redis("{session}")]));
        let two = parse("redis:sess:{session}, sql:auth.sessions.id", URL);
        assert_eq!(
            two,
            Ok(vec![redis("sess:{session}"), sql("auth.sessions", "id")])
        );
    }

    #[test]
    fn what_names_no_session_or_no_column_is_refused() {
        use InvalidSessionStores as E;
        for (text, error) in [
            ("memcached", E::Unknown("memcached".into())),
            ("redis,none", E::NoneAndSome),
            ("redis:", E::Pattern(String::new())),
            ("redis:sess:*", E::Pattern("sess:*".into())),
            ("sql:sessions", E::Column("sessions".into())),
            ("sql:a.b.c.d", E::Column("a.b.c.d".into())),
            ("sql:s;drop.id", E::Column("s;drop.id".into())),
            ("sql:\"s\".id", E::Column("\"s\".id".into())),
        ] {
            assert_eq!(parse(text, URL), Err(error), "{text}");
        }
        assert_eq!(parse("redis", None), Err(E::NoRedis));
    }

    #[test]
    fn the_password_of_a_store_is_not_printed() {
        assert!(!format!("{:?}", redis("{session}")).contains("secret"));
    }
}
