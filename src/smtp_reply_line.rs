//! What somebody else's program said, made fit to be stored.

/// The longest remark, in characters.
const MAX_LENGTH: usize = 500;

/// A mail server's reply or an error's text as one line: cut to 500 characters, with a space for
/// every control character, since Postgres stores no NUL and a terminal obeys the others.
pub(crate) fn remark(text: &str) -> String {
    text.chars()
        .take(MAX_LENGTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_line_of_bounded_length() {
        assert_eq!(remark("550 \0no\r\n\u{1b}[31m"), "550  no   [31m");
        assert_eq!(remark(&"ü".repeat(501)).chars().count(), 500);
    }
}
