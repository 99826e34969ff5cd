//! The advice to the person that has to fix a refusal of the sender.

use super::reply_class::{ReplyClass, classify};
use crate::smtp::{Reply, SmtpError, Stage};

/// The advice for a server that takes access tokens and no password.
const USE_TOKEN: &str =
    "remove the password from SMTP_URL and add auth=xoauth2&token_file=PATH to it";

/// Returns the advice for a connection that could not be opened, if a person has to act.
pub(super) fn of_connection(error: &SmtpError) -> Option<&'static str> {
    match error {
        SmtpError::Negative { stage, reply } => {
            let is_senders = classify(*stage, reply)?.class == ReplyClass::Sender;
            is_senders.then(|| of_reply(*stage, reply))
        }
        SmtpError::NoStartTls | SmtpError::Certificate(_) => {
            Some("check tls and tls_ca in SMTP_URL")
        }
        SmtpError::OpportunisticTls(_) => {
            Some("repair TLS on the mail server, or add tls=none to SMTP_URL")
        }
        SmtpError::NoSmtpUtf8ForSender => {
            Some("set an ASCII address in GUESTLIST_FROM, or use a server with SMTPUTF8")
        }
        SmtpError::Injected => Some("check the network between this worker and the mail server"),
        SmtpError::OnlyHelo => {
            Some("remove user and password from SMTP_URL, or use another server")
        }
        SmtpError::TokenFile { .. } => Some("write an access token to this file"),
        SmtpError::OnlyXoauth2 => Some(USE_TOKEN),
        SmtpError::OnlyOauthBearer => Some("use a server that offers XOAUTH2, PLAIN or LOGIN"),
        SmtpError::NoXoauth2 | SmtpError::NoMechanism | SmtpError::Challenge => {
            Some("check which ways to sign in the mail server offers")
        }
        _ => None,
    }
}

/// Returns the advice for a connection that could not be opened again and again, if a person has to act
/// then.
pub(super) fn of_lasting_failure(error: &SmtpError) -> Option<&'static str> {
    let (stage, reply) = error.reply()?;
    let is_senders = classify(stage, reply)?.everybody == ReplyClass::Sender;
    is_senders.then(|| of_reply(stage, reply))
}

/// Returns the advice for a negative reply.
pub(super) fn of_reply(stage: Stage, reply: &Reply) -> &'static str {
    match (stage, reply.code) {
        _ if is_about_name(stage, reply) => {
            "set GUESTLIST_EHLO_NAME to a name of this host that the server accepts"
        }
        (Stage::Auth, _) if refuses_passwords(reply) => USE_TOKEN,
        (Stage::Auth, _) => "check user and password in SMTP_URL, or the token in token_file",
        (Stage::Greeting, _) => {
            "check that the server accepts connections from this address, and its reputation"
        }
        (_, 530) => "the server requires credentials or TLS; set them in SMTP_URL",
        (Stage::Mail, _) => "check that the server allows this sender address",
        _ => {
            "check that the server allows this account to relay, and the reputation of the sender's \
             domain"
        }
    }
}

/// Returns whether a server refuses every password, as Exchange Online does: "535 5.7.139 Authentication
/// unsuccessful, basic authentication is disabled."
fn refuses_passwords(reply: &Reply) -> bool {
    let words = reply.lines.join(" ").to_ascii_lowercase();
    words.contains("basic authentication is disabled")
}

/// Returns whether a reply refuses the name in EHLO. Postfix does so at RCPT, in words only.
fn is_about_name(stage: Stage, reply: &Reply) -> bool {
    let words = reply.lines.join(" ").to_ascii_lowercase();
    stage == Stage::Hello || words.contains("helo ") || words.contains("ehlo ")
}
