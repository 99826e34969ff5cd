//! A user of the host, as the host vouches for them.

use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::id::UserId;
use crate::locale::Locale;
use crate::name::Name;

/// Who becomes a member: the host's own user, with the address the host verified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct User {
    /// The host's id of the user.
    pub id: UserId,
    /// Their address.
    pub email: EmailAddress,
    /// Whether the host has proof that the address is theirs.
    pub email_verified: bool,
    /// What others see.
    pub name: Option<Name>,
    /// In which language they are written to; by default the one they were invited in.
    pub locale: Option<Locale>,
}

impl User {
    /// A user whose address the host verified: a letter sent there was answered, or an identity
    /// provider vouches for it.
    pub fn new(id: UserId, verified_email: EmailAddress) -> Self {
        Self {
            id,
            email: verified_email,
            email_verified: true,
            name: None,
            locale: None,
        }
    }

    /// Sets what others see.
    pub fn named(self, name: Name) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Sets in which language they are written to.
    pub fn speaking(self, locale: Locale) -> Self {
        Self {
            locale: Some(locale),
            ..self
        }
    }

    /// Says that the address was never verified: it then opens no invitation.
    pub fn unverified(self) -> Self {
        Self {
            email_verified: false,
            ..self
        }
    }

    pub(crate) fn require_verified(&self) -> Result<(), Error> {
        if self.email_verified {
            Ok(())
        } else {
            Err(Error::UnverifiedEmail)
        }
    }
}
