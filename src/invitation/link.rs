//! From a link to its invitation, and back.

use super::{Invitation, NONCE_LENGTH};
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::id::{InvitationId, UserId};
use crate::lock;
use crate::organizations::Organizations;
use crate::token::{Presented, Token};

impl Organizations {
    /// The invitation a token opens, for the page behind a link. Changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::LinkReplaced`]; once the token holds, the reason why it
    /// cannot be accepted: [`Error::InvitationClosed`], [`Error::InvitationExpired`].
    pub async fn open(
        &self,
        connection: impl Into<Connection<'_>>,
        token: &str,
    ) -> Result<Invitation, Error> {
        let presented = self.presented(token)?;
        let invitation = self.verify(&mut connection.into(), &presented).await?;
        invitation.require_pending(self.now())?;
        Ok(invitation)
    }

    /// The token of an open invitation, for a host that hands links over itself; audited.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`], [`Error::NoKey`].
    pub async fn show_link(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        id: InvitationId,
    ) -> Result<Token, Error> {
        let mut connection = connection.into();
        let invitation = self.lock_invitation(&mut connection, id).await?;
        self.may_grant(&mut connection, actor, invitation.grant(), Action::ShowLink)
            .await?;
        invitation.require_pending(self.now())?;
        let token = self.token(&invitation)?;
        Event::new(
            self.now(),
            invitation.organization,
            EventKind::InvitationLinkShown,
            id,
        )
        .by(actor)
        .record(&mut connection)
        .await?;
        Ok(token)
    }

    /// The invitation that a token was made for. Whatever does not hold gets one and the same
    /// answer; reasons are given only to who holds a token that was once valid.
    async fn verify(
        &self,
        connection: &mut Connection<'_>,
        presented: &Presented,
    ) -> Result<Invitation, Error> {
        let found = super::find(connection, presented.invitation).await?;
        self.opened_by(presented, found)
    }

    /// Verifies a token, takes the organization's lock and verifies again what may have changed.
    pub(super) async fn lock_by_token(
        &self,
        connection: &mut Connection<'_>,
        token: &str,
    ) -> Result<Invitation, Error> {
        connection.require_transaction()?;
        let presented = self.presented(token)?;
        let unlocked = self.verify(connection, &presented).await?;
        match lock::organization(connection, unlocked.organization, self.now()).await {
            Err(Error::NotFound) => return Err(Error::InvalidToken),
            locked => locked?,
        }
        let found = super::find_locked(connection, unlocked.id).await?;
        self.opened_by(&presented, found)
    }

    fn presented(&self, token: &str) -> Result<Presented, Error> {
        if self.key_ring().signing().is_none() {
            return Err(Error::NoKey);
        }
        Presented::parse(token).ok_or(Error::InvalidToken)
    }

    fn opened_by(
        &self,
        presented: &Presented,
        found: Option<Invitation>,
    ) -> Result<Invitation, Error> {
        let invitation = found.ok_or(Error::InvalidToken)?;
        let canonical_email = invitation.email.canonical();
        let claims = self.claims(&invitation, &canonical_email);
        if presented.verify(self.key_ring(), claims, &invitation.nonce) {
            return Ok(invitation);
        }
        let mut replaced = invitation.replaced_nonces.chunks_exact(NONCE_LENGTH);
        if replaced.any(|nonce| presented.verify(self.key_ring(), claims, nonce)) {
            return Err(Error::LinkReplaced);
        }
        Err(Error::InvalidToken)
    }
}
