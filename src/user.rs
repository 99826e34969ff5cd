//! A user of the host.

use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::id::UserId;
use crate::locale::Locale;
use crate::name::Name;

/// A user of the host, as the host knows them, with an address the host verified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct User {
    /// The host's id of the user.
    pub id: UserId,
    /// The e-mail address.
    pub email: EmailAddress,
    /// `true` if the host has proof that the address belongs to the user.
    pub email_verified: bool,
    /// The name shown to others.
    pub name: Option<Name>,
    /// The language of the letters; by default the language of the invitation.
    pub locale: Option<Locale>,
}

impl User {
    /// Makes a user with a verified address: the user answered a letter sent there, or an identity
    /// provider confirmed it.
    pub fn new(id: UserId, verified_email: EmailAddress) -> Self {
        Self {
            id,
            email: verified_email,
            email_verified: true,
            name: None,
            locale: None,
        }
    }

    /// Sets the name shown to others.
    pub fn named(self, name: Name) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Sets the language of the letters.
    pub fn speaking(self, locale: Locale) -> Self {
        Self {
            locale: Some(locale),
            ..self
        }
    }

    /// Marks the address as not verified: it then opens no invitation.
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
