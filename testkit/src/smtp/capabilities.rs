//! The extensions that the server offers.

/// The extensions in the reply to EHLO.
#[derive(Debug, Clone, Default)]
pub(super) struct Capabilities {
    extensions: Vec<String>,
    pub(super) size_limit: Option<usize>,
    pub(super) requires_tls: bool,
}

impl Capabilities {
    pub(super) fn add(&mut self, extension: String) {
        self.extensions.push(extension);
    }

    /// Returns the reply to EHLO.
    pub(super) fn reply(&self, is_encrypted: bool) -> String {
        let extensions = self.extensions.iter();
        let listed = extensions.filter(|line| match keyword(line).as_str() {
            "STARTTLS" => !is_encrypted,
            "AUTH" => is_encrypted || !self.requires_tls,
            _ => true,
        });
        let lines: String = listed.map(|line| format!("250-{line}\r\n")).collect();
        // 0 stands for no limit (RFC 1870 section 4).
        format!(
            "250-test\r\n{lines}250 SIZE {}",
            self.size_limit.unwrap_or(0)
        )
    }

    pub(super) fn offers_mechanism(&self, mechanism: &str) -> bool {
        let lines = self.extensions.iter();
        lines
            .filter(|line| keyword(line) == "AUTH")
            .flat_map(|line| line.split([' ', '=']).skip(1))
            .any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    /// True if a command is refused before STARTTLS.
    pub(super) fn requires_tls_for(&self, verb: &str) -> bool {
        self.requires_tls && !matches!(verb, "EHLO" | "HELO" | "STARTTLS" | "NOOP" | "QUIT")
    }

    pub(super) fn is_too_big(&self, bytes: usize) -> bool {
        self.size_limit.is_some_and(|limit| bytes > limit)
    }
}

/// Returns the first word in upper case; `=` ends it too, for the old form `AUTH=LOGIN`.
fn keyword(line: &str) -> String {
    let word = line.split([' ', '=']).next().unwrap_or_default();
    word.to_ascii_uppercase()
}
