//! The envelope sender of a letter, which names the letter, so that a bounce can be assigned to it.

use std::fmt::Write;

use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::InvitationId;
use crate::key_ring::Key;

/// A letter of an invitation that this installation sent, as a genuine envelope sender names it.
/// Only [`Guestlist::sent_letter`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentLetter {
    /// The invitation.
    pub invitation: InvitationId,
    /// The number of its letter.
    pub letter: i64,
}

const PURPOSE: &str = "guestlist bounce";

/// The length of the truncated MAC, in bytes: 80 bits, the least that RFC 2104 section 5 allows. A
/// guess has to be mailed here, and a local part has at most 64 octets (RFC 5321 section 4.5.3.1.1).
const MAC_LENGTH: usize = 10;

/// The digits of base32 (RFC 4648 section 6) in lower case, because local parts are often
/// lower-cased on their way.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

const ID_DIGITS: usize = (128usize).div_ceil(5);
const MAC_DIGITS: usize = MAC_LENGTH * 8 / 5;

impl SentLetter {
    /// The length of an extension for a letter number of up to four digits, in octets: the local
    /// part of the address that gets extensions has at most 64 octets less this many.
    pub const EXTENSION_LENGTH: usize = "+..".len() + ID_DIGITS + 4 + MAC_DIGITS;

    /// Returns the extension, `+{invitation}.{letter}.{mac}`, that a key makes for the letter.
    fn extension(self, key: &Key, audience: &str) -> String {
        let mac = key.mac(&[
            PURPOSE.as_bytes(),
            audience.as_bytes(),
            key.id().as_bytes(),
            self.invitation.as_uuid().as_bytes(),
            &self.letter.to_be_bytes(),
        ]);
        let mut text = String::from("+");
        base32(&mut text, self.invitation.as_uuid().as_bytes());
        write!(text, ".{}.", self.letter).expect("a string can be written to");
        base32(&mut text, &mac[..MAC_LENGTH]);
        text
    }

    /// Parses the invitation and the letter of an extension without its `+`; nothing is verified
    /// yet.
    fn parse(extension: &str) -> Option<Self> {
        let mut parts = extension.split('.');
        let (id, letter, mac) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || id.len() != ID_DIGITS || mac.len() != MAC_DIGITS {
            return None;
        }
        // The last digit has two bits more than the id; the comparison with the genuine extension
        // refuses them.
        let mut bits: u128 = 0;
        for (place, digit) in id.bytes().enumerate() {
            let value = DIGITS.iter().position(|known| *known == digit)? as u128;
            bits = if place + 1 < ID_DIGITS {
                bits << 5 | value
            } else {
                bits << 3 | value >> 2
            };
        }
        Some(Self {
            invitation: Uuid::from_u128(bits).into(),
            letter: letter.parse().ok()?,
        })
    }
}

impl Guestlist {
    /// Returns the envelope sender of an invitation's letter: `address` with the extension
    /// `+{invitation}.{letter}.{mac}`. A bounce that is sent to it names its letter and cannot be
    /// forged without having got that letter.
    ///
    /// ```
    /// # use guestlist::{Error, Guestlist, Invitation};
    /// # fn example(guestlist: Guestlist, invitation: Invitation) -> Result<(), Error> {
    /// let bounces = "bounces@acme.example".parse()?;
    /// let sender = guestlist.envelope_sender(&bounces, invitation.id, invitation.letters)?;
    /// let letter = guestlist.sent_letter(sender.as_str()).expect("genuine");
    /// assert_eq!(letter.invitation, invitation.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoKey`]; [`Error::InvalidEmailAddress`] if the local part would be longer than 64
    /// octets: `address` has room for [`SentLetter::EXTENSION_LENGTH`] octets then.
    pub fn envelope_sender(
        &self,
        address: &EmailAddress,
        invitation: InvitationId,
        letter: i64,
    ) -> Result<EmailAddress, Error> {
        let key = self.key_ring().signing().ok_or(Error::NoKey)?;
        let extension = SentLetter { invitation, letter }.extension(key, self.audience());
        let (local, domain) = (address.local_part(), address.domain());
        Ok(format!("{local}{extension}@{domain}").parse()?)
    }

    /// Returns the letter that an address names, if it is an envelope sender made by
    /// [`envelope_sender`](Self::envelope_sender) with a key of the ring and the same audience. Letter
    /// case and the rest of the address do not matter.
    ///
    /// ```
    /// # use guestlist::Guestlist;
    /// # fn example(guestlist: Guestlist) {
    /// let forged = "bounces+afzvhfwabv6a5tgmzxgmzxgmzq.1.aaaaaaaaaaaaaaaa@acme.example";
    /// assert_eq!(guestlist.sent_letter(forged), None);
    /// # }
    /// ```
    pub fn sent_letter(&self, address: &str) -> Option<SentLetter> {
        let (local, _) = address.rsplit_once('@')?;
        let (_, extension) = local.rsplit_once('+')?;
        let extension = extension.to_ascii_lowercase();
        let letter = SentLetter::parse(&extension)?;
        let mut is_genuine = Choice::from(0);
        for key in self.key_ring().keys() {
            let genuine = letter.extension(key, self.audience());
            is_genuine |= genuine.as_bytes()[1..].ct_eq(extension.as_bytes());
        }
        bool::from(is_genuine).then_some(letter)
    }
}

/// Appends bytes in base32, without padding.
fn base32(text: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(bits);
        for place in 0..(group.len() * 8).div_ceil(5) {
            let digit = usize::try_from(bits >> (35 - 5 * place) & 31).expect("five bits");
            text.push(char::from(DIGITS[digit]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_gives_the_test_vectors_of_rfc_4648() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            let mut text = String::new();
            base32(&mut text, bytes.as_bytes());
            assert_eq!(text, expected);
        }
    }
}
