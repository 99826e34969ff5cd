//! Deletion of a user from every organization.

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

/// The memberships and invitations that [`Guestlist::forget_user`] ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// The memberships of the user as they were, suspended ones included.
    pub memberships: Vec<Membership>,
    /// The invitations that were pending to one of the user's addresses and are revoked now.
    pub invitations: Vec<Invitation>,
}

/// The memberships of a user and the invitations to the user's addresses.
struct UserRecords {
    memberships: Vec<Membership>,
    /// Invitations to one of the user's addresses that are still stored as pending.
    invitations: Vec<Invitation>,
}

type Locks = BTreeMap<OrganizationId, Lock>;

impl Guestlist {
    /// Removes a user whose account the host deletes: ends every membership with its sessions and
    /// revokes the invitations pending to the user's addresses. These are the addresses the user
    /// joined with and the address in `user` if it is verified. Needs no permission, and sends no
    /// letter.
    ///
    /// The history keeps its records of the user until the worker's retention deletes them.
    ///
    /// Call it after the user can no longer sign in; otherwise they might accept another invitation
    /// at the same moment. It locks all their organizations in the order of their ids, so call it
    /// first in its transaction.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, User};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
    /// let bob = User::new("bob".parse()?, "bob@acme.example".parse()?);
    /// match guestlist.forget_user(&mut *tx, &bob).await {
    ///     Err(Error::LastOwner { organizations, .. }) => {
    ///         // Ask for new owners of these organizations first.
    ///     }
    ///     forgotten => println!("{} memberships ended", forgotten?.memberships.len()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::LastOwner`] with every organization whose last owner the user is; nothing changes
    /// then.
    pub async fn forget_user(
        &self,
        connection: impl Lend<'_>,
        user: &User,
    ) -> Result<Forgotten, Error> {
        let mut connection = connection.lend();
        connection.require_transaction()?;
        let connection = &mut connection;
        let (locks, records) = self.lock_everywhere(connection, user).await?;
        self.keep_owners(connection, &locks, &records.memberships)
            .await?;
        let now = self.now();
        for membership in &records.memberships {
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
        for invitation in records.invitations {
            invitations.extend(self.withdraw_open(connection, invitation.id).await?);
        }
        Ok(Forgotten {
            memberships: records.memberships,
            invitations,
        })
    }

    /// Locks every organization with a membership of the user or an invitation to them. Reads again
    /// after locking, until a read finds no organization that is not locked.
    async fn lock_everywhere(
        &self,
        connection: &mut Connection<'_>,
        user: &User,
    ) -> Result<(Locks, UserRecords), Error> {
        let mut locks = Locks::new();
        loop {
            let records = UserRecords::of(connection, user).await?;
            let unlocked: BTreeSet<_> = records
                .organizations()
                .filter(|organization| !locks.contains_key(organization))
                .collect();
            if unlocked.is_empty() {
                return Ok((locks, records));
            }
            for organization in unlocked {
                match lock::organization(connection, organization, self.now()).await {
                    Ok(lock) => drop(locks.insert(organization, lock)),
                    // The organization was deleted meanwhile, with its memberships and invitations.
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

impl UserRecords {
    async fn of(connection: &mut Connection<'_>, user: &User) -> Result<Self, Error> {
        let joined = find_all(connection, &user.id).await?;
        let mut invitations = Vec::new();
        for address in addresses(user, &joined) {
            invitations.extend(invitation::find_open_anywhere(connection, &address).await?);
        }
        // An invitation accepted between the two reads was in neither of them; it is a membership
        // now.
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

/// Reads every membership of a user, suspended ones included.
async fn find_all(
    connection: &mut Connection<'_>,
    user: &UserId,
) -> Result<Vec<Membership>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_memberships WHERE user_id = $1 ORDER BY organization_id"
    );
    Ok(connection.fetch_all(sql(FIND).bind(user.as_str())).await?)
}

/// Collects the user's addresses, each once. An unverified address may belong to someone else and
/// is left out.
fn addresses(user: &User, memberships: &[Membership]) -> Vec<EmailAddress> {
    let named = user.email_verified.then_some(&user.email);
    let joined_with = memberships.iter().map(|membership| &membership.email);
    let mut addresses: Vec<_> = named.into_iter().chain(joined_with).cloned().collect();
    addresses.sort_by_cached_key(EmailAddress::canonical);
    addresses.dedup_by_key(|address| address.canonical());
    addresses
}
