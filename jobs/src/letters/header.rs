//! Safe header values: encoded and folded, so that no part of a value can be read as something
//! else.
//!
//! lettre's own encoder passes `=?…?=` unchanged, panics on a line break in a display name and lets
//! a long word run past 998 bytes, so names and subjects are encoded here.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::typed::one_line;
use crate::mailbox::Mailbox;

/// The preferred length of a line (RFC 5322 section 2.1.1).
const LINE: usize = 78;

/// Bytes of text in one encoded word, so that it stays below 75 characters and the line below
/// 76 (RFC 2047 section 2): 36 bytes are 48 of base64, and the frame takes 12.
const WORD: usize = 36;

/// Encodes an unstructured value: unchanged if it is plain ASCII and can be folded, else as encoded
/// words.
pub(crate) fn unstructured(name: &str, value: &str) -> String {
    let value = one_line(value);
    let plain = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let folded = fold(name.len() + 2, &value).filter(|_| plain && !value.contains("=?"));
    folded.unwrap_or_else(|| encoded_words(&value))
}

/// Formats a display name and an address, or the address alone.
///
/// Only the simplest names are written unchanged, in quotes. All others are encoded, so that no
/// reader of the header can take a part of the name for an address.
pub(crate) fn mailbox(header: &str, mailbox: &Mailbox) -> String {
    let address = mailbox.address.as_str();
    let name = one_line(mailbox.name.as_deref().unwrap_or_default());
    if name.is_empty() {
        return address.to_owned();
    }
    let simple = |c: char| c.is_ascii_alphanumeric() || " '&-+_.".contains(c);
    let phrase = if name.chars().all(simple) && header.len() + name.len() + 4 <= LINE {
        format!("\"{name}\"")
    } else {
        encoded_words(&name)
    };
    let last_line = phrase.rsplit("\r\n").next().unwrap_or_default();
    let indent = if phrase.contains("\r\n") {
        0
    } else {
        header.len() + 2
    };
    let fits = indent + last_line.len() + address.len() + 3 <= LINE;
    format!("{phrase}{}<{address}>", if fits { " " } else { "\r\n " })
}

/// Breaks lines before single spaces; unfolding gives back the same value.
///
/// `None` if a word is too long for a line, or a space could be lost.
fn fold(indent: usize, value: &str) -> Option<String> {
    let mut folded = String::with_capacity(value.len() + 8);
    let mut column = indent;
    for (index, word) in value.split(' ').enumerate() {
        if word.is_empty() && index > 0 {
            return None;
        }
        if index > 0 && column + 1 + word.len() > LINE {
            folded.push_str("\r\n");
            column = 0;
        }
        if index > 0 {
            folded.push(' ');
            column += 1;
        }
        folded.push_str(word);
        column += word.len();
        if column > LINE {
            return None;
        }
    }
    Some(folded)
}

/// Encodes as RFC 2047 words in UTF-8 and base64, one per line; a reader drops the breaks between
/// them.
fn encoded_words(value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    let mut rest = value;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD));
        let separator = if out.is_empty() { "" } else { "\r\n " };
        write!(out, "{separator}=?utf-8?b?{}?=", STANDARD.encode(word))
            .expect("a String takes everything");
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn from(name: &str) -> String {
        let sender = Mailbox {
            name: Some(name.to_owned()),
            address: "team@host.example".parse().unwrap(),
        };
        mailbox("From", &sender)
    }

    #[test]
    fn plain_text_stays_readable_and_folds_at_spaces() {
        assert_eq!(
            unstructured("Subject", "Ann invited you to O'Brien & Co"),
            "Ann invited you to O'Brien & Co"
        );
        let long = "word ".repeat(40);
        let folded = unstructured("Subject", &long);
        assert!(
            folded
                .lines()
                .all(|line| line.len() <= LINE - "Subject: ".len() || line.starts_with(' '))
        );
        assert_eq!(folded.replace("\r\n", ""), long.trim());
    }

    #[test]
    fn what_looks_encoded_or_cannot_fold_is_encoded() {
        for value in ["=?utf-8?q?Bcc?=", "a  b", &"x".repeat(500), "é"] {
            let encoded = unstructured("Subject", value);
            assert!(
                encoded
                    .lines()
                    .all(|line| line.trim().starts_with("=?utf-8?b?")),
                "{encoded}"
            );
            assert!(encoded.lines().all(|line| line.len() <= 76), "{encoded}");
        }
    }

    #[test]
    fn a_name_with_an_address_in_it_is_encoded() {
        let value = from("Admin <x@bank.example>");
        assert!(value.starts_with("=?utf-8?b?"), "{value}");
        assert!(value.ends_with("<team@host.example>"), "{value}");
        assert!(!value.contains("bank"), "{value}");
    }

    #[test]
    fn a_line_break_in_a_name_adds_no_line() {
        let value = from("Ann\r\nBcc: x");
        assert_eq!(value.lines().count(), 1, "{value}");
        assert_eq!(from("\r\n"), "team@host.example");
        assert_eq!(
            from("O'Brien & Co."),
            "\"O'Brien & Co.\" <team@host.example>"
        );
    }
}
