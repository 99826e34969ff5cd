//! Operations of an actor: `guestlist.act(actor).in_organization(id)`.

use crate::access;
use crate::actor::{Actor, Attribution};
use crate::batched_query::{BatchedQuery, Rows};
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::guestlist::Guestlist;
use crate::id::OrganizationId;
use crate::role::Role;

/// The operations of one actor, made by [`Guestlist::act`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens until an operation is called"]
pub struct Acting<'a> {
    pub(crate) guestlist: &'a Guestlist,
    pub(crate) actor: Actor,
}

/// The operations of one actor in one organization, made by [`Acting::in_organization`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens until an operation is called"]
pub struct ActingIn<'a> {
    pub(crate) acting: Acting<'a>,
    pub(crate) organization: OrganizationId,
}

impl Guestlist {
    /// Names the actor of the operations that follow: a member by their user id, the host or an
    /// operator.
    ///
    /// ```
    /// # use guestlist::{Actor, Guestlist, UserId};
    /// # let guestlist = Guestlist::default();
    /// # let olivia: UserId = "olivia".parse()?;
    /// let acting = guestlist.act(Actor::member(&olivia));
    /// let acting = guestlist.act(Actor::host("the plan was upgraded".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn act(&self, actor: impl Into<Actor>) -> Acting<'_> {
        Acting {
            guestlist: self,
            actor: actor.into(),
        }
    }
}

impl<'a> Acting<'a> {
    /// Names the organization of the operations that follow.
    pub fn in_organization(self, organization: OrganizationId) -> ActingIn<'a> {
        ActingIn {
            acting: self,
            organization,
        }
    }

    /// Returns the actor with the origin of the request, for an event.
    pub(crate) fn attribution(&self) -> Attribution {
        self.guestlist.attributed_to(self.actor.clone())
    }

    /// Reads the actor's authority in an organization: a member's role, or [`Authority::Unbound`]
    /// for the host and an operator. Fails with [`Error::NotFound`] for a user that is not a member
    /// or is suspended.
    pub(crate) async fn authority(
        &self,
        connection: &mut Connection<'_>,
        organization: OrganizationId,
    ) -> Result<Authority, Error> {
        let Actor::Member(user) = &self.actor else {
            return Ok(Authority::Unbound);
        };
        let role = access::role_of(connection, organization, user).await?;
        role.map(Authority::Role).ok_or(Error::NotFound)
    }
}

impl ActingIn<'_> {
    /// Adds the read of a member's role; the host and an operator have none.
    pub(crate) fn add_authority<'a>(&'a self, query: &mut BatchedQuery<'a>) {
        if let Some(user) = self.acting.actor.user_id() {
            access::add_role_of(query, self.organization, user);
        }
    }

    /// Returns the authority that [`add_authority`](Self::add_authority) read.
    pub(crate) fn authority_in(&self, rows: &Rows) -> Result<Authority, Error> {
        if self.acting.actor.user_id().is_none() {
            return Ok(Authority::Unbound);
        }
        let role = access::role_in(rows)?;
        role.map(Authority::Role).ok_or(Error::NotFound)
    }
}

/// The limit of an actor's rights in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authority {
    /// The role of a member.
    Role(Role),
    /// The host or an operator, not limited by a role.
    Unbound,
}

impl Authority {
    /// Refuses a role that fails `rule`.
    pub(crate) fn require(
        &self,
        action: Action,
        rule: impl FnOnce(&Role) -> bool,
    ) -> Result<(), Error> {
        match self {
            Self::Role(role) if !rule(role) => Err(Error::Forbidden {
                role: role.clone(),
                action,
            }),
            _ => Ok(()),
        }
    }
}
