//! Names of people and organizations.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::email_address::is_blank;

/// The name of an organization or a person: 1 to 100 visible characters on one line.
///
/// Letters show names to people who did not ask for them, so a text that reads as a link, a domain,
/// an e-mail address or a telephone number is refused: such names turn invitation letters into
/// phishing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct Name(String);

/// The reason why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Empty, or only spaces.
    #[error("the name is empty")]
    Empty,
    /// More than 100 characters.
    #[error("a name has at most 100 characters")]
    TooLong,
    /// A control, an invisible or a direction-changing character, or an encoded word.
    #[error("the name holds a line break, an invisible character or an encoded word")]
    Character,
    /// A text that reads as a link, a domain, an e-mail address or a telephone number.
    #[error("the name reads as a link, an e-mail address or a telephone number")]
    Contact,
}

impl Name {
    /// The maximum length, in characters.
    pub const MAX_LENGTH: usize = 100;
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name: String = text.trim_matches(' ').nfc().collect();
        if !name.chars().any(is_visible) {
            return Err(if name.chars().all(|c| c == ' ') {
                InvalidName::Empty
            } else {
                InvalidName::Character
            });
        }
        if name.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidName::TooLong);
        }
        if !name.chars().all(is_allowed) || name.contains("=?") {
            return Err(InvalidName::Character);
        }
        if reads_as_contact(&name) {
            return Err(InvalidName::Contact);
        }
        Ok(Self(name))
    }
}

/// Returns `true` if a reader sees the character.
pub(crate) fn is_visible(c: char) -> bool {
    is_allowed(c) && c != ' ' && !is_joiner(c) && !is_blank(c)
}

/// Refuses control characters, separators other than the space, and format characters. The two
/// joiners are allowed, because emoji and Persian and Indic scripts need them.
pub(crate) fn is_allowed(c: char) -> bool {
    if c == ' ' || is_joiner(c) {
        return true;
    }
    !matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
    ) && !matches!(
        c,
        '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{2800}' | '\u{034F}'
    )
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn reads_as_contact(name: &str) -> bool {
    // Texts that look the same are treated the same: full-width forms and ideographic full stops
    // are replaced, and invisible joiners and combining marks are removed.
    let folded: String = name
        .nfkd()
        .filter(|c| !is_joiner(*c) && c.general_category_group() != GeneralCategoryGroup::Mark)
        .collect::<String>()
        .to_lowercase()
        .replace('\u{3002}', ".");
    folded.contains("://")
        || folded.contains("www.")
        || folded
            .split_whitespace()
            .any(|word| is_address(word) || holds_domain(word))
        || holds_telephone_number(&folded)
}

fn is_address(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// Finds a dot between a letter or digit and a label of two or more letters: `bank.example`.
fn holds_domain(word: &str) -> bool {
    word.match_indices('.').any(|(at, _)| {
        let before = word[..at]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric);
        let label: Vec<char> = word[at + 1..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '-')
            .collect();
        before
            && label.len() >= 2
            && label
                .iter()
                .all(|c| c.is_alphabetic() || *c == '-' || c.is_numeric())
            && label.iter().any(|c| c.is_alphabetic())
    })
}

/// Finds seven or more digits with only telephone punctuation between them (ITU-T E.164 numbers
/// have up to fifteen, subscriber numbers rarely fewer than seven).
fn holds_telephone_number(name: &str) -> bool {
    let mut digits = 0;
    for c in name.chars() {
        if c.general_category() == GeneralCategory::DecimalNumber {
            digits += 1;
        } else if !matches!(
            c,
            ' ' | '-' | '.' | '/' | '(' | ')' | '+' | '\u{2010}'..='\u{2013}'
        ) {
            digits = 0;
        }
        if digits >= 7 {
            return true;
        }
    }
    false
}

crate::text::text!(printed Name, InvalidName);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_become_structure_or_bait_is_refused() {
        let refused = [
            "",
            "   ",
            "a\r\nBcc: x@y.zz",
            "a\nb",
            "a\0b",
            "a\tb",
            "=?utf-8?q?a?=",
            "\u{202e}gnp",
            "a\u{2066}b",
            "\u{200d}",
            "\u{3164}",
            "https://bank.example",
            "bank.example",
            "Win at bank.example now",
            "www.bank",
            "mail x@bank.example",
            "x@bank",
            "call +49 30 1234567",
            "0800-123-4567",
            "bank\u{3002}example",
            "ｂａｎｋ．ｃｏｍ",
            "Call ٠٨٠٠١٢٣٤٥",
            "bank\u{200d}.example",
            "bank.\u{200c}example",
            "bank\u{332}.example",
            "0\u{200d}8\u{200d}0\u{200d}0\u{200d}1\u{200d}2\u{200d}3",
            "\u{fe0f}",
        ];
        for text in refused {
            assert!(text.parse::<Name>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("x".repeat(101).parse::<Name>(), Err(InvalidName::TooLong));
        assert_eq!("  ".parse::<Name>(), Err(InvalidName::Empty));
    }

    #[test]
    fn names_of_real_people_and_firms_are_kept_exactly() {
        let accepted = [
            "O'Brien & Co",
            "Ada Lovelace",
            "J.R.R. Tolkien",
            "St. Mary",
            "Route 66",
            "Class of 2026",
            "株式会社",
            "مؤسسة",
            "👩\u{200d}👩\u{200d}👧 Team",
            "❤\u{fe0f}",
            "<script>",
            "{{url}}",
            "{{{x}}}",
            "</table>",
            "100 %s",
            "A & B: C",
        ];
        for text in accepted {
            assert_eq!(text.parse::<Name>().map(String::from).as_deref(), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_name_parses_again(text in ".*") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
            }
        }
    }
}
