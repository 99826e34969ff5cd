//! The name of a role.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a role: 1 to 64 of `a-z`, `0-9`, `-` and `_`. The role model defines its rights.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct Role(String);

/// The text is not a valid name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role's name is 1 to 64 of a-z, 0-9, - and _")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRole)
        }
    }
}

crate::text::text!(printed Role, InvalidRole);
