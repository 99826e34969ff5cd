//! The envelope sender of letters.

use std::fmt;
use std::str::FromStr;

use guestlist::{EmailAddress, InvalidEmailAddress, SentLetter};

/// The address that mail servers return letters to (RFC 5321 section 4.4, `MAIL FROM`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvelopeFrom {
    /// The address, without an extension.
    pub address: EmailAddress,
    /// `true` if letters of invitations get an extension that names them
    /// ([`Guestlist::envelope_sender`](guestlist::Guestlist::envelope_sender)).
    pub is_extended: bool,
}

/// The reason why a text is not an envelope sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEnvelopeFrom {
    /// The address is not valid.
    #[error(transparent)]
    Address(#[from] InvalidEmailAddress),
    /// `{letter}` stands elsewhere.
    #[error("{{letter}} stands elsewhere than in +{{letter}}@")]
    Place,
    /// The local part has no room for an extension (RFC 5321 section 4.5.3.1.1).
    #[error("the part before +{{letter}} has {0} bytes, and at most {max} leave room for the extension", max = MAX_EXTENDED)]
    NoRoom(usize),
}

const PLACE: &str = "+{letter}@";

/// The maximum length of a local part that gets extensions, in bytes.
const MAX_EXTENDED: usize = 64 - SentLetter::EXTENSION_LENGTH;

impl FromStr for EnvelopeFrom {
    type Err = InvalidEnvelopeFrom;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.replacen(PLACE, "@", 1);
        if bare.contains("{letter}") {
            return Err(InvalidEnvelopeFrom::Place);
        }
        let address: EmailAddress = bare.parse()?;
        let is_extended = text.contains(PLACE);
        let length = address.local_part().len();
        if is_extended && length > MAX_EXTENDED {
            return Err(InvalidEnvelopeFrom::NoRoom(length));
        }
        Ok(Self {
            address,
            is_extended,
        })
    }
}

/// Formats it as it was written.
impl fmt::Display for EnvelopeFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, domain) = (self.address.local_part(), self.address.domain());
        let place = if self.is_extended { PLACE } else { "@" };
        write!(f, "{local}{place}{domain}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_extension_is_added_only_where_asked_for() {
        for (text, is_extended) in [
            ("bounces@acme.example", false),
            ("bounces+{letter}@acme.example", true),
            ("bounces+invitations@acme.example", false),
        ] {
            let from: EnvelopeFrom = text.parse().unwrap();
            assert_eq!(
                (from.is_extended, from.to_string().as_str()),
                (is_extended, text)
            );
        }
    }

    #[test]
    fn an_extended_address_has_room_for_the_extension() {
        let longest = "b".repeat(MAX_EXTENDED);
        let fits: EnvelopeFrom = format!("{longest}+{{letter}}@acme.example")
            .parse()
            .unwrap();
        let guestlist = guestlist::Guestlist::builder()
            .key_ring(guestlist::KeyRing::of(guestlist::Key::generate()))
            .build();
        let invitation = "01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap();
        guestlist
            .envelope_sender(&fits.address, invitation, 9999)
            .unwrap();
        let longer = format!("b{longest}+{{letter}}@acme.example").parse::<EnvelopeFrom>();
        assert_eq!(longer, Err(InvalidEnvelopeFrom::NoRoom(MAX_EXTENDED + 1)));
        format!("b{longest}@acme.example")
            .parse::<EnvelopeFrom>()
            .unwrap();
    }

    #[test]
    fn another_text_is_refused() {
        for text in [
            "",
            "bounces",
            "bounces+{letter}",
            "bounces{letter}@acme.example",
            "Acme <a@b.co>",
            "a@b.co\r\nx",
        ] {
            assert!(
                text.parse::<EnvelopeFrom>().is_err(),
                "{text:?} was accepted"
            );
        }
    }
}
