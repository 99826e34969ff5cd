//! The application's own users, and their form for Guestlist.

use guestlist::{Error, User, UserId};
use sqlx::FromRow;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    email_verified BOOLEAN NOT NULL,
    name TEXT NOT NULL)";

#[derive(Clone, FromRow)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) name: String,
}

impl Account {
    /// Returns your id as text. It must never change and never be reused for another user.
    pub(crate) fn user_id(&self) -> Result<UserId, Error> {
        Ok(self.id.to_string().parse()?)
    }

    /// Returns the user for Guestlist: the application vouches that the account has this address, and says whether the
    /// address is verified.
    pub(crate) fn user(&self) -> Result<User, Error> {
        let mut user = User::new(self.user_id()?, self.email.parse()?);
        if let Ok(name) = self.name.parse() {
            user = user.named(name);
        }
        if !self.email_verified {
            user = user.unverified();
        }
        Ok(user)
    }
}
