//! Memberships: who belongs to what, as what.

mod change_role;
mod end;
mod list;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::connection::{Connection, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::id::{OrganizationId, UserId};
use crate::locale::Locale;
use crate::lock;
use crate::name::Name;
use crate::organizations::Organizations;
use crate::outbox::{self, Task};
use crate::role::Role;
use crate::role_model::RoleModel;
use crate::session;
use crate::user::User;

/// The relation between a user and an organization. Whoever has none has no access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Membership {
    /// Where.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// Who, in the host's terms.
    #[sqlx(rename = "user_id")]
    pub user: UserId,
    /// The address they joined with.
    #[sqlx(try_from = "String")]
    pub email: EmailAddress,
    /// What others see.
    pub name: Option<Name>,
    /// In which language they are written to.
    pub locale: Locale,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

const COLUMNS: &str = "organization_id, user_id, email, name, locale, role, joined_at";

impl Organizations {
    /// A user's membership, read now: with [`allows`](Self::allows) the host's authorization check.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn membership(
        &self,
        connection: impl Into<Connection<'_>>,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Option<Membership>, Error> {
        find(&mut connection.into(), organization, user).await
    }

    /// Whether `user` is a member whose role carries `permission`, as of now.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn allows(
        &self,
        connection: impl Into<Connection<'_>>,
        organization: OrganizationId,
        user: &UserId,
        permission: &str,
    ) -> Result<bool, Error> {
        let membership = self.membership(connection, organization, user).await?;
        Ok(membership
            .is_some_and(|membership| self.role_model().allows(&membership.role, permission)))
    }

    /// Takes the organization's lock and reads who acts and on whom.
    async fn lock_pair(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<(Membership, Membership), Error> {
        connection.require_transaction()?;
        lock::organization(connection, organization, self.now()).await?;
        let actor = require(connection, organization, actor).await?;
        let member = if actor.user == *user {
            actor.clone()
        } else {
            require(connection, organization, user).await?
        };
        Ok((actor, member))
    }
}

impl Membership {
    pub(crate) fn of(
        user: &User,
        organization: OrganizationId,
        role: Role,
        joined_at: DateTime<Utc>,
    ) -> Self {
        let User {
            id,
            email,
            name,
            locale,
            ..
        } = user.clone();
        Self {
            organization,
            user: id,
            email,
            name,
            locale: locale.unwrap_or_default(),
            role,
            joined_at,
        }
    }

    /// What an event keeps of it.
    pub(crate) fn facts(&self) -> Json {
        json!({ "user": self.user, "email": self.email, "name": self.name, "locale": self.locale, "role": self.role })
    }

    /// Writes the membership, unless the user has one already.
    pub(crate) async fn insert(&self, connection: &mut Connection<'_>) -> Result<bool, Error> {
        let statement = sql("INSERT INTO guestlist_memberships
                 (organization_id, user_id, email, email_key, name, locale, role, joined_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING");
        let email_key = self.email.canonical();
        let statement = statement
            .bind(self.organization.as_uuid())
            .bind(self.user.as_str())
            .bind(self.email.as_str())
            .bind(email_key.as_str())
            .bind(self.name.as_ref().map(Name::as_str))
            .bind(self.locale.as_str())
            .bind(self.role.as_str())
            .bind(self.joined_at);
        Ok(connection.execute(statement).await? == 1)
    }

    /// Changes the role without asking; who asks has checked.
    pub(crate) async fn become_role(
        self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        actor: &UserId,
        role: &Role,
        kind: EventKind,
    ) -> Result<Self, Error> {
        let statement = sql(
            "UPDATE guestlist_memberships SET role = $3 WHERE organization_id = $1 AND user_id = $2",
        );
        let statement = statement
            .bind(self.organization.as_uuid())
            .bind(self.user.as_str())
            .bind(role.as_str());
        connection.execute(statement).await?;
        let after = Self {
            role: role.clone(),
            ..self.clone()
        };
        Event::new(now, self.organization, kind, &self.user)
            .by(actor)
            .before(self.facts())
            .after(after.facts())
            .record(connection)
            .await?;
        Ok(after)
    }

    /// Deletes the membership, ends its sessions and promises their purge.
    async fn end(
        self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        actor: &UserId,
        kind: EventKind,
    ) -> Result<(), Error> {
        let statement =
            sql("DELETE FROM guestlist_memberships WHERE organization_id = $1 AND user_id = $2");
        connection
            .execute(
                statement
                    .bind(self.organization.as_uuid())
                    .bind(self.user.as_str()),
            )
            .await?;
        session::end(connection, now, self.organization, &self.user).await?;
        let purge = Task::PurgeSessions {
            user: Some(self.user.clone()),
        };
        outbox::push(connection, now, self.organization, &purge).await?;
        Event::new(now, self.organization, kind, &self.user)
            .by(actor)
            .before(self.facts())
            .record(connection)
            .await
    }
}

pub(crate) async fn find(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Option<Membership>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_memberships WHERE organization_id = $1 AND user_id = $2"
    );
    Ok(connection
        .fetch_optional(sql(FIND).bind(organization.as_uuid()).bind(user.as_str()))
        .await?)
}

/// The membership, or the answer an unknown id gets.
pub(crate) async fn require(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Membership, Error> {
    find(connection, organization, user)
        .await?
        .ok_or(Error::NotFound)
}

/// The member who joined with that address.
pub(crate) async fn find_by_email(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    email: &EmailAddress,
) -> Result<Option<Membership>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_memberships WHERE organization_id = $1 AND email_key = $2 LIMIT 1"
    );
    let email_key = email.canonical();
    Ok(connection
        .fetch_optional(
            sql(FIND)
                .bind(organization.as_uuid())
                .bind(email_key.as_str()),
        )
        .await?)
}

/// The one check on the last owner: refuses when `leaving`, who is about to lose the kept role,
/// is its only holder. The organization's lock is held.
async fn keep_an_owner(
    connection: &mut Connection<'_>,
    role_model: &RoleModel,
    leaving: &Membership,
) -> Result<(), Error> {
    let role = role_model.keeps();
    if leaving.role != *role {
        return Ok(());
    }
    let statement = sql("SELECT count(*) FROM guestlist_memberships
                         WHERE organization_id = $1 AND role = $2 AND user_id <> $3");
    let statement = statement
        .bind(leaving.organization.as_uuid())
        .bind(role.as_str());
    match connection
        .fetch_count(statement.bind(leaving.user.as_str()))
        .await?
    {
        0 => Err(Error::LastOwner { role: role.clone() }),
        _ => Ok(()),
    }
}
