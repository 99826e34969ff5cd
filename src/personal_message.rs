//! The personal message that an inviter adds to a letter.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// A personal message: 1 to 1,000 characters, lines allowed, shown quoted and never as a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct PersonalMessage(String);

/// The reason why a text is not a personal message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Empty, or only spaces and line ends.
    #[error("the message is empty")]
    Empty,
    /// More than 1,000 characters.
    #[error("a message has at most 1000 characters")]
    TooLong,
    /// A control or direction-changing character other than a line end.
    #[error("the message holds a control or an invisible character")]
    Character,
}

impl PersonalMessage {
    /// The maximum length, in characters.
    pub const MAX_LENGTH: usize = 1000;
}

impl FromStr for PersonalMessage {
    type Err = InvalidMessage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let message: String = text.replace("\r\n", "\n").trim().nfc().collect();
        if message.is_empty() {
            return Err(InvalidMessage::Empty);
        }
        if message.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidMessage::TooLong);
        }
        if message.chars().any(is_refused) {
            return Err(InvalidMessage::Character);
        }
        Ok(Self(message))
    }
}

fn is_refused(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Other
        && !matches!(c, '\n' | '\u{200C}' | '\u{200D}')
}

crate::text::text!(printed PersonalMessage, InvalidMessage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_controls_are_refused() {
        let message: PersonalMessage = "Hello\r\nBob".parse().expect("valid");
        assert_eq!(message.as_str(), "Hello\nBob");
        for text in [
            "",
            " \n ",
            "a\0",
            "a\rb",
            "a\u{202e}b",
            "a\u{200b}b",
            &"x".repeat(1001),
        ] {
            assert!(
                text.parse::<PersonalMessage>().is_err(),
                "{text:?} was accepted"
            );
        }
    }
}
