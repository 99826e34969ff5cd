//! Headers of the host's own, which every letter carries.

use std::str::FromStr;
use std::sync::Arc;

/// Additional headers of all letters, such as the `X-SES-CONFIGURATION-SET` of Amazon SES or a
/// `Feedback-ID`.
///
/// Parsed from `Name: value`, several separated by semicolons. A value can contain no semicolon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(Arc<[(String, String)]>);

/// The reason why a text is not a list of additional headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidExtraHeaders {
    /// A part is not of the form `Name: value`.
    #[error("{0:?} is not a name and a value with a colon between them")]
    NoColon(String),
    /// The name contains other characters than printable ASCII (RFC 5322 section 2.2).
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// Guestlist or a mail server writes this header.
    #[error("{0} is written by Guestlist or by mail servers")]
    Reserved(String),
    /// The name occurs twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// The value of this header is empty, or contains a line break or other characters than
    /// printable ASCII.
    #[error("the value of {0} is not printable ASCII in one line")]
    Value(String),
    /// The line of this header is longer than RFC 5322 section 2.1.1 allows.
    #[error("{0} is longer than {MAX_LINE} bytes")]
    TooLong(String),
}

/// The maximum length of a line, in bytes (RFC 5322 section 2.1.1).
const MAX_LINE: usize = 998;

/// Names that may not be given: those that Guestlist writes, those that would name other senders and
/// recipients, and those that mail servers add. All `Content-` and `Resent-` headers belong to them.
const RESERVED: [&str; 13] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Return-Path",
    "Received",
];

impl ExtraHeaders {
    /// Returns names and values in the order in which they were given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.0.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromStr for ExtraHeaders {
    type Err = InvalidExtraHeaders;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = header(part)?;
            if headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                return Err(InvalidExtraHeaders::Twice(name.to_owned()));
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(headers.into()))
    }
}

fn header(part: &str) -> Result<(&str, &str), InvalidExtraHeaders> {
    let (name, value) = part
        .split_once(':')
        .ok_or_else(|| InvalidExtraHeaders::NoColon(part.trim().to_owned()))?;
    // Spaces alone: a line break must not be lost unnoticed.
    let (name, value) = (name.trim_matches(' '), value.trim_matches(' '));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidExtraHeaders::Name(name.to_owned()));
    }
    if is_reserved(name) {
        return Err(InvalidExtraHeaders::Reserved(name.to_owned()));
    }
    let allowed = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if value.is_empty() || !value.bytes().all(allowed) {
        return Err(InvalidExtraHeaders::Value(name.to_owned()));
    }
    if name.len() + ": ".len() + value.len() > MAX_LINE {
        return Err(InvalidExtraHeaders::TooLong(name.to_owned()));
    }
    Ok((name, value))
}

fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("content-")
        || lower.starts_with("resent-")
        || RESERVED
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn several_headers_are_separated_by_semicolons() {
        let text = "X-SES-CONFIGURATION-SET: acme; Feedback-ID:1:acme:invitations;";
        let headers: ExtraHeaders = text.parse().unwrap();
        assert_eq!(
            headers.iter().collect::<Vec<_>>(),
            [
                ("X-SES-CONFIGURATION-SET", "acme"),
                ("Feedback-ID", "1:acme:invitations"),
            ]
        );
        let none: ExtraHeaders = "".parse().unwrap();
        assert_eq!(none, ExtraHeaders::default());
    }

    #[test]
    fn what_would_change_the_structure_is_refused() {
        use InvalidExtraHeaders as E;
        let name = |name: &str| name.to_owned();
        for (text, expected) in [
            ("X-Stream", E::NoColon(name("X-Stream"))),
            ("X-Stream: a; b", E::NoColon(name("b"))),
            (": a", E::Name(name(""))),
            ("X Stream: a", E::Name(name("X Stream"))),
            ("X-Größe: a", E::Name(name("X-Größe"))),
            ("X-A\r\nBcc: x@y.example", E::Name(name("X-A\r\nBcc"))),
            ("X-A: a\r\nBcc: x@y.example", E::Value(name("X-A"))),
            ("X-A: a\n", E::Value(name("X-A"))),
            ("X-A: ä", E::Value(name("X-A"))),
            ("X-A: a\tb", E::Value(name("X-A"))),
            ("X-A: ", E::Value(name("X-A"))),
            ("message-id: <a@b>", E::Reserved(name("message-id"))),
            ("Reply-To: a@b.co", E::Reserved(name("Reply-To"))),
            ("Bcc: a@b.co", E::Reserved(name("Bcc"))),
            (
                "Content-Language: de",
                E::Reserved(name("Content-Language")),
            ),
            ("X-A: a; x-a: b", E::Twice(name("x-a"))),
        ] {
            assert_eq!(text.parse::<ExtraHeaders>(), Err(expected), "{text:?}");
        }
        let line = |length: usize| format!("X-A: {}", "a".repeat(length - "X-A: ".len()));
        line(MAX_LINE).parse::<ExtraHeaders>().unwrap();
        assert_eq!(
            line(MAX_LINE + 1).parse::<ExtraHeaders>(),
            Err(E::TooLong(name("X-A")))
        );
    }
}
