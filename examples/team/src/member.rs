//! The authorization check of every request: the signed-in account and its membership.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use guestlist::{Access, Action, Organization, OrganizationId, Role};
use tower_sessions::Session;

use crate::account::Account;
use crate::app::App;
use crate::page::{session_of, signed_in};
use crate::problem::Problem;
use crate::{notice, sessions};

/// The signed-in account. Rejects requests without one.
pub(crate) struct SignedIn {
    pub(crate) account: Account,
    pub(crate) session: Session,
}

/// A member of the organization in the URL. Read from the database on every request, so that access ends with the
/// commit that removes the member.
pub(crate) struct Member {
    pub(crate) account: Account,
    pub(crate) session: Session,
    pub(crate) access: Access,
    pub(crate) organization: Organization,
    /// True if the member's role may invite to any role. Such members also see invitations and history.
    pub(crate) manages: bool,
}

impl Member {
    pub(crate) fn role(&self) -> &Role {
        &self.access.role
    }

    /// Returns the path of a page of this organization.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("/organizations/{}/{page}", self.organization.id)
    }

    /// Fails unless the member manages the team.
    pub(crate) fn require_manager(&self) -> Result<(), Problem> {
        if self.manages {
            Ok(())
        } else {
            Err(Problem::ForManagers)
        }
    }

    /// Returns the problem for a confirmation page whose action the member's role may not do.
    pub(crate) fn may_not(&self, action: Action) -> Problem {
        let role = self.role().clone();
        guestlist::Error::Forbidden { role, action }.into()
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let session = session_of(parts, app).await?;
        if let Some(account) = signed_in(app, &session).await? {
            return Ok(Self { account, session });
        }
        Err(signed_out(&session).await)
    }
}

/// Returns the redirect to sign-in and leaves a notice with the reason for that page.
pub(crate) async fn signed_out(session: &Session) -> Problem {
    match notice::leave(session, "You are signed out. Sign in to continue.").await {
        Ok(()) => Problem::SignedOut,
        Err(problem) => problem,
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let SignedIn { account, session } = SignedIn::from_request_parts(parts, app).await?;
        let path: Path<HashMap<String, String>> = Path::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::NotFound)?;
        let id = path.get("organization").and_then(|id| id.parse().ok());
        let id: OrganizationId = id.ok_or(Problem::NoAccess)?;
        let mut connection = app.database.acquire().await?;
        let access = app
            .guestlist
            .access(&mut connection, &account.id, id)
            .await?;
        let organization = app.guestlist.organization(&mut connection, id).await?;
        let (Some(access), Some(organization)) = (access, organization) else {
            return Err(Problem::NoAccess);
        };
        drop(connection);
        sessions::record_if_new(app, &session, id, &account.id).await?;
        let model = app.guestlist.role_model();
        let manages = model
            .roles()
            .iter()
            .any(|role| model.may_invite(&access.role, role.name()));
        Ok(Self {
            account,
            session,
            access,
            organization,
            manages,
        })
    }
}
