//! Accounts of people that can sign in.

use chrono::{DateTime, Utc};
use guestlist::{EmailAddress, Lend, Name, User, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::database::on_driver;

/// A person that can sign in. The address is always verified: an account is created only through a link sent to
/// that address. An invitation link that was shown to another member does not create an account.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Account {
    pub(crate) id: UserId,
    #[sqlx(try_from = "String")]
    pub(crate) email: EmailAddress,
    pub(crate) name: Name,
    password: String,
    pub(crate) created_at: DateTime<Utc>,
}

impl Account {
    /// Creates an account, unless the address has one already.
    pub(crate) async fn create(
        connection: impl Lend<'_>,
        email: EmailAddress,
        name: Name,
        password_hash: String,
    ) -> Result<Option<Self>, guestlist::Error> {
        let account = Self {
            id: Uuid::now_v7().to_string().parse()?,
            email,
            name,
            password: password_hash,
            created_at: Utc::now(),
        };
        const INSERT: &str =
            "INSERT INTO team_accounts (id, email, email_key, name, password, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email_key) DO NOTHING";
        let created = on_driver!(connection, driver => {
            let query = sqlx::query(INSERT)
                .bind(account.id.as_str())
                .bind(account.email.as_str())
                .bind(account.email.canonical())
                .bind(account.name.as_str())
                .bind(&account.password)
                .bind(account.created_at);
            query.execute(driver).await?.rows_affected()
        });
        Ok((created == 1).then_some(account))
    }

    /// Finds an account by its id.
    pub(crate) async fn find(
        connection: impl Lend<'_>,
        id: &UserId,
    ) -> Result<Option<Self>, guestlist::Error> {
        const FIND: &str =
            "SELECT id, email, name, password, created_at FROM team_accounts WHERE id = $1";
        Ok(on_driver!(connection, driver => {
            sqlx::query_as(FIND).bind(id.as_str()).fetch_optional(driver).await?
        }))
    }

    /// Finds an account by its e-mail address, ignoring differences in spelling such as upper case.
    pub(crate) async fn with_email(
        connection: impl Lend<'_>,
        email: &EmailAddress,
    ) -> Result<Option<Self>, guestlist::Error> {
        const FIND: &str =
            "SELECT id, email, name, password, created_at FROM team_accounts WHERE email_key = $1";
        Ok(on_driver!(connection, driver => {
            sqlx::query_as(FIND).bind(email.canonical()).fetch_optional(driver).await?
        }))
    }

    pub(crate) fn password_hash(&self) -> &str {
        &self.password
    }

    /// The account as Guestlist knows it.
    pub(crate) fn user(&self) -> User {
        User::new(self.id.clone(), self.email.clone()).named(self.name.clone())
    }
}
