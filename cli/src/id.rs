//! Ids in arguments.

use std::fmt;
use std::str::FromStr;

use guestlist::{InvitationId, MessageId, OrganizationId};

/// The error for a text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidId {
    kind: &'static str,
    listed_by: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not the id of {}; an id looks like 01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f; \
             `{}` lists them",
            self.kind, self.listed_by
        )
    }
}

impl std::error::Error for InvalidId {}

/// Parses the id of an organization.
pub(crate) fn organization(text: &str) -> Result<OrganizationId, InvalidId> {
    read(text, "an organization", "guestlist organization list")
}

/// Parses the id of an invitation.
pub(crate) fn invitation(text: &str) -> Result<InvitationId, InvalidId> {
    read(text, "an invitation", "guestlist invitations")
}

/// Parses the id of a job.
pub(crate) fn job(text: &str) -> Result<MessageId, InvalidId> {
    read(text, "a job", "guestlist jobs --state ready")
}

fn read<T: FromStr>(
    text: &str,
    kind: &'static str,
    listed_by: &'static str,
) -> Result<T, InvalidId> {
    text.parse().map_err(|_| InvalidId { kind, listed_by })
}
