//! What a look at the mail server showed, for `guestlist doctor`.

use std::fmt;
use std::path::PathBuf;

use super::config::Server;
use super::connection::Connection;
use super::deadlines::Deadlines;
use super::failure::Failure;
use super::tally::Tally;

/// What a check found; `Display` says it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A mail server that greets and, where asked to, encrypts and lets us sign in.
    Server {
        /// Host and port that were asked.
        address: String,
        /// The name the server gives itself.
        name: String,
        /// Whether letters would travel encrypted.
        encrypted: bool,
        /// Whether credentials were accepted; `false` when there are none.
        signed_in: bool,
        /// Whether addresses beyond ASCII can be delivered (RFC 6531).
        smtputf8: bool,
    },
    /// A folder that can be written.
    Folder(PathBuf),
}

/// Why letters could not be delivered now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(pub(super) String);

impl Report {
    /// Connects, greets, encrypts, signs in and quits. Never sends a letter.
    pub(super) async fn on(
        server: &Server,
        deadlines: &Deadlines,
        tally: &Tally,
    ) -> Result<Self, Failure> {
        let connection = Connection::open(server, deadlines, tally).await?;
        let report = Self::Server {
            address: format!("{}:{}", server.host, server.port),
            name: connection.offer().name.clone(),
            encrypted: connection.is_encrypted(),
            signed_in: server.credentials.is_some(),
            smtputf8: connection.offer().smtputf8,
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
