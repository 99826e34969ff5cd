//! The texts of mail servers and errors, in a form that can be stored.

/// The maximum length, in characters.
const MAX_LENGTH: usize = 500;

/// Makes one line of a mail server's reply or an error's text: cuts it to 500 characters and
/// replaces every control character by a space, because Postgres cannot store NUL and a terminal
/// would obey the others.
pub(crate) fn one_line(text: &str) -> String {
    one_line_of(text, MAX_LENGTH)
}

/// Like [`one_line`], cut to another length.
pub(crate) fn one_line_of(text: &str, max_length: usize) -> String {
    text.chars()
        .take(max_length)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_no_controls_and_a_bounded_length() {
        assert_eq!(one_line("550 \0no\r\n\u{1b}[31m"), "550  no   [31m");
        assert_eq!(one_line(&"ü".repeat(501)).chars().count(), 500);
    }
}
