//! Arguments that several commands take.

use clap::Args;
use guestlist::{Error, OrganizationId, Transaction, UserId};

use super::context::Context;
use super::failure::Failure;
use super::id;
use super::not_found::Named;

/// In which organization.
#[derive(Debug, Args)]
pub(crate) struct Within {
    /// The organization.
    #[arg(long, value_name = "ID", value_parser = id::organization)]
    pub(crate) organization: OrganizationId,
}

/// Who does it, and in which organization.
#[derive(Debug, Args)]
pub(crate) struct By {
    #[command(flatten)]
    within: Within,
    /// Who does it: a member of the organization.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) actor: UserId,
}

/// A member, and who does something to them.
#[derive(Debug, Args)]
pub(crate) struct ToMember {
    /// The member.
    pub(crate) user: UserId,
    #[command(flatten)]
    pub(crate) by: By,
}

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// Stop after so many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

impl By {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.within.organization
    }

    /// Has the library change something, and says who is missing where it finds nobody.
    pub(crate) async fn change<T>(
        &self,
        context: &Context,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let named = Named::organization(self.organization()).actor(&self.actor);
        context.change_named(&named, action).await
    }
}

impl ToMember {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.by.organization()
    }

    /// Has the library change something about the member, and says who is missing where it finds
    /// nobody.
    pub(crate) async fn change<T>(
        &self,
        context: &Context,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let named = Named::organization(self.organization())
            .actor(&self.by.actor)
            .member(&self.user);
        context.change_named(&named, action).await
    }
}
