//! The address of Redis: one server, the master that sentinels name, or a cluster.

mod hosts;
mod parameters;
mod roots;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};

use self::hosts::Hosts;

/// The address of Redis in the form of `REDIS_URL`.
///
/// The URL of one server begins with `redis://`, `rediss://` (TLS) or `unix://` and has the form that
/// the redis crate reads, with the parameter `protocol`, and for a socket also `db`, `user` and
/// `pass`. The form for sentinels is that of the Python package redis-sentinel-url,
/// `redis+sentinel://user:password@host:port,host:port/MASTER/database`, with the credentials of the
/// master; the parameters `sentinel_username` and `sentinel_password` are those of the sentinels. The
/// form for a cluster is `redis+cluster://user:password@host:port,host:port`. The last two have a
/// form with TLS, `rediss+…`.
///
/// With TLS, certificates are verified against Mozilla's roots, or with the parameter `tls_ca=PATH`
/// against the certificates in that PEM file instead. The file is read once, when the URL is parsed.
///
/// `Display` and `Debug` leave out the credentials; [`expose`](Self::expose) does not.
#[derive(Clone)]
pub struct RedisUrl {
    text: String,
    pub(crate) place: Place,
    /// The certificates of `tls_ca`, as PEM.
    roots: Option<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) enum Place {
    Server(ConnectionInfo),
    Sentinels(Sentinels),
    Cluster(Vec<ConnectionInfo>),
}

/// Sentinels, and the name of the master to connect to.
#[derive(Clone)]
pub(crate) struct Sentinels {
    pub(crate) addresses: Vec<ConnectionAddr>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) master: String,
    pub(crate) settings: RedisConnectionInfo,
    pub(crate) database: i64,
    pub(crate) tls: bool,
}

/// The reason why a text is not a valid URL of Redis. The text may hold a password, so no part of it
/// is shown but the name of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedisUrl {
    /// The URL has an unknown scheme.
    #[error(
        "the URL must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
    )]
    Scheme,
    /// The URL is not valid.
    #[error("the URL is not valid")]
    Malformed,
    /// The part before `@` is not valid.
    #[error("the part before @ is not user:password; special characters have to be %-encoded")]
    Credentials,
    /// The host with this number, counted from one, or its port is not valid.
    #[error("host number {0} is not a valid host:port")]
    Host(usize),
    /// The name of the master is missing or not valid.
    #[error("a valid name of the master must follow the sentinels, as in /mymaster")]
    Master,
    /// The database is not a number.
    #[error("the database is not a number")]
    Database,
    /// The URL of a cluster names another database than 0.
    #[error("a cluster has only database 0")]
    ClusterDatabase,
    /// A parameter is unknown or repeated, so it would be ignored.
    #[error("unknown or repeated parameter {name:?}; known here: {}", known.join(", "))]
    Parameter {
        /// The name of the parameter.
        name: String,
        /// The parameters of this form of URL.
        known: &'static [&'static str],
    },
    /// The URL has a fragment, which would be ignored.
    #[error("the URL must not contain #; write %23 for # in a password")]
    Fragment,
    /// The URL has `#insecure`, which would send the password to any server that answers.
    #[error(
        "#insecure would accept any certificate; give the certificate of the authority with ?tls_ca=PATH"
    )]
    Insecure,
    /// The URL has `tls_ca` without TLS.
    #[error("tls_ca has no effect without TLS; use rediss instead of redis")]
    RootsUnused,
    /// The certificates of `tls_ca` cannot be used.
    #[error("tls_ca {path}: {why}")]
    Roots {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidRedisUrl::Scheme)?;
        let place = match scheme {
            "redis+sentinel" => Place::Sentinels(Hosts::read("redis", rest)?.sentinels()?),
            "rediss+sentinel" => Place::Sentinels(Hosts::read("rediss", rest)?.sentinels()?),
            "redis+cluster" => Place::Cluster(Hosts::read("redis", rest)?.cluster()?),
            "rediss+cluster" => Place::Cluster(Hosts::read("rediss", rest)?.cluster()?),
            _ => Place::Server(server(text)?),
        };
        let roots = match roots::named(text) {
            None => None,
            Some(_) if !place.is_encrypted() => return Err(InvalidRedisUrl::RootsUnused),
            Some(path) => Some(roots::read(path)?),
        };
        Ok(Self {
            text: text.to_owned(),
            place,
            roots,
        })
    }
}

impl Place {
    fn is_encrypted(&self) -> bool {
        let has_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        match self {
            Self::Server(server) => has_tls(server),
            Self::Sentinels(sentinels) => sentinels.tls,
            Self::Cluster(nodes) => nodes.iter().any(has_tls),
        }
    }
}

impl RedisUrl {
    /// Returns the URL as it was given, with its password, for another client of the same Redis.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the roots that certificates are verified against, if they are not Mozilla's.
    pub(crate) fn certificates(&self) -> Option<TlsCertificates> {
        let roots = self.roots.clone()?;
        Some(TlsCertificates {
            client_tls: None,
            root_cert: Some(roots),
        })
    }
}

