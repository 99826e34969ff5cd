//! The keys that sign invitation links.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

/// A list of keys: the first one signs, all of them verify.
///
/// Written as `id:base64`, separated by commas. Keep a retired key in the ring until the last
/// invitation it signed has expired. Only the worker and the host that accepts hold keys, so links
/// cannot be made from a leaked database. Clones share the keys, which are wiped from memory with
/// the last clone.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<Vec<Key>>);

/// A secret of 32 bytes and a short public id, which a token carries to name its key.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Key {
    id: String,
    secret: [u8; Self::LENGTH],
}

/// The reason why a text is not a key ring. It never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyRing {
    /// No key.
    #[error("the key ring is empty")]
    Empty,
    /// An entry is not `id:base64`.
    #[error("key {0} of the ring is not of the form id:base64")]
    Form(usize),
    /// An id is empty, too long or holds other characters than `a-z`, `0-9`, `-` and `_`.
    #[error("the id of key {0} is not 1 to 16 of a-z, 0-9, - and _")]
    Id(usize),
    /// A secret is not 32 bytes in base64.
    #[error("the secret of key {0} is not 32 bytes in base64")]
    Secret(usize),
    /// Two keys share an id.
    #[error("two keys of the ring are named {0}")]
    Duplicate(String),
}

impl Key {
    /// The length of a secret, in bytes: the output of SHA-256, as RFC 2104 section 3 advises.
    pub const LENGTH: usize = 32;

    /// The length of a MAC, in bytes: HMAC-SHA-256, RFC 2104.
    pub(crate) const MAC_LENGTH: usize = 32;

    /// The longest id, in bytes.
    pub const MAX_ID_LENGTH: usize = 16;

    /// Makes a key from the operating system's random numbers.
    pub fn generate() -> Self {
        let name: u32 = rand::random();
        Self {
            id: format!("k{name:08x}"),
            secret: rand::random(),
        }
    }

    /// Returns the public id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the key as `id:base64`: a secret, to be stored and never logged.
    pub fn expose(&self) -> String {
        format!("{}:{}", self.id, STANDARD.encode(self.secret))
    }

    /// Returns the MAC of fields. Each field is preceded by its length, so different fields never
    /// have the same bytes.
    pub(crate) fn mac(&self, fields: &[&[u8]]) -> [u8; Self::MAC_LENGTH] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }

    fn parse(number: usize, text: &str) -> Result<Self, InvalidKeyRing> {
        let (id, secret) = text.split_once(':').ok_or(InvalidKeyRing::Form(number))?;
        let is_allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !(1..=Self::MAX_ID_LENGTH).contains(&id.len()) || !id.bytes().all(is_allowed) {
            return Err(InvalidKeyRing::Id(number));
        }
        let secret = STANDARD
            .decode(secret)
            .map_err(|_| InvalidKeyRing::Secret(number))?;
        let secret = secret
            .try_into()
            .map_err(|_| InvalidKeyRing::Secret(number))?;
        Ok(Self {
            id: id.to_owned(),
            secret,
        })
    }
}

impl KeyRing {
    /// Makes a ring of one key.
    pub fn of(key: Key) -> Self {
        Self(Arc::new(vec![key]))
    }

    /// Returns the key that signs, if the ring has any.
    pub fn signing(&self) -> Option<&Key> {
        self.0.first()
    }

    /// Returns all keys, the one that signs first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Returns the key with that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl FromStr for KeyRing {
    type Err = InvalidKeyRing;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, entry) in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .enumerate()
        {
            let key = Key::parse(index + 1, entry)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(InvalidKeyRing::Duplicate(key.id.clone()));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            Err(InvalidKeyRing::Empty)
        } else {
            Ok(Self(Arc::new(keys)))
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}:…)", self.id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_reads_back_and_is_not_printed() {
        let key = Key::generate();
        let ring: KeyRing = key.expose().parse().expect("valid");
        assert_eq!(ring.signing().map(Key::id), Some(key.id()));
        assert!(!format!("{ring:?}").contains(&STANDARD.encode(key.secret)));
    }

    #[test]
    fn the_first_key_signs_and_every_key_is_found() {
        let (new, old) = (
            Key {
                id: "new".into(),
                secret: [1; 32],
            },
            Key {
                id: "old".into(),
                secret: [2; 32],
            },
        );
        let ring: KeyRing = format!("{}, {}", new.expose(), old.expose())
            .parse()
            .expect("valid");
        assert_eq!(ring.signing().map(Key::id), Some("new"));
        assert!(ring.get("old").is_some() && ring.get("other").is_none());
    }

    #[test]
    fn a_ring_with_a_mistake_says_which_key_without_repeating_it() {
        let good = Key::generate().expose();
        let cases = [
            (String::new(), InvalidKeyRing::Empty),
            ("secret".into(), InvalidKeyRing::Form(1)),
            (
                format!("{good},A:{}", STANDARD.encode([0; 32])),
                InvalidKeyRing::Id(2),
            ),
            (
                format!("{good},a:{}", STANDARD.encode([0; 31])),
                InvalidKeyRing::Secret(2),
            ),
            ("a:!".into(), InvalidKeyRing::Secret(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<KeyRing>().expect_err(&text), expected);
        }
        let twice = format!("{good},{good}");
        assert!(matches!(
            twice.parse::<KeyRing>(),
            Err(InvalidKeyRing::Duplicate(_))
        ));
    }
}
