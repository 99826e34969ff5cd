//! The secret part of an invitation link.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::{Choice, ConstantTimeEq};

use crate::id::{InvitationId, OrganizationId};
use crate::key_ring::{Key, KeyRing};

/// The token of an invitation: `version | key id | invitation id | MAC` in base64url (RFC 4648
/// section 5, without padding).
///
/// The MAC (HMAC-SHA-256, RFC 2104) covers the grant of the invitation and a nonce stored with it,
/// so neither the database nor a key alone is enough to make a token. It is computed when needed
/// and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The contents that a MAC covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) audience: &'a str,
    pub(crate) invitation: InvitationId,
    pub(crate) organization: OrganizationId,
    pub(crate) canonical_email: &'a str,
    pub(crate) role: &'a str,
    pub(crate) nonce: &'a [u8],
}

/// A parsed token; nothing in it is verified yet.
#[derive(Debug)]
pub(crate) struct Presented {
    key_id: String,
    pub(crate) invitation: InvitationId,
    mac: [u8; Key::MAC_LENGTH],
}

const VERSION: u8 = 1;
const PURPOSE: &str = "guestlist invitation";
const ID_LENGTH: usize = 16;

/// The maximum length of a token; longer text is refused without parsing.
const MAX_LENGTH: usize = (2 + Key::MAX_ID_LENGTH + ID_LENGTH + Key::MAC_LENGTH).div_ceil(3) * 4;

impl Token {
    /// Returns the token as it appears in a link: a secret, to be mailed or shown and never logged.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn sign(key: &Key, claims: Claims<'_>) -> Self {
        let mut bytes = vec![
            VERSION,
            u8::try_from(key.id().len()).expect("an id has at most 16 bytes"),
        ];
        bytes.extend(key.id().as_bytes());
        bytes.extend(claims.invitation.as_uuid().as_bytes());
        bytes.extend(claims.mac(key, PURPOSE, &[]));
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Presented {
    /// Parses a token; `None` for a text that cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[version, id_length], rest) = bytes.split_first_chunk::<2>()?;
        let (key_id, rest) = rest.split_at_checked(id_length.into())?;
        let (invitation, mac) = rest.split_at_checked(ID_LENGTH)?;
        if version != VERSION {
            return None;
        }
        Some(Self {
            key_id: String::from_utf8(key_id.to_vec()).ok()?,
            invitation: uuid::Uuid::from_slice(invitation).ok()?.into(),
            mac: mac.try_into().ok()?,
        })
    }

    /// Returns `true` if the key it names signed these claims, compared in constant time. A key
    /// that is not in the ring takes as long to check as one that is.
    pub(crate) fn verify(&self, ring: &KeyRing, claims: Claims<'_>) -> bool {
        let named = ring.get(&self.key_id);
        let Some(key) = named.or_else(|| ring.signing()) else {
            return false;
        };
        let matches: Choice = claims.mac(key, PURPOSE, &[]).ct_eq(&self.mac);
        (matches & Choice::from(u8::from(named.is_some()))).into()
    }
}

