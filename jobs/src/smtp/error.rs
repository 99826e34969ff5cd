//! Failures of a connection or of a letter on it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls;

use super::reply::Reply;
use super::stage::Stage;

/// The reason why a connection could not be opened or a letter could not be sent on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SmtpError {
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
        "the TLS handshake failed: {0}; the server offers STARTTLS, so nothing was sent in clear; if it needs no TLS, add tls=none to SMTP_URL"
    )]
    OpportunisticTls(io::Error),
    #[error(
        "the server sent data in clear between STARTTLS and TLS, which may be an attack; nothing was sent"
    )]
    Injected,
    #[error(
        "the server's certificate is not trusted: {0}; for a private certificate authority add tls_ca=FILE to SMTP_URL"
    )]
    Certificate(rustls::Error),
    #[error(
        "the server does not know EHLO, only HELO, so it takes no credentials: those in SMTP_URL cannot be used"
    )]
    OnlyHelo,
    #[error("the server does not offer AUTH XOAUTH2")]
    NoXoauth2,
    #[error("token_file {}: {why}", path.display())]
    TokenFile { path: PathBuf, why: String },
    #[error(
        "the server takes no password, only an access token: use auth=xoauth2&token_file=PATH in SMTP_URL"
    )]
    OnlyXoauth2,
    #[error(
        "the server takes no password, only an access token by OAUTHBEARER, and the worker sends tokens by XOAUTH2 (auth=xoauth2 in SMTP_URL)"
    )]
    OnlyOauthBearer,
    #[error("the server offers neither AUTH PLAIN nor LOGIN")]
    NoMechanism,
    #[error("the server sent an AUTH challenge that is not supported")]
    Challenge,
    #[error("the mail server does not support non-ASCII addresses (it lacks SMTPUTF8)")]
    NoSmtpUtf8,
    #[error("the mail server does not support our non-ASCII sender address (it lacks SMTPUTF8)")]
    NoSmtpUtf8ForSender,
    #[error(
        "the letter contains 8-bit text and the mail server does not take it (it lacks 8BITMIME)"
    )]
    NoEightBit,
    #[error("the letter was withdrawn before its final dot")]
    Withdrawn,
}

impl SmtpError {
    /// Returns the negative reply, if the server gave one.
    pub(crate) fn reply(&self) -> Option<(Stage, &Reply)> {
        match self {
            Self::Negative { stage, reply } => Some((*stage, reply)),
            _ => None,
        }
    }

    /// Returns the step that failed, if it is one of the session.
    pub(crate) fn stage(&self) -> Option<Stage> {
        match self {
            Self::Unreachable { .. } => Some(Stage::Connect),
            Self::Deadline { stage, .. }
            | Self::Lost { stage, .. }
            | Self::Negative { stage, .. }
            | Self::OutOfOrder { stage, .. } => Some(*stage),
            Self::OpportunisticTls(_) => Some(Stage::Tls),
            Self::NoStartTls | Self::Injected | Self::Certificate(_) => Some(Stage::StartTls),
            Self::OnlyHelo
            | Self::NoXoauth2
            | Self::TokenFile { .. }
            | Self::OnlyXoauth2
            | Self::OnlyOauthBearer
            | Self::NoMechanism
            | Self::Challenge => Some(Stage::Auth),
            Self::NoSmtpUtf8 | Self::NoSmtpUtf8ForSender | Self::NoEightBit | Self::Withdrawn => {
                None
            }
        }
    }

    /// Returns whether the next letter may use the connection: after a refusal of this letter alone,
    /// or if nothing was sent at all.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Negative { stage, reply } => {
                let is_of_letter =
                    matches!(stage, Stage::Mail | Stage::Rcpt | Stage::Data | Stage::End);
                is_of_letter && reply.code != 421
            }
            Self::NoSmtpUtf8 | Self::NoSmtpUtf8ForSender | Self::NoEightBit => true,
            _ => false,
        }
    }

    /// Returns whether another host behind the name of the server may take the letter.
    pub(crate) fn is_of_host(&self) -> bool {
        matches!(
            self,
            Self::NoSmtpUtf8 | Self::NoSmtpUtf8ForSender | Self::NoEightBit
        )
    }

    /// Returns whether a reused connection turned out to be closed before the server saw the
    /// letter.
    pub(crate) fn is_stale_connection(&self) -> bool {
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

    /// Makes the error of a connection that was lost at this step.
    pub(super) fn lost(stage: Stage) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Lost { stage, source }
    }

    /// Adds to a failed handshake of opportunistic TLS that it can be switched off.
    pub(super) fn of_opportunistic_tls(self) -> Self {
        match self {
            Self::Lost {
                stage: Stage::Tls,
                source,
            } => Self::OpportunisticTls(source),
            error => error,
        }
    }

    /// Distinguishes an untrusted certificate from a failed handshake.
    pub(crate) fn handshake(source: io::Error) -> Self {
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
