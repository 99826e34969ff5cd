//! The finished message: headers, both parts, and the same bytes every time.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};
use guestlist::EmailAddress;
use lettre::message::{
    Body, MultiPart, SinglePart, header::ContentTransferEncoding, header::ContentType,
};

use super::{
    ExtraHeaders, LetterError, Rendered,
    header::{mailbox, unstructured},
};
use crate::mail::Mail;
use crate::mailbox::Mailbox;

/// The envelope of a letter; fixed when its job is created, so that every attempt is the same.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The sender, in the header and at the mail server.
    pub from: Mailbox,
    /// The `Reply-To`, if answers go elsewhere than to the sender.
    pub reply_to: Option<Mailbox>,
    /// The address of the recipient. A local part in UTF-8 is written unencoded (RFC 6532),
    /// which the mail server must support (SMTPUTF8).
    pub to: EmailAddress,
    /// The language of the letter, such as `de-AT`.
    pub locale: String,
    /// The `Message-ID` without its angle brackets: `message-uuid@from-domain`.
    pub message_id: String,
    /// The `Date`, to the second.
    pub date: DateTime<Utc>,
    /// The headers beside those that every letter has.
    pub headers: ExtraHeaders,
}

impl Envelope {
    /// Creates the envelope of a letter in English.
    pub fn new(
        from: Mailbox,
        to: EmailAddress,
        message_id: impl Into<String>,
        date: DateTime<Utc>,
    ) -> Self {
        Self {
            from,
            reply_to: None,
            to,
            locale: "en".to_owned(),
            message_id: message_id.into(),
            date,
            headers: ExtraHeaders::default(),
        }
    }
}

/// Builds the RFC 5322 message with a text and an HTML alternative (RFC 2046 section 5.1.4).
pub(crate) fn build(letter: &Rendered, envelope: &Envelope) -> Result<Mail, LetterError> {
    let Envelope {
        from,
        to,
        message_id,
        ..
    } = envelope;
    if !is_message_id(message_id) {
        return Err(LetterError::MessageId);
    }
    let mut headers = vec![("From", mailbox("From", from))];
    if let Some(reply_to) = &envelope.reply_to {
        headers.push(("Reply-To", mailbox("Reply-To", reply_to)));
    }
    headers.extend([
        ("To", to.to_string()),
        ("Subject", unstructured("Subject", &letter.subject)),
        ("Date", date(envelope.date)?),
        ("Message-ID", format!("<{message_id}>")),
        ("Auto-Submitted", "auto-generated".to_owned()),
    ]);
    let extra = envelope.headers.iter();
    headers.extend(extra.map(|(name, value)| (name, value.to_owned())));
    headers.push(("MIME-Version", "1.0".to_owned()));
    let mut head = String::new();
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a String takes everything");
    }
    let mut bytes = head.into_bytes();
    bytes.extend(alternatives(letter, message_id).formatted());
    Ok(Mail {
        from: from.address.clone(),
        to: to.clone(),
        message_id: message_id.clone(),
        bytes,
    })
}

fn alternatives(letter: &Rendered, message_id: &str) -> MultiPart {
    let part = |kind, body: &str| SinglePart::builder().content_type(kind).body(encode(body));
    MultiPart::alternative()
        .boundary(boundary(message_id))
        .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
        .singlepart(part(ContentType::TEXT_HTML, &letter.html))
}

/// Encodes as quoted-printable if most of the text is ASCII, else as base64, because
/// quoted-printable would triple the size. Both keep lines at 76 bytes and neither can contain the
/// boundary.
fn encode(body: &str) -> Body {
    let foreign = body.bytes().filter(|byte| !byte.is_ascii()).count();
    let encoding = if foreign * 6 > body.len() {
        ContentTransferEncoding::Base64
    } else {
        ContentTransferEncoding::QuotedPrintable
    };
    Body::new_with_encoding(body.to_owned(), encoding)
        .expect("quoted-printable and base64 take every text")
}

/// Returns the boundary of the parts. `=_` cannot occur in a body in quoted-printable or base64
/// (RFC 2045 section 6.7), and the rest comes from the message id, so that a second attempt has the
/// same bytes.
fn boundary(message_id: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
    let id: String = message_id.chars().filter(allowed).take(60).collect();
    format!("=_{id}=")
}

/// Formats the date of RFC 5322 section 3.3, which allows only years of four digits.
fn date(at: DateTime<Utc>) -> Result<String, LetterError> {
    if !(1900..=9999).contains(&at.year()) {
        return Err(LetterError::Date);
    }
    Ok(at.format("%a, %d %b %Y %H:%M:%S +0000").to_string())
}

/// Returns whether an id can stand between angle brackets and be a file name.
fn is_message_id(id: &str) -> bool {
    let atom = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    id.len() <= 200
        && id
            .split_once('@')
            .is_some_and(|(left, right)| atom(left) && atom(right))
}
