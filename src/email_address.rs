//! E-mail addresses: parsed more strictly than by a mail library, and comparable.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::stored_text::stored_text;

/// An address a letter can be sent to: a dot-atom local part (RFC 5321 section 4.1.2, in UTF-8 by
/// RFC 6531) and a domain name of at least two labels, kept in its ASCII form (RFC 5891).
///
/// Quoted local parts, comments, display names and address literals are not accepted, on purpose.
/// Two values are equal if their text is; to find out if they name the same invitee, compare
/// [`canonical`](Self::canonical).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    text: String,
    at: usize,
}

/// The reason why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEmailAddress {
    /// Empty, or only spaces.
    #[error("the e-mail address is empty")]
    Empty,
    /// No `@`, or more than one.
    #[error("an e-mail address has exactly one @")]
    NotOneAt,
    /// Longer than 254 bytes (RFC 5321 section 4.5.3.1.3, less the angle brackets).
    #[error("an e-mail address has at most 254 bytes")]
    TooLong,
    /// The local part is empty or longer than 64 bytes (RFC 5321 section 4.5.3.1.1).
    #[error("the part before the @ has 1 to 64 bytes")]
    LocalPartLength,
    /// A space, quote, bracket, control or invisible character, an encoded word, or a second
    /// encoding of another character such as the Kelvin sign.
    #[error("the part before the @ holds a character that is not allowed there")]
    LocalPartCharacter,
    /// A dot at the start, at the end or next to another.
    #[error("the part before the @ has a dot at its edge or two in a row")]
    LocalPartDots,
    /// Not a domain name of two or more labels.
    #[error("the part after the @ is not a domain name such as example.com")]
    Domain,
}

impl EmailAddress {
    const MAX_LENGTH: usize = 254;
    const MAX_LOCAL_LENGTH: usize = 64;

    /// Returns the address as letters are sent to it: the local part as typed (in NFC), the domain
    /// in lower-case ASCII.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the part before the `@`.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// Returns the part after the `@`, in punycode if it is international.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Returns the form in which two spellings of one invitee are equal: the local part in lower
    /// case, in NFC.
    ///
    /// A letter maps only to its lower-case partner. Where Unicode maps several letters to one (the
    /// Kelvin sign to k, dotted and dotless i, the two small sigmas, long s, sharp s) they stay
    /// different, because a mail server may treat them as different mailboxes.
    pub fn canonical(&self) -> String {
        let local: String = self.local_part().nfd().map(lower_case).nfc().collect();
        format!("{local}@{}", self.domain())
    }

    /// Returns the form under which letters to one mailbox are counted: canonical, without a `+tag`
    /// and without dots in the local part, which many providers ignore.
    pub fn bucket(&self) -> String {
        let canonical = self.canonical();
        let local = canonical.split('@').next().unwrap_or_default();
        let untagged = match local.split_once('+') {
            Some((before, _)) if !before.is_empty() => before,
            _ => local,
        };
        format!("{}@{}", untagged.replace('.', ""), self.domain())
    }

    /// Returns the address with all but its first character hidden, for logs and for people outside
    /// the organization.
    pub fn masked(&self) -> String {
        let first = self.local_part().chars().next().unwrap_or('…');
        format!("{first}…@{}", self.domain())
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(InvalidEmailAddress::Empty);
        }
        if text.len() > 4 * Self::MAX_LENGTH {
            return Err(InvalidEmailAddress::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(InvalidEmailAddress::NotOneAt)?;
        if domain.contains('@') {
            return Err(InvalidEmailAddress::NotOneAt);
        }
        let local = valid_local_part(local)?;
        let domain = valid_domain(domain)?;
        if local.len() + 1 + domain.len() > Self::MAX_LENGTH {
            return Err(InvalidEmailAddress::TooLong);
        }
        Ok(Self {
            at: local.len(),
            text: format!("{local}@{domain}"),
        })
    }
}

/// Returns the lower-case partner of a letter if the two map only to each other, otherwise the
/// letter.
fn lower_case(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(small), None) if small.to_uppercase().eq([c]) => small,
        _ => c,
    }
}

fn valid_local_part(local: &str) -> Result<String, InvalidEmailAddress> {
    if local.chars().any(is_second_encoding) {
        return Err(InvalidEmailAddress::LocalPartCharacter);
    }
    let local: String = local.nfc().collect();
    if !(1..=EmailAddress::MAX_LOCAL_LENGTH).contains(&local.len()) {
        return Err(InvalidEmailAddress::LocalPartLength);
    }
    if !local.chars().all(|c| c == '.' || is_atom_character(c)) || local.contains("=?") {
        return Err(InvalidEmailAddress::LocalPartCharacter);
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(InvalidEmailAddress::LocalPartDots);
    }
    Ok(local)
}

/// Accepts `atext` of RFC 5322 section 3.2.3 and, beyond ASCII (RFC 6531), every visible character.
fn is_atom_character(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    }
    !matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
    ) && !is_blank(c)
}

