//! The seal on an invitation's changed role.

use subtle::ConstantTimeEq;

use crate::key_ring::{Key, KeyRing};
use crate::role::Role;
use crate::token::Claims;

/// `key id length | key id | MAC` over the claims of a link and the role it leads to now.
///
/// A link names the role it was made for and keeps working after the invitation's role is changed.
/// The seal proves that the library changed the role; an edit in the database, which holds no key,
/// has no valid seal. A seal cannot be used as a token, because its MAC has another purpose.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Seal(Vec<u8>);

const PURPOSE: &str = "guestlist role";

impl Seal {
    /// Seals that the link of `claims` leads to `role`.
    pub(crate) fn of(key: &Key, claims: Claims<'_>, role: &Role) -> Self {
        let id_length = u8::try_from(key.id().len()).expect("an id has at most 16 bytes");
        let mut bytes = vec![id_length];
        bytes.extend(key.id().as_bytes());
        bytes.extend(claims.mac(key, PURPOSE, &[role.as_str().as_bytes()]));
        Self(bytes)
    }

    /// Returns `true` if a key of the ring sealed that the link of `claims` leads to `role`.
    pub(crate) fn holds(&self, ring: &KeyRing, claims: Claims<'_>, role: &Role) -> bool {
        let Some((id_length, rest)) = self.0.split_first() else {
            return false;
        };
        let Some((id, mac)) = rest.split_at_checked((*id_length).into()) else {
            return false;
        };
        let key = std::str::from_utf8(id).ok().and_then(|id| ring.get(id));
        key.is_some_and(|key| {
            let expected = claims.mac(key, PURPOSE, &[role.as_str().as_bytes()]);
            expected.as_slice().ct_eq(mac).into()
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
