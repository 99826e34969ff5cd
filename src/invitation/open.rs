//! Links: the token of an invitation, and the invitation of a token.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{COLUMNS, Invitation};
use crate::acting::Acting;
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::InvitationId;
use crate::lock::{self, Lock};
use crate::role::Role;
use crate::token::{Claims, Presented, Token};

/// The parts of a link that are stored with the invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// 128 random bits, stored in the form of a UUID.
    pub(super) nonce: Uuid,
    /// The role the link was made for.
    pub(super) role: Role,
}

/// The number of replaced links that are stored, so that they are recognized as replaced.
const REMEMBERED: usize = 8;

pub(super) fn new_nonce() -> Vec<u8> {
    rand::random::<[u8; 16]>().to_vec()
}

impl Invitation {
    /// Returns the link that opens the invitation now.
    pub(super) fn link(&self) -> Link {
        Link {
            nonce: Uuid::from_slice(&self.nonce).unwrap_or_default(),
            role: self.link_role.as_ref().unwrap_or(&self.role).clone(),
        }
    }

    /// Replaces the link by a new one and stores the old one as replaced.
    pub(super) fn rotate(&mut self) {
        self.replaced_links.push(self.link());
        let surplus = self.replaced_links.len().saturating_sub(REMEMBERED);
        self.replaced_links.drain(..surplus);
        self.nonce = new_nonce();
        self.link_role = None;
        self.role_seal = None;
    }
}

impl Guestlist {
    /// Returns the token that opens an invitation now. A holder of the token can accept with the
    /// invited address.
    ///
    /// # Errors
    /// [`Error::NoKey`].
    pub fn token(&self, invitation: &Invitation) -> Result<Token, Error> {
        let key = self.key_ring().signing().ok_or(Error::NoKey)?;
        let (link, canonical_email) = (invitation.link(), invitation.email.canonical());
        Ok(Token::sign(
            key,
            self.claims(invitation, &canonical_email, &link),
        ))
    }

    pub(super) fn claims<'a>(
        &'a self,
        invitation: &Invitation,
        canonical_email: &'a str,
        link: &'a Link,
    ) -> Claims<'a> {
        Claims {
            audience: self.audience(),
            invitation: invitation.id,
            organization: invitation.organization,
            canonical_email,
            role: link.role.as_str(),
            nonce: link.nonce.as_bytes(),
        }
    }

    /// Reads the invitation of a token, for the page behind a link. Changes nothing.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, token: &str) -> Result<(), Error> {
    /// let invitation = guestlist.open(&mut *connection, token).await?;
    /// println!("You are invited as {}.", invitation.role);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::LinkReplaced`]; for a valid token, the reason why it
    /// cannot be accepted: [`Error::InvitationClosed`], [`Error::InvitationExpired`].
    pub async fn open(&self, connection: impl Lend<'_>, token: &str) -> Result<Invitation, Error> {
        let presented = self.presented(token)?;
        let invitation = self.verify(&mut connection.lend(), &presented).await?;
        invitation.require_pending(self.now())?;
        Ok(invitation)
    }

    /// Reads the invitation that a token was made for. Every invalid token gets the same answer; a
    /// reason is given only for a token that was once valid.
    async fn verify(
        &self,
        connection: &mut Connection<'_>,
        presented: &Presented,
    ) -> Result<Invitation, Error> {
        let found = find_at_or_before(connection, presented.invitation).await?;
        self.opened_by(presented, found)
    }

    /// Verifies a token, locks the organization and verifies again, because the invitation may have
    /// changed.
    pub(super) async fn lock_by_token(
        &self,
        connection: &mut Connection<'_>,
        token: &str,
    ) -> Result<(Lock, Invitation), Error> {
        connection.require_transaction()?;
        let presented = self.presented(token)?;
        let unlocked = self.verify(connection, &presented).await?;
        let lock = match lock::organization(connection, unlocked.organization, self.now()).await {
            Err(Error::NotFound) => return Err(Error::InvalidToken),
            locked => locked?,
        };
        let found = super::find_locked(connection, unlocked.id).await?;
        Ok((lock, self.opened_by(&presented, found)?))
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
        let invitation = found.ok_or(Error::InvalidToken)?.seen_at(self.now());
        let (link, canonical_email) = (invitation.link(), invitation.email.canonical());
        let claims = self.claims(&invitation, &canonical_email, &link);
        let is_meant = invitation.id == presented.invitation;
        if presented.verify(self.key_ring(), claims) && is_meant {
            let is_genuine = self.leads_to_its_role(&invitation, claims);
            return is_genuine.then_some(invitation).ok_or(Error::InvalidToken);
        }
        if self.was_replaced(presented, claims, &invitation.replaced_links) && is_meant {
            return Err(Error::LinkReplaced);
        }
        Err(Error::InvalidToken)
    }

    /// Returns `true` if the invitation's role is the one the link was made for or was changed by
    /// the library.
    pub(super) fn leads_to_its_role(&self, invitation: &Invitation, claims: Claims<'_>) -> bool {
        match (&invitation.link_role, &invitation.role_seal) {
            (None, _) => true,
            (Some(_), Some(seal)) => seal.holds(self.key_ring(), claims, &invitation.role),
            (Some(_), None) => false,
        }
    }

    /// Returns `true` if the token is of a replaced link. The number of checks is always the same,
    /// so that the time of a refusal reveals nothing.
    fn was_replaced(&self, presented: &Presented, claims: Claims<'_>, replaced: &[Link]) -> bool {
        let nothing = Link {
            nonce: Uuid::nil(),
            role: self.role_model().keeps().clone(),
        };
        let mut was_replaced = false;
        for place in 0..REMEMBERED {
            let link = replaced.get(place).unwrap_or(&nothing);
            let claims = Claims {
                role: link.role.as_str(),
                nonce: link.nonce.as_bytes(),
                ..claims
            };
            let verified = presented.verify(self.key_ring(), claims);
            was_replaced |= verified && place < replaced.len();
        }
        was_replaced
    }
}

impl Acting<'_> {
    /// Returns the token of an open invitation, for a host that delivers links itself. Writes an
    /// event.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, InvitationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, id: InvitationId) -> Result<(), Error> {
    /// let token = guestlist.act(&olivia).show_link(&mut *tx, id).await?;
    /// let link = format!("https://app.example/invitations/{}", token.expose());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`], [`Error::NoKey`].
    pub async fn show_link(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
    ) -> Result<Token, Error> {
        let mut connection = connection.lend();
        let (guestlist, now) = (self.guestlist, self.guestlist.now());
        let (_, authority, invitation) = self.lock_invitation(&mut connection, id).await?;
        guestlist.may_grant(&authority, &invitation.role, Action::ShowLink)?;
        invitation.require_pending(now)?;
        let token = guestlist.token(&invitation)?;
        let (organization, kind) = (invitation.organization, EventKind::InvitationLinkShown);
        Event::new(now, organization, kind, id)
            .by(self.attribution())
            .record(&mut connection)
            .await?;
        Ok(token)
    }
}

/// Reads the invitation with that id or, if there is none, the one before it, so that refusing an
/// unknown id takes as long as refusing a known one.
async fn find_at_or_before(
    connection: &mut Connection<'_>,
    id: InvitationId,
) -> Result<Option<Invitation>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_invitations WHERE id <= $1 ORDER BY id DESC LIMIT 1"
    );
    Ok(connection
        .fetch_optional(sql(FIND).bind(id.as_uuid()))
        .await?)
}
