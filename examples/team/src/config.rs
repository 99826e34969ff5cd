//! What the environment says.

use std::ffi::OsString;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use axum::http::HeaderName;

/// The configuration of this application, and Guestlist's, which is the worker's own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where people reach the application, without a slash at its end.
    pub url: String,
    /// The header in which the proxy in front says who sent a request, where there is one.
    pub client_header: Option<HeaderName>,
    /// What `guestlist work` is told too: database, Redis, letters, keys, roles, where links lead.
    pub worker: guestlist_jobs::config::Config,
}

/// The page that links lead to; the rest of `GUESTLIST_LINK` is where people reach the application.
const PAGE: &str = "/invitations/{token}";

/// Where to listen: `TEAM_LISTEN`, else every interface at the `PORT` that platforms give, else
/// port 3000 of this machine alone.
///
/// # Errors
/// When neither is an address or a port.
pub fn listen(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<SocketAddr> {
    let address = match (lookup("TEAM_LISTEN"), lookup("PORT")) {
        (Some(address), _) => address,
        (None, Some(port)) => format!("0.0.0.0:{port}"),
        (None, None) => "127.0.0.1:3000".to_owned(),
    };
    address
        .parse()
        .with_context(|| format!("TEAM_LISTEN or PORT: {address:?} is no address to listen on"))
}

impl Config {
    /// Reads variables through `lookup`. They are the worker's and mean here what they mean there, so
    /// that a worker beside in the same environment writes the same links and knows the same roles. Without
    /// Redis, where none is beside, two have another default.
    ///
    /// # Errors
    /// With every mistake there is.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let worker = |name: &str| -> Option<OsString> {
            let is_alone = lookup("REDIS_URL").is_none();
            let value = lookup(name).or_else(|| match name {
                "DATABASE_URL" if is_alone => Some("sqlite:team.db".to_owned()),
                "GUESTLIST_SESSIONS" if is_alone => Some("sql:team_sessions.id".to_owned()),
                _ => None,
            });
            value.map(OsString::from)
        };
        let worker = guestlist_jobs::config::Config::read(&worker)?;
        let link = worker.link.to_string();
        let Some(url) = link.strip_suffix(PAGE) else {
            bail!("GUESTLIST_LINK: {link:?} does not end in {PAGE}, this application's page");
        };
        ensure!(
            lookup("TEAM_ROLES").is_none(),
            "TEAM_ROLES is not read: set GUESTLIST_ROLES, which a worker beside reads too"
        );
        Ok(Self {
            url: url.to_owned(),
            client_header: lookup("TEAM_CLIENT_HEADER").map(header).transpose()?,
            worker,
        })
    }

    /// Whether browsers reach it by TLS, so that cookies may insist on it.
    pub(crate) fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Whether it is being tried on somebody's own machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.url.split("://").nth(1).unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default();
        matches!(host, "localhost" | "127.0.0.1")
    }
}

fn header(name: String) -> anyhow::Result<HeaderName> {
    name.parse()
        .with_context(|| format!("TEAM_CLIENT_HEADER: {name:?} is no name of a header"))
}
