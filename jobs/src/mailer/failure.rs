//! Failures of a connection or of a letter on it.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls;

use super::blame::{Blame, Stage, blame};
use super::reply::Reply;
use super::verdict::Outcome;

/// The reason why a connection could not be opened or a letter could not be sent on it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no connection to {host}:{port}: {source}")]
    Unreachable {
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error("no answer to {stage} within {after:?}")]
    Deadline { stage: Stage, after: Duration },
    #[error("connection lost at {stage}: {source}")]
    Lost { stage: Stage, source: io::Error },
    #[error("{stage} was refused: {reply}")]
    Negative { stage: Stage, reply: Reply },
    #[error("{stage} was answered out of order: {reply}")]
    OutOfOrder { stage: Stage, reply: Reply },
    #[error("the server does not offer STARTTLS; if it needs no TLS, add tls=none to SMTP_URL")]
    NoStartTls,
    #[error(
        "the server sent data in clear between STARTTLS and TLS, which may be an attack; nothing was sent"
    )]
    Injected,
    #[error(
        "the server's certificate is not trusted: {0}; for a private certificate authority add tls_ca=FILE to SMTP_URL"
    )]
    Certificate(rustls::Error),
    #[error("the server offers neither AUTH PLAIN nor LOGIN")]
    NoMechanism,
    #[error("the server sent an AUTH challenge that is not supported")]
    Challenge,
    #[error("the mail server does not support non-ASCII addresses (it lacks SMTPUTF8)")]
    NoSmtpUtf8,
    #[error("the letter contains 8-bit text and the server lacks 8BITMIME")]
    NoEightBit,
    #[error("the letter was withdrawn before its final dot")]
    Withdrawn,
}

impl Failure {
    /// Translates the failure into the outcome of the letter.
    pub(super) fn outcome(self) -> Outcome {
        let why = self.to_string();
        match self {
            Self::Negative { stage, reply } => match blame(stage, reply.code, reply.enhanced()) {
                Blame::Server => Outcome::ServerFault(why),
                Blame::RecipientForNow => Outcome::Deferred(why),
                Blame::RecipientForGood => Outcome::Refused(why),
                Blame::Letter => Outcome::LetterFault(why),
                Blame::Ours => Outcome::Ours(format!("{why}; {}", remedy(stage, reply.code))),
            },
            Self::Deadline {
                stage: Stage::End, ..
            }
            | Self::Lost {
                stage: Stage::End, ..
            }
            | Self::OutOfOrder {
                stage: Stage::End, ..
            } => Outcome::Unknown(why),
            // A withdrawn letter has no outcome; the sender handles it before.
            Self::Withdrawn
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. }
            | Self::OutOfOrder { .. } => Outcome::ServerFault(why),
            Self::NoStartTls
            | Self::Injected
            | Self::Certificate(_)
            | Self::NoMechanism
            | Self::Challenge => Outcome::Ours(why),
            Self::NoSmtpUtf8 => Outcome::Refused(why),
            Self::NoEightBit => Outcome::LetterFault(why),
        }
    }

    /// Returns whether the next letter may use the connection.
    ///
    /// True only after a plain refusal of this letter, or if nothing was sent at all.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Negative { stage, reply } => !matches!(
                blame(*stage, reply.code, reply.enhanced()),
                Blame::Server | Blame::Ours
            ),
            Self::NoSmtpUtf8 | Self::NoEightBit => true,
            _ => false,
        }
    }

    /// Returns whether a reused connection turned out to be closed before the server saw the
    /// letter.
    pub(super) fn is_stale_connection(&self) -> bool {
        match self {
            Self::Lost {
                stage: Stage::Mail,
                source,
            } => source.kind() != io::ErrorKind::InvalidData,
            Self::Negative {
                stage: Stage::Mail,
                reply,
            } => reply.code == 421,
            _ => false,
        }
    }

    /// A lost connection, for failpoints.
    #[cfg(feature = "failpoints")]
    pub(super) fn lost(stage: Stage) -> Self {
        let source = crate::failpoint::lost_connection();
        Self::Lost { stage, source }
    }

    /// Distinguishes an untrusted certificate from a failed handshake.
    pub(super) fn handshake(source: io::Error) -> Self {
        let tls = source
            .get_ref()
            .and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            Some(error @ rustls::Error::InvalidCertificate(_)) => Self::Certificate(error.clone()),
            _ => Self::Lost {
                stage: Stage::Tls,
                source,
            },
        }
    }
}

/// Returns what a person should check when the server refuses us.
fn remedy(stage: Stage, code: u16) -> &'static str {
    match (stage, code) {
        (Stage::Auth, _) => "check user and password in SMTP_URL",
        (_, 530) => "the server requires credentials or TLS, set them in SMTP_URL",
        (Stage::Mail, _) => "check that the server allows this sender address",
        _ => {
            "check that the server allows this account to relay, and the reputation of the sender domain"
        }
    }
}
