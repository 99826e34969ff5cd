//! Why a connection or a letter on it failed.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls;

use super::blame::{Blame, Stage, blame};
use super::reply::Reply;
use super::verdict::Outcome;

/// Why a connection could not be opened, or a letter not be handed over on it.
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
    #[error("the server does not offer STARTTLS; if it needs none, say tls=none")]
    NoStartTls,
    #[error("the server spoke in clear before TLS began, as an attacker would")]
    Injected,
    #[error(
        "the server's certificate is not trusted: {0}; a private authority is named with tls_ca"
    )]
    Certificate(rustls::Error),
    #[error("the server offers neither AUTH PLAIN nor LOGIN")]
    NoMechanism,
    #[error("the server asked something during AUTH that has no answer")]
    Challenge,
    #[error("the mail server cannot carry an address beyond ASCII (it lacks SMTPUTF8)")]
    NoSmtpUtf8,
    #[error("the letter holds 8-bit text and the server lacks 8BITMIME")]
    NoEightBit,
    #[error("the letter was withdrawn before its final dot")]
    Withdrawn,
    #[error("the envelope's {0} is not one bare address")]
    Envelope(&'static str),
}

impl Failure {
    /// What the failure means for the letter.
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
            // A withdrawn letter has no outcome: its sender gives it up.
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
            Self::NoEightBit | Self::Envelope(_) => Outcome::LetterFault(why),
        }
    }

    /// Whether the connection is still in step, so that the next letter may use it.
    ///
    /// Only after a plain refusal of this letter, or when nothing was sent at all.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Negative { stage, reply } => !matches!(
                blame(*stage, reply.code, reply.enhanced()),
                Blame::Server | Blame::Ours
            ),
            Self::NoSmtpUtf8 | Self::NoEightBit | Self::Envelope(_) => true,
            _ => false,
        }
    }

    /// Whether a kept connection turned out to be closed before it heard of the letter.
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

    /// A connection whose other end is gone.
    #[cfg(feature = "failpoints")]
    pub(super) fn lost(stage: Stage) -> Self {
        let source = crate::failpoint::lost_connection();
        Self::Lost { stage, source }
    }

    /// Tells a certificate nobody vouches for from a handshake that broke.
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

/// What a person should look at when the server refuses us.
fn remedy(stage: Stage, code: u16) -> &'static str {
    match (stage, code) {
        (Stage::Auth, _) => "check user and password in SMTP_URL",
        (_, 530) => "the server wants credentials or TLS, give them in SMTP_URL",
        (Stage::Mail, _) => "check that the server lets us send from this sender address",
        _ => "check that the server lets us relay, and our reputation with it",
    }
}