/// Detects a character that normalization replaces by one other (a singleton of UAX #15 section
/// 5.1), such as the Kelvin sign by K. Addresses with the two characters are different mailboxes,
/// and could not be told apart after normalization.
fn is_second_encoding(c: char) -> bool {
    let mut normalized = std::iter::once(c).nfc();
    !c.is_ascii() && normalized.next() != Some(c) && normalized.next().is_none()
}

/// Detects letters and marks that are invisible although their category says otherwise.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{034F}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{3164}'
            | '\u{FFA0}'
            | '\u{2800}'
    ) || matches!(c, '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

fn valid_domain(domain: &str) -> Result<String, InvalidEmailAddress> {
    if domain
        .chars()
        .any(|c| !c.is_ascii() && !is_atom_character(c))
    {
        return Err(InvalidEmailAddress::Domain);
    }
    let ascii: Cow<'_, str> = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::STD3)
        .map_err(|_| InvalidEmailAddress::Domain)?;
    let labels: Vec<&str> = ascii.split('.').collect();
    let is_name = labels.len() >= 2 && labels.iter().all(|label| is_label(label));
    let is_number = labels
        .last()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if ascii.len() > 253 || !is_name || is_number {
        return Err(InvalidEmailAddress::Domain);
    }
    Ok(ascii.into_owned())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

stored_text!(EmailAddress);

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmailAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.text
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<EmailAddress, InvalidEmailAddress> {
        text.parse()
    }

    #[test]
    fn what_is_not_one_plain_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_domain = format!("a@{}com", "abcdefghi.".repeat(26));
        let refused = [
            "",
            "   ",
            "a",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@b.",
            "a@.b.co",
            "a@b..co",
            "a b@c.co",
            "a@b.co, c@d.co",
            "a@b.co;c@d.co",
            "a@b@c.co",
            "Bob <a@b.co>",
            "<a@b.co>",
            "\"a b\"@c.co",
            "\"a>b\"@c.co",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@localhost",
            "a@-b.co",
            "a@b-.co",
            "a@b_c.co",
            "a@b.1",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "=?utf-8?q?a?=@b.co",
            "a\r\nBcc: x@y.zz@b.co",
            "a\n@b.co",
            "a@b.co\n",
            "a\0@b.co",
            "a\t@b.co",
            "a@b.co\u{7f}",
            "a\u{200b}@b.co",
            "a\u{202e}b@c.co",
            "a@b\u{200d}.co",
            "a@\u{202e}b.co",
            "a\u{3164}@b.co",
            "a\u{a0}@b.co",
            "a(comment)@b.co",
            "a@b.co(comment)",
            "a,b@c.co",
            "a:b@c.co",
            "a\\b@c.co",
            &long_local,
            &long_domain,
        ];
        for text in refused {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn unusual_but_valid_addresses_are_accepted() {
        let accepted = [
            "a@b.co",
            "-a@b.co",
            "a+tag@b.co",
            "o'brien@example.com",
            "a!#$%&*/?^_`{|}~b@example.org",
            "1@2.co",
            "дмитрий@example.com",
            "用户@例子.广告",
            "müller@example.de",
            " a@b.co ",
            "x@xn--mller-kva.example",
        ];
        for text in accepted {
            assert!(
                parse(text).is_ok(),
                "{text:?} was refused: {:?}",
                parse(text)
            );
        }
    }

    #[test]
    fn spellings_of_one_invitee_have_one_canonical_form() {
        let pairs = [
            ("A@B.CO", "a@b.co"),
            ("a@b\u{3002}co", "a@b.co"),
            ("mu\u{308}ller@b.co", "m\u{fc}ller@b.co"),
            ("a@M\u{dc}LLER.example", "a@xn--mller-kva.example"),
            ("M\u{dc}LLER@b.co", "m\u{fc}ller@b.co"),
        ];
        for (one, other) in pairs {
            assert_eq!(
                parse(one).unwrap().canonical(),
                parse(other).unwrap().canonical()
            );
        }
    }

    #[test]
    fn look_alikes_and_tags_are_different_invitees() {
        let pairs = [
            ("mike@b.co", "m\u{131}ke@b.co"),
            ("strasse@b.co", "stra\u{df}e@b.co"),
            ("admin@b.co", "\u{430}dmin@b.co"),
            ("a+x@b.co", "a@b.co"),
            ("a.b@c.co", "ab@c.co"),
        ];
        for (one, other) in pairs {
            assert_ne!(
                parse(one).unwrap().canonical(),
                parse(other).unwrap().canonical()
            );
        }
    }

    #[test]
    fn tags_and_dots_share_one_bucket() {
        let bucket = parse("a.b+news@example.com").unwrap().bucket();
        assert_eq!(bucket, parse("AB@example.com").unwrap().bucket());
        assert_eq!(parse("+a@b.co").unwrap().bucket(), "+a@b.co");
    }

    #[test]
    fn an_international_domain_is_shown_in_punycode() {
        assert_eq!(
            parse("a@m\u{fc}ller.example").unwrap().to_string(),
            "a@xn--mller-kva.example"
        );
    }

    #[test]
    fn a_masked_address_shows_one_character() {
        assert_eq!(
            parse("alice@example.com").unwrap().masked(),
            "a…@example.com"
        );
    }
}
