//! Which of the things that a command named is not there.
//!
//! The library answers strangers with one `not_found` for everything. The command line is the
//! operator's, who may read it all, so it looks and says.

use guestlist::{Error, InvitationId, Membership, OrganizationId, Transaction, UserId};

use super::context::{Context, Ending};
use super::failure::{Failure, Reason};

/// What a command named.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    whence: Whence,
    actor: Option<&'a UserId>,
    member: Option<&'a UserId>,
}

/// What says which organization is meant.
#[derive(Debug, Clone, Copy)]
enum Whence {
    Organization(OrganizationId),
    Invitation(InvitationId),
}

impl<'a> Named<'a> {
    pub(crate) fn organization(organization: OrganizationId) -> Self {
        Self::of(Whence::Organization(organization))
    }

    pub(crate) fn invitation(invitation: InvitationId) -> Self {
        Self::of(Whence::Invitation(invitation))
    }

    fn of(whence: Whence) -> Self {
        Self {
            whence,
            actor: None,
            member: None,
        }
    }

    /// The member that acts; `None` if the host acts.
    pub(crate) fn actor(self, actor: Option<&'a UserId>) -> Self {
        Self { actor, ..self }
    }

    /// Whom it is about.
    pub(crate) fn member(self, member: &'a UserId) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// Changes something in a transaction of its own, and says which of what was named is missing
    /// where the library finds nothing.
    pub(crate) async fn change<T>(
        &self,
        context: &Context,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        match context.attempt(Ending::Commit, action).await {
            Err(Error::NotFound) => Err(self.missing(context).await?.into()),
            done => Ok(done?),
        }
    }

    /// The first of them that is not there, or the library's own answer where all are.
    pub(crate) async fn missing(&self, context: &Context) -> Result<Reason, Failure> {
        let organization = match self.whence {
            Whence::Organization(id) => id,
            Whence::Invitation(id) => match organization_of(context, id).await? {
                Some(organization) => organization,
                None => return Ok(Reason::no_such("invitation", &id)),
            },
        };
        if !exists(context, organization).await? {
            return Ok(Reason::no_such("organization", &organization));
        }
        for user in [self.actor, self.member].into_iter().flatten() {
            match member(context, organization, user).await? {
                None => return Ok(no_member(organization, user)),
                Some(found) if found.is_suspended() => {
                    return Ok(suspended(organization, user));
                }
                Some(_) => {}
            }
        }
        Ok(Error::NotFound.into())
    }
}

async fn organization_of(
    context: &Context,
    id: InvitationId,
) -> Result<Option<OrganizationId>, Failure> {
    let found = context
        .read(async |connection| context.guestlist.invitation(connection, id).await)
        .await?;
    Ok(found.map(|invitation| invitation.organization))
}

async fn exists(context: &Context, id: OrganizationId) -> Result<bool, Failure> {
    let found = context
        .read(async |connection| context.guestlist.organization(connection, id).await)
        .await?;
    Ok(found.is_some())
}

/// The membership, a suspended one too.
pub(crate) async fn member(
    context: &Context,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Option<Membership>, Failure> {
    context
        .read(async |connection| {
            context
                .guestlist
                .find_member(connection, organization, user)
                .await
        })
        .await
}

/// Someone who does not belong to an organization.
pub(crate) fn no_member(organization: OrganizationId, user: &UserId) -> Reason {
    let problem = format!("{user} is no member of the organization {organization}");
    Reason::refused("not_found", problem)
        .with("organization", organization.to_string())
        .with("user", user.as_str())
}

fn suspended(organization: OrganizationId, user: &UserId) -> Reason {
    let problem = format!(
        "{user} is suspended in the organization {organization} and can do nothing there until \
         reinstated"
    );
    Reason::refused("not_found", problem)
        .with("organization", organization.to_string())
        .with("user", user.as_str())
}
