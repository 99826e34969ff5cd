//! Memberships: the role of a user in an organization.

mod change_role;
mod end;
mod list;
mod suspend;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::acting::{ActingIn, Authority};
use crate::actor::Attribution;
use crate::batched_query::{BatchedQuery, Rows, Tag};
use crate::connection::{Connection, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::locale::Locale;
use crate::lock::{self, Lock};
use crate::name::Name;
use crate::outbox::{self, Task};
use crate::role::Role;
use crate::role_model::RoleModel;
use crate::session;
use crate::user::User;

/// The membership of a user in an organization. A user without one, or with a suspended one, has no
/// access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Membership {
    /// The organization.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// The user, under the host's id.
    #[sqlx(rename = "user_id")]
    pub user: UserId,
    /// The address they joined with.
    pub email: EmailAddress,
    /// The name shown to others.
    pub name: Option<Name>,
    /// The language of the letters.
    pub locale: Locale,
    /// The role.
    pub role: Role,
    /// The time of joining.
    pub joined_at: DateTime<Utc>,
    /// The time of suspension, if they are suspended.
    pub suspended_at: Option<DateTime<Utc>>,
}

pub(crate) const COLUMNS: &str =
    "organization_id, user_id, email, name, locale, role, joined_at, suspended_at";

/// The columns of a membership in a joined row, all NULL if there is none.
#[derive(FromRow)]
pub(crate) struct JoinedMembership {
    member_email: Option<String>,
    member_name: Option<Name>,
    member_locale: Option<Locale>,
    member_role: Option<Role>,
    member_joined_at: Option<DateTime<Utc>>,
    member_suspended_at: Option<DateTime<Utc>>,
}

pub(crate) const JOINED_COLUMNS: &str = "member.email AS member_email, member.name AS member_name, \
    member.locale AS member_locale, member.role AS member_role, member.joined_at AS member_joined_at, \
    member.suspended_at AS member_suspended_at";

impl JoinedMembership {
    /// Returns the membership of this user, suspended or not; `None` if the columns are NULL.
    pub(crate) fn of(
        self,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Option<Membership>, Error> {
        let (Some(email), Some(locale), Some(role), Some(joined_at)) = (
            self.member_email,
            self.member_locale,
            self.member_role,
            self.member_joined_at,
        ) else {
            return Ok(None);
        };
        Ok(Some(Membership {
            organization,
            user: user.clone(),
            email: email.parse()?,
            name: self.member_name,
            locale,
            role,
            joined_at,
            suspended_at: self.member_suspended_at,
        }))
    }
}

impl Guestlist {
    /// Reads a member, suspended or not, for a page that manages members. It does not authorize;
    /// use [`access`](Self::access) for that.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let member = guestlist.find_member(&mut *connection, acme, &bob).await?;
    /// let is_suspended = member.is_some_and(|member| member.is_suspended());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn find_member(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Option<Membership>, Error> {
        find(&mut connection.lend(), organization, user).await
    }

    /// Returns the only holder of the owner role that is not suspended, for a page that explains
    /// why they cannot be removed, be demoted or leave before a transfer. `None` if several hold
    /// it. The operations check it themselves.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let last_owner = guestlist.last_owner(&mut *connection, acme).await?;
    /// let can_be_removed = last_owner != Some(bob);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn last_owner(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
    ) -> Result<Option<UserId>, Error> {
        let statement = sql("SELECT user_id FROM guestlist_memberships
             WHERE organization_id = $1 AND role = $2 AND suspended_at IS NULL LIMIT 2");
        let statement = statement
            .bind(organization.as_uuid())
            .bind(self.role_model().keeps().as_str());
        let holders: Vec<(UserId,)> = connection.lend().fetch_all(statement).await?;
        Ok(match holders.as_slice() {
            [(only,)] => Some(only.clone()),
            _ => None,
        })
    }
}

