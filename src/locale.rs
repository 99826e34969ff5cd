//! The language of a person's letters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language tag such as `en`, `de` or `pt-BR` (the shape of BCP 47, at most 35 bytes).
///
/// The worker falls back to the primary language and then to English if it has no letters in this
/// language.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct Locale(String);

/// The text is not shaped like a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a locale is a language tag such as en, de or pt-BR")]
pub struct InvalidLocale;

impl Default for Locale {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl FromStr for Locale {
    type Err = InvalidLocale;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut subtags = text.split('-');
        let language = subtags.next().unwrap_or_default();
        let is_language =
            (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
        let is_subtag = |tag: &str| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if text.len() <= 35 && is_language && subtags.all(is_subtag) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLocale)
        }
    }
}

crate::text::text!(printed Locale, InvalidLocale);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_language_tags_are_locales() {
        for text in ["en", "de", "pt-BR", "zh-Hant-TW", "sr-Latn"] {
            assert!(text.parse::<Locale>().is_ok(), "{text} was refused");
        }
        for text in [
            "",
            "e",
            "english",
            "en_US",
            "en-",
            "../en",
            "en\n",
            "en-toolongsub",
        ] {
            assert!(text.parse::<Locale>().is_err(), "{text:?} was accepted");
        }
    }
}
