//! The form of a refusal that stays the same for other recipients.

use crate::smtp::Reply;

/// The maximum size of a fingerprint, in bytes; the mailer remembers many.
const LIMIT: usize = 200;

/// Words of dates, which carry no digit.
const DATE_WORDS: &[&str] = &[
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun",
    "jul", "aug", "sep", "oct", "nov", "dec", "utc", "gmt", "cet", "cest", "est", "edt", "pst",
    "pdt", "jst",
];

/// Returns a normalized refusal: the reply code, the enhanced code and the words, without addresses,
/// host names, IP addresses, numbers, ids, times and links.
///
/// Replies of the same kind to different recipients have equal fingerprints. `local_part` is that of
/// this letter's recipient, which some servers repeat without its domain.
pub(crate) fn fingerprint(reply: &Reply, local_part: &str) -> String {
    let local_part = local_part.to_lowercase();
    let mut fingerprint = reply.code.to_string();
    if let Some(status) = reply.enhanced() {
        fingerprint += &format!(" {}.{}.{}", status.class, status.subject, status.detail);
    }
    let words = reply.lines.iter().flat_map(|line| line.split_whitespace());
    let words = words.flat_map(constant_words);
    for word in words.filter(|word| *word != local_part) {
        if fingerprint.len() + 1 + word.len() > LIMIT {
            break;
        }
        fingerprint.push(' ');
        fingerprint += &word;
    }
    fingerprint
}

/// Returns the words of a token that do not depend on the letter.
fn constant_words(token: &str) -> Vec<String> {
    if token.contains('@') || token.contains("://") {
        return Vec::new();
    }
    token
        .split(|c: char| {
            !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '\'' | '+' | '=' | '%'))
        })
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty() && !is_variable(word))
        .map(str::to_lowercase)
        .collect()
}

fn is_variable(word: &str) -> bool {
    word.chars().any(char::is_numeric)
        || is_host_name(word)
        || is_random(word)
        || DATE_WORDS.contains(&word.to_lowercase().as_str())
}

/// Returns whether the word is a name with dots. Names of programs, such as
/// `RESOLVER.ADR.RecipientNotFound`, end in a word of mixed case and are kept.
fn is_host_name(word: &str) -> bool {
    let Some((_, last)) = word.rsplit_once('.') else {
        return false;
    };
    let capitals = last.chars().filter(|c| c.is_uppercase()).count();
    capitals == 0 || capitals == last.chars().count()
}

/// Returns whether the word is an id without digits: its case changes every few letters.
fn is_random(word: &str) -> bool {
    let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
    let changes = letters
        .windows(2)
        .filter(|pair| pair[0].is_lowercase() && pair[1].is_uppercase())
        .count();
    letters.len() >= 8 && changes >= 2 && letters.len() < 4 * changes
}