fn server(text: &str) -> Result<ConnectionInfo, InvalidRedisUrl> {
    let Some(url) = redis::parse_redis_url(text) else {
        let (scheme, _) = text.split_once(':').unwrap_or_default();
        return Err(match scheme {
            "redis" | "rediss" | "unix" => InvalidRedisUrl::Malformed,
            _ => InvalidRedisUrl::Scheme,
        });
    };
    let known = match url.scheme() {
        "redis" | "rediss" | "valkey" | "valkeys" => parameters::OF_SERVER,
        _ => parameters::OF_SOCKET,
    };
    parameters::check(url.query().unwrap_or_default(), known)?;
    match (url.scheme(), url.fragment()) {
        (_, None) => {}
        ("rediss" | "valkeys", Some("insecure")) => return Err(InvalidRedisUrl::Insecure),
        _ => return Err(InvalidRedisUrl::Fragment),
    }
    url.into_connection_info()
        .map_err(|_| InvalidRedisUrl::Malformed)
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: Vec<&ConnectionAddr>| {
            let names: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        match &self.place {
            Place::Server(server) => server.addr().fmt(f),
            Place::Sentinels(sentinels) => {
                let addresses = list(sentinels.addresses.iter().collect());
                write!(f, "{} of the sentinels {addresses}", sentinels.master)
            }
            Place::Cluster(nodes) => {
                let addresses = list(nodes.iter().map(ConnectionInfo::addr).collect());
                write!(f, "the cluster {addresses}")
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RedisUrl {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<String, InvalidRedisUrl> {
        text.parse().map(|url: RedisUrl| url.to_string())
    }

    #[test]
    fn every_form_is_parsed_and_shown_without_credentials() {
        for (url, shown) in [
            ("redis://:hunter2@localhost/1", "localhost:6379"),
            ("rediss://me:hunter2@redis.example:1", "redis.example:1"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
            (
                "redis+sentinel://me:hunter2@a,b:7,[::1]:8/my.master-1/3?sentinel_password=hunter2",
                "my.master-1 of the sentinels a:26379, b:7, ::1:8",
            ),
            ("rediss+sentinel://a/m", "m of the sentinels a:26379"),
            (
                "redis+cluster://:hunter2@a:1,[::1],c/",
                "the cluster a:1, ::1:6379, c:6379",
            ),
            ("rediss+cluster://a/0", "the cluster a:6379"),
        ] {
            assert_eq!(parse(url).as_deref(), Ok(shown), "{url}");
            assert!(!format!("{:?}", url.parse::<RedisUrl>()).contains("hunter2"));
        }
    }

    #[test]
    fn credentials_go_to_the_right_servers() {
        let url =
            "rediss+sentinel://me:p%40ss@a,b/main/3?sentinel_username=s&sentinel_password=t%20u";
        let Place::Sentinels(read) = url.parse::<RedisUrl>().unwrap().place else {
            panic!("not sentinels");
        };
        assert_eq!(read.settings.username(), Some("me"));
        assert_eq!(read.settings.password(), Some("p@ss"));
        assert_eq!((read.database, read.tls), (3, true));
        assert_eq!(read.username.as_deref(), Some("s"));
        assert_eq!(read.password.as_deref(), Some("t u"));

        let url = "redis+cluster://:p%40ss@a,b";
        let Place::Cluster(read) = url.parse::<RedisUrl>().unwrap().place else {
            panic!("not a cluster");
        };
        for node in &read {
            assert_eq!(node.redis_settings().password(), Some("p@ss"));
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        for (url, name, known) in [
            ("redis://a?db=2", "db", "protocol, tls_ca"),
            (
                "redis://a?protocol=2&protocol=3",
                "protocol",
                "protocol, tls_ca",
            ),
            ("valkey://a/2?timeout=5s", "timeout", "protocol, tls_ca"),
            (
                "unix:///redis.sock?tls_ca=/ca",
                "tls_ca",
                "db, user, pass, protocol",
            ),
            (
                "redis+sentinel://a/m?password=hunter2",
                "password",
                "sentinel_username, sentinel_password, tls_ca",
            ),
            ("redis+cluster://a?x=y", "x", "tls_ca"),
        ] {
            let told = parse(url).unwrap_err().to_string();
            let expected = format!("unknown or repeated parameter {name:?}; known here: {known}");
            assert_eq!(told, expected, "{url}");
        }
        for url in [
            "redis://a?protocol=resp3",
            "unix:///redis.sock?db=2&user=me&pass=hunter2&protocol=3",
            "redis+unix:///redis.sock?db=2",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_the_reason() {
        use InvalidRedisUrl as E;
        for (url, why) in [
            ("localhost", E::Scheme),
            ("http://localhost", E::Scheme),
            ("redis+sentinels://a/m", E::Scheme),
            ("redis://:hunter2@localhost:port", E::Malformed),
            ("redis://a:1,b:2", E::Malformed),
            ("redis+sentinel://a,:7/m", E::Host(2)),
            ("redis+sentinel://a,b:port/m", E::Host(2)),
            ("redis+sentinel:///m", E::Host(1)),
            ("redis+sentinel://a,/m", E::Host(2)),
            ("redis+cluster://a:70000", E::Host(1)),
            ("redis+cluster://:%ff@a", E::Credentials),
            ("redis+sentinel://a", E::Master),
            ("redis+sentinel://a/", E::Master),
            ("redis+sentinel://a//1", E::Master),
            ("redis+sentinel://a/my%20master", E::Master),
            ("redis+sentinel://a/m/x", E::Database),
            ("redis+sentinel://a/m/-1", E::Database),
            ("redis+cluster://a/1", E::ClusterDatabase),
            ("rediss+cluster://a#insecure", E::Fragment),
            ("redis://a#1", E::Fragment),
            ("redis://a#insecure", E::Fragment),
            ("redis://me:1234?hunter2@a", E::Credentials),
            ("redis://me:1234?hunt=er2@a", E::Credentials),
            ("redis://a?protocol=4", E::Malformed),
        ] {
            assert_eq!(parse(url), Err(why), "{url}");
        }
    }
}
