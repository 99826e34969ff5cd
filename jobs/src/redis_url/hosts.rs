//! URLs with several hosts, which the redis crate cannot parse: sentinels, and nodes of a cluster.

use redis::{ConnectionInfo, IntoConnectionInfo};

use super::{InvalidRedisUrl, Sentinels, parameters};

const SENTINEL_PORT: u16 = 26379;
const PORT: u16 = 6379;

/// The part of a URL after `://`, with one or several hosts.
pub(super) struct Hosts<'a> {
    scheme: &'static str,
    /// The credentials with their `@`, or an empty string.
    credentials: &'a str,
    names: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Hosts<'a> {
    pub(super) fn read(scheme: &'static str, text: &'a str) -> Result<Self, InvalidRedisUrl> {
        if text.contains('#') {
            return Err(InvalidRedisUrl::Fragment);
        }
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        let (credentials, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let read = Self {
            scheme,
            credentials,
            names: hosts.split(',').collect(),
            path,
            query,
        };
        read.one("localhost", PORT)
            .ok_or(InvalidRedisUrl::Credentials)?;
        Ok(read)
    }

    /// Returns the sentinels and the name of the master.
    pub(super) fn sentinels(&self) -> Result<Sentinels, InvalidRedisUrl> {
        let (master, database) = self.path.split_once('/').unwrap_or((self.path, "0"));
        // Redis accepts no other character in the name.
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        if master.is_empty() || !master.chars().all(is_of_name) {
            return Err(InvalidRedisUrl::Master);
        }
        parameters::check(self.query, parameters::OF_SENTINELS)?;
        let database: u16 = database.parse().map_err(|_| InvalidRedisUrl::Database)?;
        let nodes = self.all(SENTINEL_PORT)?;
        let settings = nodes[0].redis_settings().clone();
        let (mut username, mut password) = (None, None);
        for (name, value) in url::form_urlencoded::parse(self.query.as_bytes()) {
            match &*name {
                "sentinel_username" => username = Some(value.into_owned()),
                "sentinel_password" => password = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(Sentinels {
            addresses: nodes.iter().map(|node| node.addr().clone()).collect(),
            username,
            password,
            master: master.to_owned(),
            settings,
            database: database.into(),
            tls: self.scheme == "rediss",
        })
    }

    /// Returns the nodes of a cluster.
    pub(super) fn cluster(&self) -> Result<Vec<ConnectionInfo>, InvalidRedisUrl> {
        if !matches!(self.path, "" | "0") {
            return Err(InvalidRedisUrl::ClusterDatabase);
        }
        parameters::check(self.query, parameters::OF_CLUSTER)?;
        self.all(PORT)
    }

    fn all(&self, port: u16) -> Result<Vec<ConnectionInfo>, InvalidRedisUrl> {
        let read = |(place, host): (usize, &&str)| {
            self.one(host, port).ok_or(InvalidRedisUrl::Host(place + 1))
        };
        self.names.iter().enumerate().map(read).collect()
    }

    /// Parses one host as a URL of its own, with the credentials that all hosts share.
    fn one(&self, host: &str, port: u16) -> Option<ConnectionInfo> {
        let after_address = host.rfind(']').map_or(host, |end| &host[end..]);
        let port = match after_address.contains(':') {
            true => String::new(),
            false => format!(":{port}"),
        };
        let url = format!("{}://{}{host}{port}", self.scheme, self.credentials);
        url.into_connection_info().ok()
    }
}
