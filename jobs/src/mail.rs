//! A letter in its final form: an envelope and bytes that do not change any more.

use guestlist::EmailAddress;

use crate::mailbox::Mailbox;

/// A finished RFC 5322 message and its envelope.
///
/// Built once per attempt from data that is fixed when the job is created, so every attempt has the
/// same bytes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail {
    /// The envelope sender (`MAIL FROM`).
    pub from: EmailAddress,
    /// The one envelope recipient (`RCPT TO`).
    pub to: EmailAddress,
    /// The `Message-ID` without angle brackets; also names the file if the letter is written to a
    /// folder.
    pub message_id: String,
    /// Headers and body with CRLF line ends, not yet dot-stuffed.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Creates a letter from a message that is already built. `message_id` is the one in its
    /// headers, and `from` is the sender whose address goes into the envelope.
    pub fn new(
        from: &Mailbox,
        to: EmailAddress,
        message_id: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            from: from.address.clone(),
            to,
            message_id: message_id.into(),
            bytes: bytes.into(),
        }
    }
}
