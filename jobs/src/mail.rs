//! A letter as it leaves: an envelope and bytes that never change again.

/// A finished RFC 5322 message and its envelope.
///
/// Built once per attempt from facts that are fixed when the job is born, so every attempt
/// has the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender (`MAIL FROM`), a bare address.
    pub from: String,
    /// The one envelope recipient (`RCPT TO`), a bare address.
    pub to: String,
    /// The `Message-ID` without angle brackets, also the name of a file the letter is written to.
    pub message_id: String,
    /// Headers and body with CRLF line ends, not yet dot-stuffed.
    pub bytes: Vec<u8>,
}
