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

    /// Returns whether every byte after the headers is ASCII.
    pub(crate) fn has_ascii_body(&self) -> bool {
        let end = b"\r\n\r\n";
        let place = self.bytes.windows(end.len()).position(|it| it == end);
        place.is_none_or(|place| self.bytes[place..].is_ascii())
    }

    /// Returns whether a header names a sender in UTF-8, which only a server with SMTPUTF8 accepts (RFC
    /// 6532 section 3).
    pub(crate) fn has_utf8_sender(&self) -> bool {
        let mut is_sender = false;
        for line in self.bytes.split(|byte| *byte == b'\n') {
            if line.trim_ascii().is_empty() {
                return false;
            }
            // A line that begins with a space continues the one before it.
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                let senders: [&[u8]; 3] = [b"From", b"Sender", b"Reply-To"];
                is_sender = senders.iter().any(|it| name.eq_ignore_ascii_case(it));
            }
            if is_sender && !line.is_ascii() {
                return true;
            }
        }
        false
    }
}
