//! The removal of our credentials from replies of the server.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};

use super::error::SmtpError;
use super::reply::Reply;

/// The number of characters in a row by which a part of a password or token is recognised.
const PART: usize = 16;

/// The same for their base64, which a server may repeat in pieces or cut off.
const ENCODED_PART: usize = 8;

/// The text in the place of a removed word.
const REMOVED: &str = "***";

/// The texts that must not be shown, each with the length of a part by which it is recognised.
///
/// Some servers repeat the command that they refuse, and replies to AUTH are logged, stored and shown.
pub(super) struct Secrets(Vec<(Vec<char>, usize)>);

impl Secrets {
    /// Collects what is sent to sign in by `mechanism`.
    pub(super) fn of(mechanism: Mechanism, credentials: &Credentials) -> Self {
        // The answer to the challenge of LOGIN is the password or the token itself.
        let secret = Mechanism::Login.response(credentials, Some("Password"));
        let sent = mechanism.response(credentials, None);
        let mut texts = Vec::new();
        for encoded in secret.iter().chain(&sent) {
            texts.push((STANDARD.encode(encoded), ENCODED_PART));
        }
        texts.extend(secret.map(|secret| (secret, PART)));
        let texts = texts.into_iter();
        Self(
            texts
                .map(|(text, part)| (comparable(&text).collect(), part))
                .collect(),
        )
    }

    /// Removes the secrets from the reply of an error.
    pub(super) fn remove_from(&self, error: SmtpError) -> SmtpError {
        match error {
            SmtpError::Negative { stage, reply } => SmtpError::Negative {
                stage,
                reply: self.without(&reply),
            },
            SmtpError::OutOfOrder { stage, reply } => SmtpError::OutOfOrder {
                stage,
                reply: self.without(&reply),
            },
            error => error,
        }
    }

    /// Removes each word that contains a secret or a part of one. Spaces and line ends do not count,
    /// because a server may break a long line anywhere.
    fn without(&self, reply: &Reply) -> Reply {
        let lines = reply.lines.iter();
        let mut lines: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
        let (mut text, mut places) = (Vec::new(), Vec::new());
        for (line, words) in lines.iter().enumerate() {
            for (word, characters) in words.iter().enumerate() {
                text.extend(comparable(characters));
                places.resize(text.len(), (line, word));
            }
        }
        for (secret, part) in &self.0 {
            let length = (*part).min(secret.len()).max(1);
            let parts: HashSet<&[char]> = secret.windows(length).collect();
            let windows = text.windows(length).zip(places.windows(length));
            for (_, places) in windows.filter(|(window, _)| parts.contains(window)) {
                for (line, word) in places {
                    lines[*line][*word] = REMOVED;
                }
            }
        }
        Reply {
            code: reply.code,
            lines: lines.into_iter().map(|words| words.join(" ")).collect(),
        }
    }
}

/// Returns the characters of a text that are compared: in lower case, without spaces and controls.
fn comparable(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mechanism: Mechanism, secret: &str, lines: &[&str]) -> String {
        let credentials = Credentials::new("me".to_owned(), secret.to_owned());
        let reply = Reply {
            code: 535,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        let secrets = Secrets::of(mechanism, &credentials);
        secrets.without(&reply).to_string()
    }

    #[test]
    fn secrets_are_removed_in_any_form() {
        let token = "ya29.a0AfB_byC-0123456789-abcdefghijklmnopqrstuvwxyz";
        let cut = format!("bad token {}...", &token[..30]);
        for (secret, lines, expected) in [
            ("a b", &["what is a b here"][..], "535 what is *** *** here"),
            ("!%", &["no !% no"], "535 no *** no"),
            ("pässwört", &["PÄSSWÖRT?"], "535 ***"),
            ("hunter2", &["hun", "ter2 is wrong"], "535 *** *** is wrong"),
            ("hunter2", &["hunter22 hunter"], "535 *** hunter"),
            (token, &[&cut], "535 bad token ***"),
            ("hunter2", &["", "no"], "535 no"),
        ] {
            assert_eq!(shown(Mechanism::Plain, secret, lines), expected);
            assert_eq!(shown(Mechanism::Xoauth2, secret, lines), expected);
        }
    }

    #[test]
    fn long_replies_are_compared_in_time() {
        let token = "0123456789abcdef".repeat(512);
        let line = "0123456789abcdex ".repeat(1_900);
        assert!(!shown(Mechanism::Xoauth2, &token, &[&line]).contains("9abcdef"));
    }
}
