//! The parameters after the question mark.

use super::InvalidRedisUrl;

/// The parameter with the path of the certificates that are trusted.
pub(super) const TLS_CA: &str = "tls_ca";

/// The parameters of the URL of a server.
pub(super) const OF_SERVER: &[&str] = &["protocol", TLS_CA];

/// The parameters of the URL of a socket, which has no other place for user and database.
pub(super) const OF_SOCKET: &[&str] = &["db", "user", "pass", "protocol"];

pub(super) const OF_SENTINELS: &[&str] = &["sentinel_username", "sentinel_password", TLS_CA];

pub(super) const OF_CLUSTER: &[&str] = &[TLS_CA];

/// Refuses parameters that would be ignored: unknown ones, and a second one of the same name.
pub(super) fn check(query: &str, known: &'static [&'static str]) -> Result<(), InvalidRedisUrl> {
    let mut seen = Vec::new();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        if known.contains(&&*name) && !seen.contains(&name) {
            seen.push(name);
        } else if query.contains('@') {
            // Most likely a password that contains a question mark; no part of it may be shown.
            return Err(InvalidRedisUrl::Credentials);
        } else {
            let name = name.into_owned();
            return Err(InvalidRedisUrl::Parameter { name, known });
        }
    }
    Ok(())
}
