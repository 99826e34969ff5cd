//! The number of seats taken in an organization, and the change of their limit.

use serde_json::json;

use crate::acting::ActingIn;
use crate::batched_query::{BatchedQuery, Rows, Tag};
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::lock::{self, Lock};
use crate::organization::{Organization, find};

/// The number of an organization's seats taken by members and, if they count, by open invitations.
#[derive(Debug)]
pub(crate) struct SeatCount {
    seats: Option<u32>,
    members: i64,
    pending: Option<i64>,
}

impl SeatCount {
    /// Refuses an invitee if members with access take every seat. Seats reserved for open
    /// invitations do not count, since one of them is the invitee's.
    pub(crate) fn for_invitee(&self) -> Result<(), Error> {
        self.for_one_more(self.members)
    }

    /// Refuses a new member or invitation without a reserved seat. An open invitation that the new
    /// one `replaces` gives its seat.
    pub(crate) fn for_newcomer(&self, replaces: bool) -> Result<(), Error> {
        let promised = self
            .pending
            .map_or(0, |pending| pending - i64::from(replaces));
        self.for_one_more(self.members + promised)
    }

    /// Reserves a seat for an invitation.
    pub(crate) fn promise(&mut self) {
        self.pending = self.pending.map(|pending| pending + 1);
    }

    fn for_one_more(&self, taken: i64) -> Result<(), Error> {
        match self.seats {
            Some(seats) if taken >= i64::from(seats) => Err(Error::NoSeat { seats }),
            _ => Ok(()),
        }
    }
}

impl ActingIn<'_> {
    /// Sets the number of seats of the organization; `None` means the configured number again. Only
    /// the host (after a purchase, for instance) or an operator may do it. The same number again is
    /// no change. Members stay even if there are fewer seats than members. [`u32::MAX`] removes a
    /// configured limit.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let billing = Actor::host("the plan was upgraded".parse()?);
    /// guestlist.act(billing).in_organization(acme).set_seats(&mut *tx, Some(25)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for a member.
    pub async fn set_seats(
        &self,
        connection: impl Lend<'_>,
        seats: Option<u32>,
    ) -> Result<Organization, Error> {
        let mut connection = connection.lend();
        let (id, now) = (self.organization, self.acting.guestlist.now());
        lock::organization(&mut connection, id, now).await?;
        let authority = self.acting.authority(&mut connection, id).await?;
        authority.require(Action::SetSeats, |_| false)?;
        let before = find(&mut connection, id).await?.ok_or(Error::NotFound)?;
        if before.seats() == seats {
            return Ok(before);
        }
        let seats = seats.map(i64::from);
        let statement = sql("UPDATE guestlist_organizations SET seats = $2 WHERE id = $1");
        connection
            .execute(statement.bind(id.as_uuid()).bind(seats))
            .await?;
        Event::new(now, id, EventKind::SeatsChanged, id)
            .by(self.acting.attribution())
            .before(json!({ "seats": before.seats }))
            .after(json!({ "seats": seats }))
            .record(&mut connection)
            .await?;
        Ok(Organization { seats, ..before })
    }
}

impl Guestlist {
    /// Counts the seats that are taken, if there is a limit.
    pub(crate) async fn seat_count(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        more: usize,
    ) -> Result<SeatCount, Error> {
        let mut query = BatchedQuery::default();
        self.add_seat_counts(&mut query, lock, more);
        let rows = query.run(connection).await?;
        Ok(self.seat_count_in(lock, &rows))
    }

    fn seats_of(&self, lock: &Lock) -> Option<u32> {
        lock.seats().or(self.seats().limit)
    }

    /// Adds the counts of the seats that are taken, if there is a limit, counting only as far as it
    /// matters to `more` newcomers.
    pub(crate) fn add_seat_counts(&self, query: &mut BatchedQuery<'_>, lock: &Lock, more: usize) {
        let Some(seats) = self.seats_of(lock) else {
            return;
        };
        let enough = i64::from(seats).saturating_add_unsigned(more as u64);
        let organization = lock.organization().as_uuid();
        let members = sql("SELECT {tag}, NULL, NULL, count(*), NULL FROM (
                 SELECT 1 FROM guestlist_memberships
                 WHERE organization_id = $1 AND suspended_at IS NULL LIMIT $2
             ) AS taken");
        let pending = sql("SELECT {tag}, NULL, NULL, count(*), NULL FROM (
                 SELECT 1 FROM guestlist_invitations
                 WHERE organization_id = $1 AND status = 'pending' AND expires_at > $2 LIMIT $3
             ) AS taken");
        query.add(Tag::MemberSeats, members.bind(organization).bind(enough));
        if self.seats().pending {
            let pending = pending.bind(organization).bind(self.now()).bind(enough);
            query.add(Tag::PendingSeats, pending);
        }
    }

    /// Returns the count that [`add_seat_counts`](Self::add_seat_counts) read.
    pub(crate) fn seat_count_in(&self, lock: &Lock, rows: &Rows) -> SeatCount {
        let count = |tag| rows.of(tag).find_map(|row| row.number);
        SeatCount {
            seats: self.seats_of(lock),
            members: count(Tag::MemberSeats).unwrap_or_default(),
            pending: count(Tag::PendingSeats),
        }
    }
}
