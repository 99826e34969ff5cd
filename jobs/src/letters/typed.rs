//! Cleaning of text that a person typed, before it reaches a header or a template.
//!
//! Nothing here escapes HTML: the templates do that. This file removes what escaping does not
//! cover: control characters, overrides of the reading direction, and whatever a mail client would
//! turn into a link by itself.

/// An invisible character that breaks links. No browser accepts it inside a domain unless a script
/// needs it there, so text that contains it is not linked and, when copied, is not another address.
/// The word joiner and the zero-width space would not do: URL parsers drop them (UTS 46 section 4,
/// "ignored").
const NON_JOINER: char = '\u{200C}';

/// The number of digits from which a run counts as a telephone number.
const TELEPHONE_DIGITS: usize = 7;

/// Returns the text as one line without control characters and direction overrides, otherwise
/// unchanged.
pub(crate) fn one_line(text: &str) -> String {
    let pieces = text.split(is_line_break).map(clean);
    let pieces: Vec<String> = pieces.filter(|piece| !piece.trim().is_empty()).collect();
    pieces.join(" ").trim().to_owned()
}

/// Returns the lines of a longer text; blank lines around it are dropped, inner space is kept.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<String> = text.split(is_line_break).map(clean).collect();
    let written = |line: &String| !line.trim().is_empty();
    let (Some(first), Some(last)) = (
        lines.iter().position(written),
        lines.iter().rposition(written),
    ) else {
        return Vec::new();
    };
    lines[first..=last].to_vec()
}

/// Isolates a name of the other direction, so that it cannot reorder the sentence around it (UAX 9,
/// first strong isolate).
///
/// Names in the direction of the sentence stay unchanged, byte for byte.
pub(crate) fn isolate(text: &str, right_to_left: bool) -> String {
    let foreign = if right_to_left {
        text.chars()
            .any(|c| c.is_alphanumeric() && !is_right_to_left(c))
    } else {
        text.chars().any(is_right_to_left)
    };
    if foreign {
        format!("\u{2068}{text}\u{2069}")
    } else {
        text.to_owned()
    }
}

/// Breaks addresses, domains, schemes and telephone numbers with an invisible character.
///
/// Mail clients look for these in plain text and turn them into links; the reader still sees
/// exactly what was typed.
pub(crate) fn unlink(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let telephone = telephone_digits(&chars);
    let mut out = String::with_capacity(text.len());
    for (index, &c) in chars.iter().enumerate() {
        out.push(c);
        let next = chars.get(index + 1).copied();
        if next.is_some_and(|next| joins_a_link(c, next)) || telephone[index] {
            out.push(NON_JOINER);
        }
    }
    out
}

fn joins_a_link(c: char, next: char) -> bool {
    match c {
        '.' | '\u{3002}' | '\u{FF0E}' | '\u{FF61}' | '\u{2024}' => next.is_alphabetic(),
        ':' => !next.is_whitespace() && !next.is_numeric(),
        '@' | '\u{FF20}' => !next.is_whitespace(),
        '/' => next == '/',
        _ => false,
    }
}

/// Marks every digit in a run of digits and separators that is long enough to be dialled.
fn telephone_digits(chars: &[char]) -> Vec<bool> {
    let mut marks = vec![false; chars.len()];
    let mut start = 0;
    while start < chars.len() {
        let rest = &chars[start..];
        let length = rest.iter().take_while(|c| is_dialled(**c)).count();
        let run = start..start + length;
        if rest[..length].iter().filter(|c| c.is_numeric()).count() >= TELEPHONE_DIGITS {
            for index in run {
                marks[index] = chars[index].is_numeric();
            }
        }
        start += length + 1;
    }
    marks
}

fn is_dialled(c: char) -> bool {
    c.is_numeric() || matches!(c, ' ' | '\u{A0}' | '-' | '(' | ')' | '/' | '.' | '+')
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_direction_override(*c))
        .collect()
}

fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\r' | '\n' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

fn is_direction_override(c: char) -> bool {
    matches!(
        c,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
    )
}

fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
            | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_be_smuggled_through_a_name() {
        assert_eq!(
            one_line("Ann\r\nBcc: x@evil.example"),
            "Ann Bcc: x@evil.example"
        );
        assert_eq!(one_line("a\0b\u{1b}[0m\u{85}c\u{2028}d"), "ab[0m c d");
        assert_eq!(one_line(" \t\r\n "), "");
    }

    #[test]
    fn direction_overrides_are_dropped_and_marks_of_writing_are_kept() {
        assert_eq!(one_line("a\u{202E}txt.exe\u{2069}"), "atxt.exe");
        for exact in [
            "O'Brien & Co",
            "👩‍👩‍👧‍👦 family",
            "مؤسسة الأمل",
            "株式会社",
            "a  b",
            "می‌خواهم",
        ] {
            assert_eq!(one_line(exact), exact);
        }
    }

    #[test]
    fn only_a_name_of_the_other_direction_is_isolated() {
        assert_eq!(isolate("O'Brien & Co", false), "O'Brien & Co");
        assert_eq!(isolate("الأمل", false), "\u{2068}الأمل\u{2069}");
        assert_eq!(isolate("الأمل", true), "الأمل");
        assert_eq!(isolate("O'Brien", true), "\u{2068}O'Brien\u{2069}");
    }

    #[test]
    fn a_longer_text_keeps_its_inner_space_and_loses_the_outer() {
        assert_eq!(lines("\r\n\n  a  b\r\n\r\n\tc\n \n"), ["  a  b", "", " c"]);
        assert!(lines(" \r\n\t").is_empty());
    }

    #[test]
    fn nothing_stays_that_a_mail_client_would_link() {
        for (typed, broken) in [
            ("evil.example", "evil.|example"),
            ("https://a.b/c", "https:|/|/a.|b/c"),
            ("mailto:x@y.z", "mailto:|x@|y.|z"),
            ("//evil.example", "/|/evil.|example"),
            ("0170 1234567", "0|1|7|0| 1|2|3|4|5|6|7|"),
        ] {
            assert_eq!(unlink(typed).replace(NON_JOINER, "|"), broken, "{typed}");
        }
    }

    #[test]
    fn ordinary_prose_is_left_as_it_is() {
        for prose in [
            "Hi. We start at 9:30, room 204.",
            "Note: all 12 of us...",
            "550 5.1.1 no",
            "O'Brien & Co",
        ] {
            assert_eq!(unlink(prose), prose);
        }
    }
}
