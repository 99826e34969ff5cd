//! Removing a user everywhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::connection::{Connection, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::event::EventKind;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::invitation::{self, Invitation};
use crate::lock::{self, Lock};
use crate::membership::{COLUMNS, Membership, is_last_owner};
use crate::user::User;

/// What forgetting a user ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// Their memberships, suspended ones too, as they were.
    pub memberships: Vec<Membership>,
    /// What was pending to one of their addresses, revoked now.
    pub invitations: Vec<Invitation>,
}

/// Where a user is known.
struct Traces {
    memberships: Vec<Membership>,
    /// Not recorded as closed, to one of their addresses.
    invitations: Vec<Invitation>,
}

type Locks = BTreeMap<OrganizationId, Lock>;

impl Guestlist {
    /// Removes a user whose account the host deletes: every membership ends with its sessions, and
    /// what is pending to their addresses is revoked. Their addresses are those they joined with
    /// and, if it is verified, the one the host names. Nobody has to permit it, and nobody is
    /// written to.
    ///
    /// The history keeps what it says about them until the worker's retention deletes it.
    ///
    /// Call it when nobody can sign in as the user any more, or they may accept another invitation
    /// at the same moment. It takes the locks of all their organizations in the order of their
    /// ids, so call it first in its transaction.
    ///
    /// # Errors
    /// [`Error::LastOwner`] with every organization whose last owner they are; nothing ends then.
    pub async fn forget_user(
        &self,
        connection: impl Lend<'_>,
        user: &User,
    ) -> Result<Forgotten, Error> {
        let mut connection = connection.lend();
        connection.require_transaction()?;
        let connection = &mut connection;
        let (locks, traces) = self.lock_everywhere(connection, user).await?;
        self.keep_owners(connection, &locks, &traces.memberships)
            .await?;
        let now = self.now();
        for membership in &traces.memberships {
            membership
                .end(
                    connection,
                    now,
                    self.attributed_to(None),
                    EventKind::MemberForgotten,
                )
                .await?;
        }
        let mut invitations = Vec::new();
        for invitation in traces.invitations {
            invitations.extend(self.withdraw_open(connection, invitation.id).await?);
        }
        Ok(Forgotten {
            memberships: traces.memberships,
            invitations,
        })
    }

    /// Locks every organization that knows the user. What is known is read again under the locks,
    /// until it names none that is not locked.
    async fn lock_everywhere(
        &self,
        connection: &mut Connection<'_>,
        user: &User,
    ) -> Result<(Locks, Traces), Error> {
        let mut locks = Locks::new();
        loop {
            let traces = Traces::of(connection, user).await?;
            let unlocked: BTreeSet<_> = traces
                .organizations()
                .filter(|organization| !locks.contains_key(organization))
                .collect();
            if unlocked.is_empty() {
                return Ok((locks, traces));
            }
            for organization in unlocked {
                match lock::organization(connection, organization, self.now()).await {
                    Ok(lock) => drop(locks.insert(organization, lock)),
                    // Deleted meanwhile, and what it knew with it.
                    Err(Error::NotFound) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
    }

    async fn keep_owners(
        &self,
        connection: &mut Connection<'_>,
        locks: &Locks,
        memberships: &[Membership],
    ) -> Result<(), Error> {
        let mut organizations = Vec::new();
        for membership in memberships {
            let lock = &locks[&membership.organization];
            if is_last_owner(connection, lock, self.role_model(), membership).await? {
                organizations.push(membership.organization);
            }
        }
        if organizations.is_empty() {
            return Ok(());
        }
        Err(Error::LastOwner {
            role: self.role_model().keeps().clone(),
            organizations,
        })
    }
}

impl Traces {
    async fn of(connection: &mut Connection<'_>, user: &User) -> Result<Self, Error> {
        let joined = find_all(connection, &user.id).await?;
        let mut invitations = Vec::new();
        for address in addresses(user, &joined) {
            invitations.extend(invitation::find_open_anywhere(connection, &address).await?);
        }
        // What was accepted between the two reads was neither; it is a membership by now.
        let memberships = find_all(connection, &user.id).await?;
        Ok(Self {
            memberships,
            invitations,
        })
    }

    fn organizations(&self) -> impl Iterator<Item = OrganizationId> {
        let joined = self.memberships.iter().map(|known| known.organization);
        joined.chain(self.invitations.iter().map(|known| known.organization))
    }
}

/// Every membership of a user, suspended ones too.
async fn find_all(
    connection: &mut Connection<'_>,
    user: &UserId,
) -> Result<Vec<Membership>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_memberships WHERE user_id = $1 ORDER BY organization_id"
    );
    Ok(connection.fetch_all(sql(FIND).bind(user.as_str())).await?)
}

/// The addresses that are theirs, each once: an unverified one may be somebody else's.
fn addresses(user: &User, memberships: &[Membership]) -> Vec<EmailAddress> {
    let named = user.email_verified.then_some(&user.email);
    let joined_with = memberships.iter().map(|membership| &membership.email);
    let mut addresses: Vec<_> = named.into_iter().chain(joined_with).cloned().collect();
    addresses.sort_by_cached_key(EmailAddress::canonical);
    addresses.dedup_by_key(|address| address.canonical());
    addresses
}
