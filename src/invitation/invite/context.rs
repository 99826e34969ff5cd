//! The state that the rules for inviting depend on, and the decision.

use std::collections::HashMap;

use super::super::{COLUMNS, Invitation};
use super::Invite;
use crate::acting::{ActingIn, Authority};
use crate::batched_query::{BatchedQuery, Tag};
use crate::connection::{Connection, Dialect, sql};
use crate::error::{Action, Error};
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::letter_limits::{Letter, LetterLimits};
use crate::lock::Lock;
use crate::membership;
use crate::seat_count::SeatCount;

/// The state that decides on a batch of invites. It is read under the organization's lock, by one
/// statement for any number of addresses.
#[derive(Debug)]
pub(super) struct InviteContext {
    authority: Authority,
    members: HashMap<String, UserId>,
    open: HashMap<String, Invitation>,
    seats: SeatCount,
    limits: LetterLimits,
}

impl InviteContext {
    /// Reads the state. Fails with [`Error::NotFound`] if the actor is not a member. If an address
    /// has an open invitation, a second statement reads and locks it.
    pub(super) async fn read(
        acting_in: &ActingIn<'_>,
        connection: &mut Connection<'_>,
        lock: &Lock,
        invites: &[(usize, Invite)],
    ) -> Result<Self, Error> {
        let guestlist = acting_in.acting.guestlist;
        let actor = acting_in.acting.actor.user_id();
        let (organization, limits, now) =
            (lock.organization(), guestlist.limits(), guestlist.now());
        let (mut keys, mut letters) = (Vec::new(), Vec::new());
        for (_, Invite { email, .. }) in invites {
            keys.push(email.canonical());
            letters.push(Letter {
                organization,
                actor,
                recipient: email,
            });
        }
        let mut query = BatchedQuery::default();
        membership::add_joined_with(&mut query, organization, &keys);
        add_open(&mut query, organization, &keys);
        acting_in.add_authority(&mut query);
        guestlist.add_seat_counts(&mut query, lock, invites.len());
        LetterLimits::add_letters(&mut query, limits, now, &letters);
        let rows = query.run(connection).await?;
        let open = rows
            .of(Tag::OpenInvitation)
            .filter_map(|row| row.name.clone());
        let open = find_open(connection, organization, &Vec::from_iter(open)).await?;
        Ok(Self {
            authority: acting_in.authority_in(&rows)?,
            members: membership::members_in(&rows)?,
            open,
            seats: guestlist.seat_count_in(lock, &rows),
            limits: LetterLimits::of(limits, now, &letters, &rows),
        })
    }

    /// Grants or refuses an invite. A granted one counts for the invites after it. Returns the open
    /// invitation that has to be closed first, if there is one.
    pub(super) fn grant(
        &mut self,
        guestlist: &Guestlist,
        invite: &Invite,
    ) -> Result<Option<Invitation>, Error> {
        guestlist.may_grant(&self.authority, &invite.role, Action::Invite)?;
        let key = invite.email.canonical();
        if let Some(user) = self.members.get(&key) {
            return Err(Error::AlreadyMember { user: user.clone() });
        }
        let open = self.open.get(&key);
        let pending = open.filter(|open| open.is_pending(guestlist.now()));
        match pending {
            Some(pending) if !invite.superseding => {
                return Err(Error::AlreadyPending {
                    invitation: pending.id,
                });
            }
            Some(pending) => {
                guestlist.may_revoke(&self.authority, &pending.role, Action::Revoke)?
            }
            None => {}
        }
        let replaces = pending.is_some();
        self.seats.for_newcomer(replaces)?;
        self.limits.admit(&invite.email)?;
        if !replaces {
            self.seats.promise();
        }
        Ok(self.open.remove(&key))
    }

    /// Remembers a granted invitation, so that later invites of the same address see it.
    pub(super) fn remember(&mut self, invitation: Invitation) {
        self.open.insert(invitation.email.canonical(), invitation);
    }
}

/// Adds the read of those addresses that have an open invitation.
fn add_open<'a>(
    query: &mut BatchedQuery<'a>,
    organization: OrganizationId,
    email_keys: &'a [String],
) {
    let statement = sql(
        "SELECT {tag}, email_key, NULL, NULL, NULL FROM guestlist_invitations
         WHERE organization_id = $1 AND status = 'pending' AND email_key IN ({})",
    );
    let statement = statement.bind(organization.as_uuid()).bind_list(email_keys);
    query.add(Tag::OpenInvitation, statement);
}

/// Reads the invitations of these addresses that are stored as pending, overdue ones included, and
/// locks their rows until the host's transaction ends: the expiry sweep does not take the
/// organization's lock.
pub(in crate::invitation) async fn find_open(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    email_keys: &[String],
) -> Result<HashMap<String, Invitation>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_invitations
         WHERE organization_id = $1 AND status = 'pending' AND email_key IN ({{}})"
    );
    if email_keys.is_empty() {
        return Ok(HashMap::new());
    }
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => const_format::concatcp!(FIND, " ORDER BY id FOR UPDATE"),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => FIND,
    };
    let statement = sql(text).bind(organization.as_uuid()).bind_list(email_keys);
    let open: Vec<Invitation> = connection.fetch_all(statement).await?;
    Ok(open
        .into_iter()
        .map(|invitation| (invitation.email.canonical(), invitation))
        .collect())
}
