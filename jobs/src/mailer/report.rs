//! The result of checking the mail server, for `guestlist doctor`.

use std::fmt;
use std::path::PathBuf;

use super::connection_pool::ConnectionPool;
use crate::smtp::SmtpError;

/// The result of a check; `Display` writes it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A mail server that answered the greeting and, if configured, encryption and authentication.
    Server {
        /// Host and port of the server.
        address: String,
        /// The name the server announces.
        name: String,
        /// True if letters would be sent encrypted.
        encrypted: bool,
        /// True if credentials were accepted; false if there are none.
        signed_in: bool,
        /// True if non-ASCII addresses can be delivered (RFC 6531).
        smtputf8: bool,
    },
    /// A folder that can be written.
    Folder(PathBuf),
}

/// The reason why letters cannot be delivered now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(pub(super) String);

impl Report {
    /// Connects, greets, encrypts, signs in and quits. Never sends a letter.
    pub(super) async fn on(pool: &ConnectionPool) -> Result<Self, SmtpError> {
        let connection = pool.open().await?;
        let server = pool.server();
        let report = Self::Server {
            address: format!("{}:{}", server.host, server.port),
            name: connection.capabilities().name.clone(),
            encrypted: connection.is_encrypted(),
            signed_in: server.account.is_some(),
            smtputf8: connection.capabilities().smtputf8,
        };
        connection.quit().await;
        Ok(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "letters are written to {}", folder.display()),
            Self::Server {
                address,
                name,
                encrypted,
                signed_in,
                smtputf8,
            } => {
                let encrypted = if *encrypted {
                    "encrypted"
                } else {
                    "not encrypted"
                };
                let signed_in = if *signed_in {
                    "signed in"
                } else {
                    "not signed in"
                };
                let smtputf8 = if *smtputf8 { "SMTPUTF8" } else { "no SMTPUTF8" };
                write!(
                    f,
                    "{address} ({name}): {encrypted}, {signed_in}, {smtputf8}"
                )
            }
        }
    }
}
