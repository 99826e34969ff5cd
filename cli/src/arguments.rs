//! Arguments shared by several commands.

use clap::Args;
use guestlist::{Actor, AuditText, Error, OrganizationId, Transaction, UserId};

use super::context::Context;
use super::failure::Failure;
use super::id;
use super::not_found::Named;

/// The organization of a command.
#[derive(Debug, Args)]
pub(crate) struct Within {
    /// The organization.
    #[arg(long, value_name = "ID", value_parser = id::organization)]
    pub(crate) organization: OrganizationId,
}

/// The actor of a change: exactly one of the two options.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ActingAs {
    /// Act as this member of the organization, within the rights of their role.
    #[arg(long = "as", value_name = "USER")]
    member: Option<UserId>,
    /// Act as your application, which no role limits. The history keeps the reason: 1 to 200
    /// visible characters on one line.
    #[arg(long = "as-host", value_name = "REASON")]
    host: Option<AuditText>,
}

/// The actor and the organization of a command.
#[derive(Debug, Args)]
pub(crate) struct By {
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    acting_as: ActingAs,
}

/// A member, the actor and the organization.
#[derive(Debug, Args)]
pub(crate) struct ToMember {
    /// The member.
    pub(crate) user: UserId,
    #[command(flatten)]
    pub(crate) by: By,
}

/// The number of items of a list.
#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// Stop after this many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

impl ActingAs {
    /// Returns the actor for the library.
    pub(crate) fn actor(&self) -> Actor {
        match (&self.member, &self.host) {
            (Some(user), _) => Actor::member(user),
            (None, Some(reason)) => Actor::host(reason.clone()),
            (None, None) => unreachable!("clap requires one of the two options"),
        }
    }

    /// Returns the member that acts; `None` for the host.
    pub(crate) fn member(&self) -> Option<&UserId> {
        self.member.as_ref()
    }
}

impl By {
    /// Returns the actor for the library.
    pub(crate) fn actor(&self) -> Actor {
        self.acting_as.actor()
    }

    pub(crate) fn organization(&self) -> OrganizationId {
        self.within.organization
    }
}

impl ToMember {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.by.organization()
    }

    /// Changes something about the member by the library; if it finds nothing, names the missing
    /// part.
    pub(crate) async fn change<T>(
        &self,
        context: &Context,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let named = Named::organization(self.organization())
            .actor(self.by.acting_as.member())
            .member(&self.user);
        named.change(context, action).await
    }
}