impl Claims<'_> {
    /// Computes the MAC of the claims for one purpose, with the fields in `more`.
    pub(crate) fn mac(&self, key: &Key, purpose: &str, more: &[&[u8]]) -> [u8; Key::MAC_LENGTH] {
        let (invitation, organization) = (self.invitation.as_uuid(), self.organization.as_uuid());
        let mut fields: Vec<&[u8]> = vec![
            purpose.as_bytes(),
            self.audience.as_bytes(),
            key.id().as_bytes(),
            invitation.as_bytes(),
            organization.as_bytes(),
            self.canonical_email.as_bytes(),
            self.role.as_bytes(),
            self.nonce,
        ];
        fields.extend(more);
        key.mac(&fields)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    const NONCE: &[u8] = &[7; 16];

    fn claims() -> Claims<'static> {
        Claims {
            audience: "app",
            invitation: InvitationId::new(Utc::now()),
            organization: OrganizationId::new(Utc::now()),
            canonical_email: "a@b.co",
            role: "admin",
            nonce: NONCE,
        }
    }

    fn holds(ring: &KeyRing, token: &str, claims: Claims<'_>) -> bool {
        Presented::parse(token).is_some_and(|presented| presented.verify(ring, claims))
    }

    #[test]
    fn a_token_holds_for_what_it_was_signed_for_and_nothing_else() {
        let (key, claims) = (Key::generate(), claims());
        let ring = KeyRing::of(key.clone());
        let token = Token::sign(&key, claims);
        assert!(holds(&ring, token.expose(), claims));
        let others = [
            Claims {
                audience: "other",
                ..claims
            },
            Claims {
                invitation: InvitationId::new(Utc::now()),
                ..claims
            },
            Claims {
                organization: OrganizationId::new(Utc::now()),
                ..claims
            },
            Claims {
                canonical_email: "c@b.co",
                ..claims
            },
            Claims {
                role: "owner",
                ..claims
            },
        ];
        for other in others {
            assert!(!holds(&ring, token.expose(), other), "{other:?}");
        }
        let other_nonce = Claims {
            nonce: &[8; 16],
            ..claims
        };
        assert!(!holds(&ring, token.expose(), other_nonce));
        assert!(!holds(
            &KeyRing::of(Key::generate()),
            token.expose(),
            claims
        ));
        assert!(!holds(&KeyRing::default(), token.expose(), claims));
    }

    #[test]
    fn the_bytes_of_a_token_stay_what_they_are_from_version_to_version() {
        let ring: KeyRing = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
            .parse()
            .expect("valid");
        let claims = Claims {
            invitation: uuid::Uuid::from_u128(1).into(),
            organization: uuid::Uuid::from_u128(2).into(),
            ..claims()
        };
        let token = Token::sign(ring.signing().expect("a key"), claims);
        assert_eq!(
            token.expose(),
            "AQJrMQAAAAAAAAAAAAAAAAAAAAHNyYEIeWBt6Hb9NfWF71buD-k1pPiDNL0-fgJ9a7tSbQ"
        );
    }

    #[test]
    fn a_key_of_the_same_name_with_another_secret_does_not_verify() {
        let (key, claims) = (Key::generate(), claims());
        let token = Token::sign(&key, claims);
        let renamed = Key::generate()
            .expose()
            .replace(Key::generate().id(), key.id());
        let impostor: KeyRing =
            format!("{}:{}", key.id(), renamed.split_once(':').expect("a key").1)
                .parse()
                .expect("valid");
        assert!(!holds(&impostor, token.expose(), claims));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let (key, claims) = (Key::generate(), claims());
        let ring = KeyRing::of(key.clone());
        let bytes = URL_SAFE_NO_PAD
            .decode(Token::sign(&key, claims).expose())
            .expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let token = URL_SAFE_NO_PAD.encode(flipped);
            let opens_same = Presented::parse(&token).is_some_and(|presented| {
                presented.invitation == claims.invitation && presented.verify(&ring, claims)
            });
            assert!(!opens_same, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(
                !holds(&ring, &URL_SAFE_NO_PAD.encode(&bytes[..length]), claims),
                "length {length}"
            );
        }
    }

    #[test]
    fn padded_longer_and_foreign_text_is_refused() {
        let (key, claims) = (Key::generate(), claims());
        let ring = KeyRing::of(key.clone());
        let token = Token::sign(&key, claims);
        let padded = format!("{}=", token.expose());
        let longer = format!("{}AAAA", token.expose());
        for text in [
            "",
            "A",
            "ümlaut",
            "{token}",
            &padded,
            &longer,
            &"A".repeat(1 << 20),
        ] {
            assert!(!holds(&ring, text, claims));
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::sign(&Key::generate(), claims());
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
