//! Memberships: who belongs to what, as what.

mod change_role;
mod end;
mod list;
mod suspend;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::batched_query::Facts;
use crate::connection::{Connection, Statement, sql};
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

/// The relation between a user and an organization. Whoever has none, or a suspended one, has no
/// access.
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
    /// Since when they are kept out, if they are.
    pub suspended_at: Option<DateTime<Utc>>,
    /// What the role permits: set on whatever leaves the library.
    #[sqlx(skip)]
    #[serde(skip)]
    role_model: Option<RoleModel>,
}

pub(crate) const COLUMNS: &str =
    "organization_id, user_id, email, name, locale, role, joined_at, suspended_at";

/// A membership's columns beside those of what speaks of it, none of them if it is not there.
#[derive(FromRow)]
pub(crate) struct Beside {
    member_email: Option<String>,
    member_name: Option<Name>,
    member_locale: Option<Locale>,
    member_role: Option<Role>,
    member_joined_at: Option<DateTime<Utc>>,
    member_suspended_at: Option<DateTime<Utc>>,
}

pub(crate) const BESIDE: &str = "member.email AS member_email, member.name AS member_name, \
    member.locale AS member_locale, member.role AS member_role, member.joined_at AS member_joined_at, \
    member.suspended_at AS member_suspended_at";

impl Beside {
    /// The membership of this user, suspended or not.
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
            role_model: None,
        }))
    }
}

impl Guestlist {
    /// A user's membership, read now: the host's authorization check, of which
    /// [`Membership::allows`] asks the rest. A suspended member has no access, so they get `None`
    /// as a stranger does.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn membership(
        &self,
        connection: impl Into<Connection<'_>>,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Option<Membership>, Error> {
        let member = self.member(connection, organization, user).await?;
        Ok(member.filter(|member| !member.is_suspended()))
    }

    /// A member, suspended or not, for those who manage members: no authorization check, which
    /// [`membership`](Self::membership) is.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn member(
        &self,
        connection: impl Into<Connection<'_>>,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Option<Membership>, Error> {
        let found = find(&mut connection.into(), organization, user).await?;
        Ok(found.map(|member| member.under(self.role_model())))
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
        Ok(membership.is_some_and(|membership| membership.allows(permission)))
    }

    /// The only holder of the role that keeps one who is not suspended: nobody can remove or demote
    /// them, nor can they leave, before a transfer. `None` where several hold it. For a page that says
    /// so beforehand; what decides is the operation itself.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn last_owner(
        &self,
        connection: impl Into<Connection<'_>>,
        organization: OrganizationId,
    ) -> Result<Option<UserId>, Error> {
        let statement = sql("SELECT user_id FROM guestlist_memberships
             WHERE organization_id = $1 AND role = $2 AND suspended_at IS NULL LIMIT 2");
        let statement = statement
            .bind(organization.as_uuid())
            .bind(self.role_model().keeps().as_str());
        let holders: Vec<(UserId,)> = connection.into().fetch_all(statement).await?;
        Ok(match holders.as_slice() {
            [(only,)] => Some(only.clone()),
            _ => None,
        })
    }

    /// Takes the organization's lock and reads who acts and on whom.
    async fn lock_pair(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<(Lock, Membership, Membership), Error> {
        let lock = lock::organization(connection, organization, self.now()).await?;
        let actor = require(connection, organization, actor).await?;
        let member = if actor.user == *user {
            actor.clone()
        } else {
            find(connection, organization, user)
                .await?
                .ok_or(Error::NotFound)?
        };
        Ok((
            lock,
            actor.under(self.role_model()),
            member.under(self.role_model()),
        ))
    }
}

impl Membership {
    /// Whether the role carries `permission`; no while the member is suspended.
    pub fn allows(&self, permission: &str) -> bool {
        !self.is_suspended()
            && self
                .role_model
                .as_ref()
                .is_some_and(|model| model.allows(&self.role, permission))
    }

    /// Whether the member is kept out.
    pub fn is_suspended(&self) -> bool {
        self.suspended_at.is_some()
    }

    /// The same membership, with what its role permits.
    pub(crate) fn under(self, role_model: &RoleModel) -> Self {
        Self {
            role_model: Some(role_model.clone()),
            ..self
        }
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
            role_model: None,
        }
    }

    /// What an event keeps of it.
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

    /// Deletes the membership and ends its sessions without asking; who asks has checked.
    pub(crate) async fn end(
        &self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        actor: Option<&UserId>,
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
            .by(actor)
            .before(self.facts())
            .record(connection)
            .await
    }

    /// Ends the member's sessions of this organization and promises their purge.
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

/// A user's membership, suspended or not.
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

/// The membership of who acts, or the answer an unknown id gets: a suspended member acts no more
/// than a stranger.
pub(crate) async fn require(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Membership, Error> {
    find(connection, organization, user)
        .await?
        .filter(|membership| !membership.is_suspended())
        .ok_or(Error::NotFound)
}

/// Asks for the role of who acts; a suspended member has none, as a stranger has.
pub(crate) fn acting<'a>(organization: OrganizationId, actor: &'a UserId) -> Statement<'a> {
    let statement = sql(
        "SELECT 'actor', NULL, role, NULL, NULL FROM guestlist_memberships
         WHERE organization_id = $1 AND user_id = $2 AND suspended_at IS NULL",
    );
    statement.bind(organization.as_uuid()).bind(actor.as_str())
}

/// The role of who acts, or the answer an unknown id gets.
pub(crate) fn actor_in(facts: &Facts) -> Result<Role, Error> {
    let role = facts.about("actor").find_map(|fact| fact.value.as_deref());
    Ok(role.ok_or(Error::NotFound)?.parse()?)
}

/// Asks for the members who joined with one of these addresses, suspended or not.
pub(crate) fn joined_with<'a>(
    organization: OrganizationId,
    email_keys: &'a [String],
) -> Statement<'a> {
    let statement = sql(
        "SELECT 'member', email_key, user_id, NULL, NULL FROM guestlist_memberships
         WHERE organization_id = $1 AND email_key IN ({})",
    );
    statement.bind(organization.as_uuid()).bind_list(email_keys)
}

/// Those members, by the address.
pub(crate) fn members_in(facts: &Facts) -> Result<HashMap<String, UserId>, Error> {
    let members = facts
        .about("member")
        .filter_map(|fact| fact.name.as_ref().zip(fact.value.as_ref()));
    members
        .map(|(email_key, user)| Ok((email_key.clone(), user.parse()?)))
        .collect()
}

/// The one check on the last owner: refuses when `leaving`, who is about to lose the kept role or
/// their access, is the only one who holds the role and is not suspended.
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
