//! Configuration from environment variables.

use std::ffi::OsString;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use axum::http::HeaderName;

/// The configuration of this application and of Guestlist's worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public URL of the application, without a trailing slash.
    pub url: String,
    /// The header in which a reverse proxy passes the client address, if there is a proxy.
    pub client_header: Option<HeaderName>,
    /// The configuration shared with `guestlist work`: database, Redis, letters, keys, roles and link.
    pub worker: guestlist_jobs::config::Config,
}

/// The path of invitation links. The part of `GUESTLIST_LINK` before it is the public URL of the application.
const PAGE: &str = "/invitations/{token}";

/// Returns the address to listen on: `TEAM_LISTEN`, otherwise every interface at `PORT` (which hosting platforms
/// set), otherwise port 3000 on this machine only.
///
/// # Errors
/// Fails if the variable that is set is not an address or a port.
pub fn listen(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<SocketAddr> {
    let address = match (lookup("TEAM_LISTEN"), lookup("PORT")) {
        (Some(address), _) => address,
        (None, Some(port)) => format!("0.0.0.0:{port}"),
        (None, None) => "127.0.0.1:3000".to_owned(),
    };
    address
        .parse()
        .with_context(|| format!("TEAM_LISTEN or PORT: {address:?} is not an address to listen on"))
}

impl Config {
    /// Reads variables through `lookup`. They have the same meaning as for the worker, so that a separate worker
    /// in the same environment writes the same links and has the same roles. Without Redis there is no separate
    /// worker, and `DATABASE_URL` and `GUESTLIST_SESSIONS` get other defaults.
    ///
    /// # Errors
    /// Fails if a variable is invalid.
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
            bail!(
                "GUESTLIST_LINK: {link:?} does not end in {PAGE}, the path of this application's invitation page"
            );
        };
        ensure!(
            lookup("TEAM_ROLES").is_none(),
            "TEAM_ROLES is not supported: set GUESTLIST_ROLES, which a separate worker reads too"
        );
        Ok(Self {
            url: url.to_owned(),
            client_header: lookup("TEAM_CLIENT_HEADER").map(header).transpose()?,
            worker,
        })
    }

    /// Returns true if browsers use HTTPS, so that cookies can be marked `Secure`.
    pub(crate) fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Returns true if the public URL is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.url.split("://").nth(1).unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default();
        matches!(host, "localhost" | "127.0.0.1")
    }
}

fn header(name: String) -> anyhow::Result<HeaderName> {
    name.parse()
        .with_context(|| format!("TEAM_CLIENT_HEADER: {name:?} is not a header name"))
}
