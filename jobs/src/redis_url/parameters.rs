//! What may stand behind the question mark.

use super::InvalidRedisUrl;

/// The parameter that names the authorities to believe.
pub(super) const TLS_CA: &str = "tls_ca";

/// What the redis crate reads behind the address of a server.
pub(super) const OF_SERVER: &[&str] = &["protocol", TLS_CA];

/// What it reads behind the path of a socket, whose URL has no other place for them.
pub(super) const OF_SOCKET: &[&str] = &["db", "user", "pass", "protocol"];

pub(super) const OF_SENTINELS: &[&str] = &["sentinel_username", "sentinel_password", TLS_CA];

pub(super) const OF_CLUSTER: &[&str] = &[TLS_CA];

/// Refuses what would be ignored: a parameter that is not known, and the second of one name.
pub(super) fn check(query: &str, known: &'static [&'static str]) -> Result<(), InvalidRedisUrl> {
    let mut seen = Vec::new();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        if known.contains(&&*name) && !seen.contains(&name) {
            seen.push(name);
        } else if query.contains('@') {
            // Most likely a password with a question mark, of which nothing may be shown.
            return Err(InvalidRedisUrl::Credentials);
        } else {
            let name = name.into_owned();
            return Err(InvalidRedisUrl::Parameter { name, known });
        }
    }
    Ok(())
}
