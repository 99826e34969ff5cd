//! Organizations.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use crate::acting::ActingIn;
use crate::actor::Actor;
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::OrganizationId;
use crate::lock;
use crate::membership::Membership;
use crate::name::Name;
use crate::outbox::{self, Task};
use crate::page::{Page, Paging};
use crate::session;
use crate::user::User;

/// A team, a workspace or an account that people are invited to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Organization {
    /// The id.
    pub id: OrganizationId,
    /// The name shown to people.
    pub name: Name,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    pub(crate) seats: Option<i64>,
}

const COLUMNS: &str = "id, name, created_at, seats";

/// The columns of an organization in a joined row, all NULL if there is none.
#[derive(FromRow)]
pub(crate) struct JoinedOrganization {
    organization_name: Option<Name>,
    organization_created_at: Option<DateTime<Utc>>,
    organization_seats: Option<i64>,
}

pub(crate) const JOINED_COLUMNS: &str = "organization.name AS organization_name, \
    organization.created_at AS organization_created_at, organization.seats AS organization_seats";

impl JoinedOrganization {
    /// Returns the organization with this id; `None` if the columns are NULL.
    pub(crate) fn of(self, id: OrganizationId) -> Option<Organization> {
        Some(Organization {
            id,
            name: self.organization_name?,
            created_at: self.organization_created_at?,
            seats: self.organization_seats,
        })
    }
}

impl Organization {
    /// Returns the number of seats the host gave it; `None` if the configured number applies.
    pub fn seats(&self) -> Option<u32> {
        self.seats.and_then(|seats| seats.try_into().ok())
    }
}

impl Guestlist {
    /// Creates an organization with `owner` as its first member, in the owner role.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, User};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
    /// let olivia = User::new("olivia".parse()?, "olivia@acme.example".parse()?);
    /// let acme = guestlist.create(&mut *tx, "Acme".parse()?, &olivia).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::UnverifiedEmail`] if the owner's address is not verified, [`Error::Database`].
    pub async fn create(
        &self,
        connection: impl Lend<'_>,
        name: Name,
        owner: &User,
    ) -> Result<Organization, Error> {
        let mut connection = connection.lend();
        connection.require_transaction()?;
        owner.require_verified()?;
        let now = self.now();
        let organization = Organization {
            id: OrganizationId::new(now),
            name,
            created_at: now,
            seats: None,
        };
        let statement = sql(
            "INSERT INTO guestlist_organizations (id, name, created_at, updated_at)
                             VALUES ($1, $2, $3, $3)",
        );
        let statement = statement
            .bind(organization.id.as_uuid())
            .bind(organization.name.as_str());
        connection.execute(statement.bind(now)).await?;
        let role = self.role_model().keeps().clone();
        let owner = Membership::of(owner, organization.id, role, now);
        owner.insert(&mut connection).await?;
        Event::new(
            now,
            organization.id,
            EventKind::OrganizationCreated,
            organization.id,
        )
        .by(self.attributed_to(Actor::member(&owner.user)))
        .after(json!({ "name": organization.name, "owner": owner.facts() }))
        .record(&mut connection)
        .await?;
        Ok(organization)
    }

    /// Reads an organization.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// if let Some(organization) = guestlist.organization(&mut *connection, acme).await? {
    ///     println!("{}", organization.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn organization(
        &self,
        connection: impl Lend<'_>,
        id: OrganizationId,
    ) -> Result<Option<Organization>, Error> {
        find(&mut connection.lend(), id).await
    }

    /// Lists all organizations, oldest first, for operators.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
    /// let page = guestlist.organizations(&mut *connection, &Paging::first(50)).await?;
    /// for organization in page.items {
    ///     println!("{}: {}", organization.id, organization.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn organizations(
        &self,
        connection: impl Lend<'_>,
        paging: &Paging,
    ) -> Result<Page<Organization>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_organizations WHERE id > $1 ORDER BY id LIMIT $2"
        );
        let after: uuid::Uuid = paging.key()?.unwrap_or_default();
        let statement = sql(LIST).bind(after).bind(paging.fetch_limit());
        let items = connection.lend().fetch_all(statement).await?;
        Ok(Page::of(items, paging, |organization: &Organization| {
            organization.id.to_string()
        }))
    }
}

impl ActingIn<'_> {
    /// Renames the organization. The same name again is no change.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// guestlist.act(&olivia).in_organization(acme).rename(&mut *tx, "Umbrella".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] without the permission `organization.rename`.
    pub async fn rename(
        &self,
        connection: impl Lend<'_>,
        name: Name,
    ) -> Result<Organization, Error> {
        let mut connection = connection.lend();
        let permission = "organization.rename";
        let before = self
            .lock_organization(&mut connection, permission, Action::Rename)
            .await?;
        let (id, now) = (self.organization, self.acting.guestlist.now());
        if before.name == name {
            return Ok(before);
        }
        let statement = sql("UPDATE guestlist_organizations SET name = $2 WHERE id = $1");
        connection
            .execute(statement.bind(id.as_uuid()).bind(name.as_str()))
            .await?;
        Event::new(now, id, EventKind::OrganizationRenamed, id)
            .by(self.acting.attribution())
            .before(json!({ "name": before.name }))
            .after(json!({ "name": name }))
            .record(&mut connection)
            .await?;
        Ok(Organization { name, ..before })
    }

    /// Deletes the organization with its memberships and invitations. Its history stays, and the
    /// sessions of its members end.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// guestlist.act(&olivia).in_organization(acme).delete(&mut *tx).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] without the permission `organization.delete`.
    pub async fn delete(&self, connection: impl Lend<'_>) -> Result<(), Error> {
        let mut connection = connection.lend();
        let permission = "organization.delete";
        let before = self
            .lock_organization(&mut connection, permission, Action::Delete)
            .await?;
        let (id, now) = (self.organization, self.acting.guestlist.now());
        connection
            .execute(sql("DELETE FROM guestlist_organizations WHERE id = $1").bind(id.as_uuid()))
            .await?;
        session::end_all(&mut connection, now, id).await?;
        let purge = Task::PurgeSessions { user: None };
        outbox::push(&mut connection, now, &[(id, purge)]).await?;
        Event::new(now, id, EventKind::OrganizationDeleted, id)
            .by(self.acting.attribution())
            .before(json!({ "name": before.name }))
            .record(&mut connection)
            .await
    }

    async fn lock_organization(
        &self,
        connection: &mut Connection<'_>,
        permission: &str,
        action: Action,
    ) -> Result<Organization, Error> {
        let guestlist = self.acting.guestlist;
        lock::organization(connection, self.organization, guestlist.now()).await?;
        let authority = self.acting.authority(connection, self.organization).await?;
        authority.require(action, |role| {
            guestlist.role_model().allows(role, permission)
        })?;
        let found = find(connection, self.organization).await?;
        found.ok_or(Error::NotFound)
    }
}

pub(crate) async fn find(
    connection: &mut Connection<'_>,
    id: OrganizationId,
) -> Result<Option<Organization>, Error> {
    const FIND: &str =
        const_format::formatcp!("SELECT {COLUMNS} FROM guestlist_organizations WHERE id = $1");
    Ok(connection
        .fetch_optional(sql(FIND).bind(id.as_uuid()))
        .await?)
}
