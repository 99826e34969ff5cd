//! A phrase of a locale with placeholders, such as `{inviter} invited you`.

use std::{collections::BTreeMap, str::FromStr};

/// A phrase, parsed when it is loaded.
///
/// Filling is plain concatenation: a value is never parsed again, neither as a phrase nor as a
/// template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Phrase(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Words(String),
    Gap(String),
}

/// A problem of a phrase, with its key.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub(crate) struct PhraseFault {
    key: String,
    problem: String,
}

impl PhraseFault {
    fn new(problem: String) -> Self {
        Self {
            key: String::new(),
            problem,
        }
    }

    /// Reports that something required is missing.
    pub(crate) fn missing(what: &str) -> Self {
        Self::new(format!("{what} is missing"))
    }

    /// Adds the key that has the problem.
    pub(crate) fn at(self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self
        }
    }
}

impl Phrase {
    /// Replaces the placeholders by the values, unchanged.
    pub(crate) fn fill(&self, values: &BTreeMap<String, String>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Words(words) => words.clone(),
            Piece::Gap(name) => values.get(name).cloned().unwrap_or_default(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Refuses a placeholder that is not in `names`.
    pub(crate) fn allow(&self, names: &[&str]) -> Result<(), PhraseFault> {
        match self.placeholders().find(|name| !names.contains(name)) {
            Some(unknown) => Err(PhraseFault::new(format!("{{{unknown}}} is not known here"))),
            None => Ok(()),
        }
    }

    /// Returns the names of its placeholders.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Gap(name) => Some(name.as_str()),
            Piece::Words(_) => None,
        })
    }
}

impl FromStr for Phrase {
    type Err = PhraseFault;

    fn from_str(text: &str) -> Result<Self, PhraseFault> {
        if text.trim().is_empty() {
            return Err(PhraseFault::new("the phrase is empty".to_owned()));
        }
        if text.contains(char::is_control) {
            return Err(PhraseFault::new("a phrase is one line of text".to_owned()));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((words, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(PhraseFault::new("{ has no closing }".to_owned()));
            };
            pieces.extend([words_of(words)?, gap(name)?]);
            rest = after;
        }
        pieces.push(words_of(rest)?);
        Ok(Self(pieces))
    }
}

fn words_of(words: &str) -> Result<Piece, PhraseFault> {
    if words.contains('}') {
        return Err(PhraseFault::new("} has no opening {".to_owned()));
    }
    Ok(Piece::Words(words.to_owned()))
}

fn gap(name: &str) -> Result<Piece, PhraseFault> {
    let well_formed = |c: char| c.is_ascii_lowercase() || c == '_';
    if name.is_empty() || !name.chars().all(well_formed) {
        return Err(PhraseFault::new(format!("{{{name}}} is not a placeholder")));
    }
    Ok(Piece::Gap(name.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_text() {
        let phrase: Phrase = "{a} and {b}".parse().unwrap();
        let values = [("a", "{b}"), ("b", "{{c}}")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(phrase.fill(&values.into()), "{b} and {{c}}");
    }

    #[test]
    fn a_malformed_phrase_is_refused() {
        for text in [
            "", " ", "{", "}", "a {b", "{{a}}", "{A}", "{}", "{a b}", "a\nb",
        ] {
            assert!(text.parse::<Phrase>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        let phrase: Phrase = "for {who}".parse().unwrap();
        let fault = phrase
            .allow(&["inviter"])
            .unwrap_err()
            .at("invitation.body");
        assert_eq!(
            fault.to_string(),
            "invitation.body: {who} is not known here"
        );
    }
}