impl ActingIn<'_> {
    /// Locks the organization, then reads the authority of the actor and the member `user`.
    async fn lock_member(
        &self,
        connection: &mut Connection<'_>,
        user: &UserId,
    ) -> Result<(Lock, Authority, Membership), Error> {
        let now = self.acting.guestlist.now();
        let lock = lock::organization(connection, self.organization, now).await?;
        let authority = self.acting.authority(connection, self.organization).await?;
        let member = find(connection, self.organization, user).await?;
        Ok((lock, authority, member.ok_or(Error::NotFound)?))
    }
}

impl Membership {
    /// Returns `true` while the member has no access.
    pub fn is_suspended(&self) -> bool {
        self.suspended_at.is_some()
    }

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
            suspended_at: None,
        }
    }

    /// Returns the fields that events store.
    pub(crate) fn facts(&self) -> Json {
        json!({
            "user": self.user,
            "email": self.email,
            "name": self.name,
            "locale": self.locale,
            "role": self.role,
            "suspended_at": self.suspended_at,
        })
    }

    /// Inserts the membership, unless the user already has one.
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

    /// Changes the role. Skips authorization: the caller must have checked it.
    pub(crate) async fn become_role(
        self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        attribution: Attribution,
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
            .by(attribution)
            .before(self.facts())
            .after(after.facts())
            .record(connection)
            .await?;
        Ok(after)
    }

    /// Deletes the membership, ends its sessions and queues their purge. Skips authorization: the
    /// caller must have checked it.
    pub(crate) async fn end(
        &self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        attribution: Attribution,
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
        self.end_sessions(connection, now).await?;
        Event::new(now, self.organization, kind, &self.user)
            .by(attribution)
            .before(self.facts())
            .record(connection)
            .await
    }

    /// Ends the member's sessions of this organization and queues their purge.
    async fn end_sessions(
        &self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        session::end(connection, now, self.organization, &self.user).await?;
        let purge = Task::PurgeSessions {
            user: Some(self.user.clone()),
        };
        outbox::push(connection, now, &[(self.organization, purge)]).await
    }
}

/// Reads a user's membership, suspended or not.
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

/// Adds the read of the members that joined with one of these addresses, suspended or not.
pub(crate) fn add_joined_with<'a>(
    query: &mut BatchedQuery<'a>,
    organization: OrganizationId,
    email_keys: &'a [String],
) {
    let statement = sql(
        "SELECT {tag}, email_key, user_id, NULL, NULL FROM guestlist_memberships
         WHERE organization_id = $1 AND email_key IN ({})",
    );
    let statement = statement.bind(organization.as_uuid()).bind_list(email_keys);
    query.add(Tag::Member, statement);
}

/// Returns the members that [`add_joined_with`] read, by address.
pub(crate) fn members_in(rows: &Rows) -> Result<HashMap<String, UserId>, Error> {
    let members = rows
        .of(Tag::Member)
        .filter_map(|row| row.name.as_ref().zip(row.value.as_ref()));
    members
        .map(|(email_key, user)| Ok((email_key.clone(), user.parse()?)))
        .collect()
}

/// Refuses the change if `leaving`, which is about to lose the owner role or its access, is the
/// only holder of the role that is not suspended. The one check on the last owner.
async fn keep_an_owner(
    connection: &mut Connection<'_>,
    lock: &Lock,
    role_model: &RoleModel,
    leaving: &Membership,
) -> Result<(), Error> {
    if is_last_owner(connection, lock, role_model, leaving).await? {
        return Err(Error::LastOwner {
            role: role_model.keeps().clone(),
            organizations: vec![lock.organization()],
        });
    }
    Ok(())
}

pub(crate) async fn is_last_owner(
    connection: &mut Connection<'_>,
    lock: &Lock,
    role_model: &RoleModel,
    member: &Membership,
) -> Result<bool, Error> {
    let role = role_model.keeps();
    if member.role != *role {
        return Ok(false);
    }
    let statement = sql("SELECT count(*) FROM guestlist_memberships
         WHERE organization_id = $1 AND role = $2 AND user_id <> $3 AND suspended_at IS NULL");
    let statement = statement
        .bind(lock.organization().as_uuid())
        .bind(role.as_str());
    let others = connection
        .fetch_count(statement.bind(member.user.as_str()))
        .await?;
    Ok(others == 0)
}
