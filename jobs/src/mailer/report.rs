//! The result of checking the mail server, for `guestlist doctor`.

use std::fmt;
use std::path::PathBuf;

use guestlist::EmailAddress;

use super::connection_pool::ConnectionPool;
use super::remedy;
use super::reply_class::{ReplyClass, classify};
use crate::smtp::{SmtpError, Stage};

/// The result of a check; `Display` writes it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A mail server that answered the greeting and, if configured, encryption and authentication.
    Server {
        /// Host and port of the server.
        address: String,
        /// The name the server announces, its first 255 characters.
        name: String,
        /// The name that the server was given in EHLO.
        ehlo_name: String,
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

impl From<SmtpError> for CheckError {
    /// Adds the advice to the error, if there is one.
    fn from(error: SmtpError) -> Self {
        let remedy = remedy::of_connection(&error);
        Self(
            match remedy.or_else(|| remedy::of_lasting_failure(&error)) {
                Some(remedy) => format!("{error}; {remedy}"),
                None => error.to_string(),
            },
        )
    }
}

/// The maximum length of an announced name that is shown; a domain name has at most 255 bytes.
const MAX_NAME: usize = 255;

impl Report {
    /// Connects, greets, encrypts, signs in and quits. With a sender, it names it and its own address as
    /// the recipient before. Never sends a letter.
    pub(super) async fn on(
        pool: &ConnectionPool,
        sender: Option<(&EmailAddress, &EmailAddress)>,
    ) -> Result<Self, SmtpError> {
        let mut connection = pool.open().await?;
        if let Some((envelope, address)) = sender {
            let probed = connection.probe_recipient(envelope, address).await;
            probed.or_else(unless_of_recipient)?;
        }
        let server = pool.server();
        let report = Self::Server {
            address: format!("{}:{}", server.host, server.port),
            name: printable(&connection.capabilities().name),
            ehlo_name: connection.ehlo_name().to_string(),
            encrypted: connection.is_encrypted(),
            signed_in: server.account.is_some(),
            smtputf8: connection.capabilities().smtputf8,
        };
        connection.quit().await;
        Ok(report)
    }
}

/// Returns the error unless it is a refusal of the recipient alone, which does not concern other
/// letters: the sender's address need not have a mailbox.
fn unless_of_recipient(error: SmtpError) -> Result<(), SmtpError> {
    let Some((Stage::Rcpt, reply)) = error.reply() else {
        return Err(error);
    };
    let concerns_others = classify(Stage::Rcpt, reply).is_none_or(|prior| {
        let is_about_relaying = matches!(prior.rule, "relay" | "relay-temporary");
        is_about_relaying || matches!(prior.class, ReplyClass::Sender | ReplyClass::ServerLater)
    });
    if concerns_others { Err(error) } else { Ok(()) }
}

/// Returns a name that a server announced without characters that a terminal would act on.
fn printable(name: &str) -> String {
    name.chars()
        .take(MAX_NAME)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "letters are written to {}", folder.display()),
            Self::Server {
                address,
                name,
                ehlo_name,
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
                    "{address} ({name}): {encrypted}, {signed_in}, {smtputf8}; our name in EHLO: {ehlo_name}"
                )
            }
        }
    }
}
