//! Delivery status notifications (RFC 3464).

use guestlist::{Bounce, BounceKind, EmailAddress};
use mail_parser::{MessageParser, MimeHeaders};

/// A delivery status notification.
#[derive(Debug)]
pub(crate) struct Report {
    /// The whole mail.
    text: String,
    /// The groups of fields about the recipients, at least one.
    recipients: Vec<Fields>,
}

/// The fields about one recipient, by lower-case name.
#[derive(Debug, Default)]
struct Fields(Vec<(String, String)>);

/// The reason why a mail is not a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAReport {
    /// It has no part of the type message/delivery-status.
    NoStatus,
    /// That part names no recipient.
    NoRecipient,
}

impl std::fmt::Display for NotAReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoStatus => {
                "stdin is no delivery status notification: a mail with a part of the type \
                 message/delivery-status (RFC 3464)"
            }
            Self::NoRecipient => "the delivery status notification names no recipient",
        })
    }
}

impl Report {
    pub(crate) fn parse(mail: &[u8]) -> Result<Self, NotAReport> {
        let message = MessageParser::default()
            .parse(mail)
            .ok_or(NotAReport::NoStatus)?;
        let mut parts = message.parts.iter();
        let status = parts.find(|part| {
            let subtype = part.content_type().and_then(|kind| {
                let is_message = kind.ctype().eq_ignore_ascii_case("message");
                kind.subtype().filter(|_| is_message)
            });
            // The second type allows addresses in UTF-8 (RFC 6533).
            let is = |name: &str| subtype.is_some_and(|known| known.eq_ignore_ascii_case(name));
            is("delivery-status") || is("global-delivery-status")
        });
        let status = status.ok_or(NotAReport::NoStatus)?;
        let recipients: Vec<_> = Fields::groups(&String::from_utf8_lossy(status.contents()))
            .filter(|group| group.get("final-recipient").is_some())
            .collect();
        if recipients.is_empty() {
            return Err(NotAReport::NoRecipient);
        }
        let text = String::from_utf8_lossy(mail).into_owned();
        Ok(Self { text, recipients })
    }

    /// Returns everything in the mail that may be an envelope sender with an extension. A server may
    /// name it in To, Delivered-To, X-Original-To, a field of the report or the Return-Path of the
    /// returned letter; only its code proves it, wherever it stands.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        let words = self.text.split(|c: char| {
            c.is_whitespace()
                || matches!(c, '<' | '>' | ';' | ':' | ',' | '"' | '(' | ')' | '[' | ']')
        });
        words.filter(|word| word.contains('@') && word.contains('+'))
    }

    /// Returns the bounce of the letter to `invitee`. A letter has one recipient, but an alias or a
    /// forwarding mailbox may have made several: without fields about the invitee, the letter was
    /// given up only if every one failed.
    pub(crate) fn bounce_of(&self, invitee: Option<&EmailAddress>) -> Bounce {
        let named = |group: &&Fields| invitee.is_some_and(|invitee| group.names(invitee));
        let mut groups: Vec<_> = self.recipients.iter().filter(named).collect();
        if groups.is_empty() {
            groups.extend(&self.recipients);
        }
        let waiting = groups.iter().find(|group| !group.is_failed());
        let (group, kind) = match waiting {
            Some(group) => (*group, BounceKind::Soft),
            None => (groups[0], BounceKind::Hard),
        };
        let mut bounce = Bounce::new(kind);
        bounce.status = group.status().map(str::to_owned);
        bounce.diagnostic = group.value("diagnostic-code").map(str::to_owned);
        bounce
    }
}

impl Fields {
    /// Splits a text into its groups, which empty lines separate. A line that begins with a space
    /// continues the one before.
    fn groups(text: &str) -> impl Iterator<Item = Self> {
        let mut groups = vec![Self::default()];
        for line in text.lines() {
            let fields = &mut groups.last_mut().expect("at least one").0;
            if line.trim().is_empty() {
                groups.push(Self::default());
            } else if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        groups.into_iter()
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the value of a field `type; value`.
    fn value(&self, name: &str) -> Option<&str> {
        let field = self.get(name)?;
        let value = field.split_once(';').map_or(field, |(_, value)| value);
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    fn names(&self, invitee: &EmailAddress) -> bool {
        ["final-recipient", "original-recipient"]
            .into_iter()
            .filter_map(|name| self.value(name)?.trim_matches(['<', '>']).parse().ok())
            .any(|address: EmailAddress| address.canonical() == invitee.canonical())
    }

    /// Returns the status code, without the comment that some servers add.
    fn status(&self) -> Option<&str> {
        self.get("status")?.split_whitespace().next()
    }

    /// Returns `true` if the letter was given up. A server that leaves the action out is read by the
    /// class of the status.
    fn is_failed(&self) -> bool {
        match self.get("action") {
            Some(action) => action.to_ascii_lowercase().starts_with("failed"),
            None => self.status().is_some_and(|status| status.starts_with('5')),
        }
    }
}
