//! A sender of letters.

use std::fmt;
use std::str::FromStr;

use guestlist::{EmailAddress, InvalidEmailAddress};

/// A sender: an address and the name that people see instead of it, written
/// `Acme <team@acme.example>`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mailbox {
    /// The display name, if any; encoded wherever it could be read as anything else.
    pub name: Option<String>,
    /// The address.
    pub address: EmailAddress,
}

/// The reason why a text is not a sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMailbox {
    /// The address is not valid.
    #[error(transparent)]
    Address(#[from] InvalidEmailAddress),
    /// The name is too long or contains characters that could change the structure of a header.
    #[error(
        "the name before the address has over 100 characters or contains a control character, < or >"
    )]
    Name,
}

impl Mailbox {
    /// Creates a sender without a display name.
    pub fn new(address: EmailAddress) -> Self {
        Self {
            name: None,
            address,
        }
    }
}

const MAX_NAME_LENGTH: usize = 100;

impl FromStr for Mailbox {
    type Err = InvalidMailbox;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, address)) = text
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
        else {
            return Ok(Self::new(text.parse()?));
        };
        let name = name.trim();
        let name = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'))
            .unwrap_or(name);
        let is_structure = |c: char| c.is_control() || matches!(c, '<' | '>');
        if name.chars().any(is_structure) || name.chars().count() > MAX_NAME_LENGTH {
            return Err(InvalidMailbox::Name);
        }
        Ok(Self {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            address: address.parse()?,
        })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address.as_str()),
            None => f.write_str(self.address.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, name) in [
            ("team@acme.example", None),
            ("<team@acme.example>", None),
            ("Acme Inc. <team@acme.example>", Some("Acme Inc.")),
            ("\"Acme, Inc.\" <team@acme.example>", Some("Acme, Inc.")),
        ] {
            let mailbox: Mailbox = text.parse().unwrap();
            assert_eq!(
                (mailbox.name.as_deref(), mailbox.address.as_str()),
                (name, "team@acme.example")
            );
        }
    }

    #[test]
    fn what_could_become_another_header_is_refused() {
        for text in [
            "",
            "Acme",
            "Acme <x>",
            "A\r\nBcc: b@c.de <a@b.co>",
            "A <b@c.de> <a@b.co>",
            "a@b.co>",
        ] {
            assert!(text.parse::<Mailbox>().is_err(), "{text:?} was accepted");
        }
    }
}
