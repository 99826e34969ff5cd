//! The text of a reply, in the form that rules match.

use crate::smtp::{Enhanced, Reply};

/// A reply prepared for matching.
#[derive(Debug)]
pub(super) struct Text {
    /// The code, or that of a quoted reply if only that is temporary.
    pub(super) code: u16,
    /// The enhanced code, wherever it is written.
    pub(super) status: Option<Enhanced>,
    /// The words in lower case with one space between them, before the first and after the last.
    words: String,
}

impl Text {
    pub(super) fn new(reply: &Reply) -> Self {
        let joined = reply.lines.join(" ");
        let (quoted_code, text) = quoted(&joined);
        let status = enhanced(text);
        let temporary = quoted_code.is_some_and(|code| code < 500)
            || status.is_some_and(|status| status.class == 4);
        let code = if temporary && reply.code >= 500 {
            450
        } else {
            reply.code
        };
        Self {
            code,
            status,
            words: normalize(text),
        }
    }

    /// Returns whether the text has the phrase.
    ///
    /// A phrase begins at the beginning of a word and may end within one, so that `throttl` matches
    /// "throttling", but `rate` does not match "separate". A `*` stands for any text.
    pub(super) fn has(&self, phrase: &str) -> bool {
        let mut rest = self.words.as_str();
        phrase.split(" * ").all(|part| match find_word(rest, part) {
            Some(end) => {
                rest = &rest[end..];
                true
            }
            None => false,
        })
    }
}

/// Returns the end of the first `part` in `text` that begins at the beginning of a word.
fn find_word(text: &str, part: &str) -> Option<usize> {
    text.match_indices(part).find_map(|(at, found)| {
        let before = text[..at].chars().next_back();
        (!before.is_some_and(char::is_alphanumeric)).then_some(at + found.len())
    })
}

/// Returns the reply of another server that this reply quotes (`host mx.example said: 550 …`), or the
/// whole text if there is none.
///
/// A server that verifies the sender's address quotes what was said about the sender, and that must
/// not be read as said about the recipient; such a text is kept whole.
fn quoted(text: &str) -> (Option<u16>, &str) {
    const SAID: &str = " said: ";
    let Some(at) = text.rfind(SAID) else {
        return (None, text);
    };
    let (before, inner) = (&text[..at], &text[at + SAID.len()..]);
    if before.to_lowercase().contains("sender") {
        return (None, text);
    }
    let code = inner.get(..3).and_then(|code| code.parse().ok());
    match code {
        Some(400..=599) => (code, &inner[3..]),
        _ => (None, inner),
    }
}

/// Returns the first enhanced code of the text. Servers also write it as `(#5.1.1)` and after other words.
fn enhanced(text: &str) -> Option<Enhanced> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find_map(|word| {
            let mut parts = word.trim_matches('.').split('.');
            let mut part = |digits: usize| {
                let part = parts.next()?;
                (part.len() <= digits).then(|| part.parse().ok())?
            };
            let enhanced = Enhanced {
                class: part(1)?,
                subject: part(1)?,
                detail: part(3)?,
            };
            (parts.next().is_none()
                && matches!(enhanced.class, 4 | 5)
                && matches!(enhanced.subject, 0..=7))
            .then_some(enhanced)
        })
}

/// Reduces a text to its words: lower case, addresses replaced by `@`, the paths of URLs and
/// punctuation removed.
///
/// Addresses go because their parts are chosen by strangers: `no-such-user@example.com` must not
/// read as a refusal of a missing mailbox.
fn normalize(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(' ');
    for token in text.split_whitespace() {
        let token = match token.split_once("://") {
            Some((_, place)) => place.split(['/', '?', '#']).next().unwrap_or(place),
            None => token,
        };
        for part in token.split(['<', '>', '(', ')', '[', ']', ':', ';', ',', '"']) {
            if part.contains('@') {
                push_word(&mut words, "@");
            } else {
                part.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '\'' | '’')))
                    .for_each(|word| push_word(&mut words, word));
            }
        }
    }
    words.replace(" e mail", " email")
}

fn push_word(words: &mut String, word: &str) {
    let word = word.trim_matches(['.', '\'', '’']);
    if !word.is_empty() {
        words.extend(
            word.to_lowercase()
                .chars()
                .map(|c| if c == '’' { '\'' } else { c }),
        );
        words.push(' ');
    }
}
