//! The missing part behind a `not_found` of the library.
//!
//! The library gives everyone the same `not_found`. The command line is for operators, who may read
//! everything, so it names the missing part.

use guestlist::{Error, InvitationId, Membership, OrganizationId, Transaction, UserId};

use super::context::{Context, Ending};
use super::failure::{Failure, Reason};

/// The parts that a command named.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    whence: OrganizationSource,
    actor: Option<&'a UserId>,
    member: Option<&'a UserId>,
}

/// The source of the organization's id.
#[derive(Debug, Clone, Copy)]
enum OrganizationSource {
    Organization(OrganizationId),
    Invitation(InvitationId),
}

impl<'a> Named<'a> {
    pub(crate) fn organization(organization: OrganizationId) -> Self {
        Self::of(OrganizationSource::Organization(organization))
    }

    pub(crate) fn invitation(invitation: InvitationId) -> Self {
        Self::of(OrganizationSource::Invitation(invitation))
    }

    fn of(whence: OrganizationSource) -> Self {
        Self {
            whence,
            actor: None,
            member: None,
        }
    }

    /// Adds the member that acts; `None` if the host acts.
    pub(crate) fn actor(self, actor: Option<&'a UserId>) -> Self {
        Self { actor, ..self }
    }

    /// Adds the member that the command is about.
    pub(crate) fn member(self, member: &'a UserId) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// Runs a change in a transaction of its own; if the library finds nothing, names the missing
    /// part.
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

    /// Returns the first missing part, or the library's own answer if none is missing.
    pub(crate) async fn missing(&self, context: &Context) -> Result<Reason, Failure> {
        let organization = match self.whence {
            OrganizationSource::Organization(id) => id,
            OrganizationSource::Invitation(id) => match organization_of(context, id).await? {
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

/// Reads the membership, suspended or not.
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

/// Makes the refusal for a user that is not a member of the organization.
pub(crate) fn no_member(organization: OrganizationId, user: &UserId) -> Reason {
    let problem = format!("{user} is no member of the organization {organization}");
    Reason::refused("not_found", problem)
        .with("organization", organization.to_string())
        .with("user", user.as_str())
}

fn suspended(organization: OrganizationId, user: &UserId) -> Reason {
    let problem = format!(
        "{user} is suspended in the organization {organization} and has no rights there until \
         reinstated"
    );
    Reason::refused("not_found", problem)
        .with("organization", organization.to_string())
        .with("user", user.as_str())
}
