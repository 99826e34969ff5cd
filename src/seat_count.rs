//! Whether there is room for one more.

use serde_json::json;

use crate::batched_query::Facts;
use crate::connection::{Connection, Statement, sql};
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::OrganizationId;
use crate::lock::{self, Lock};
use crate::organization::{Organization, find};

/// How many of an organization's seats are taken, by members and by invitations where they count.
#[derive(Debug)]
pub(crate) struct Room {
    seats: Option<u32>,
    members: i64,
    pending: Option<i64>,
}

impl Room {
    /// Refuses who accepts, where those who have access take every seat: a seat that was promised
    /// is theirs.
    pub(crate) fn for_invitee(&self) -> Result<(), Error> {
        self.for_one_more(self.members)
    }

    /// Refuses who was promised no seat yet, or one by an open invitation that the new one
    /// `replaces`.
    pub(crate) fn for_newcomer(&self, replaces: bool) -> Result<(), Error> {
        let promised = self
            .pending
            .map_or(0, |pending| pending - i64::from(replaces));
        self.for_one_more(self.members + promised)
    }

    /// Takes a seat for an invitation.
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

impl Guestlist {
    /// Gives an organization that many seats, or the configured number again: the host's own doing,
    /// when a plan was bought for instance, which no member has to permit. The same again is no
    /// change. Who is in already stays in, however few seats there are; [`u32::MAX`] is room for
    /// everyone where the configured number is not.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_seats(
        &self,
        connection: impl Into<Connection<'_>>,
        id: OrganizationId,
        seats: Option<u32>,
    ) -> Result<Organization, Error> {
        let mut connection = connection.into();
        lock::organization(&mut connection, id, self.now()).await?;
        let before = find(&mut connection, id).await?.ok_or(Error::NotFound)?;
        if before.seats() == seats {
            return Ok(before);
        }
        let seats = seats.map(i64::from);
        let statement = sql("UPDATE guestlist_organizations SET seats = $2 WHERE id = $1");
        connection
            .execute(statement.bind(id.as_uuid()).bind(seats))
            .await?;
        Event::new(self.now(), id, EventKind::SeatsChanged, id)
            .before(json!({ "seats": before.seats }))
            .after(json!({ "seats": seats }))
            .record(&mut connection)
            .await?;
        Ok(Organization { seats, ..before })
    }

    /// Counts who takes a seat, where there is a limit to hold it against.
    pub(crate) async fn room(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        more: usize,
    ) -> Result<Room, Error> {
        let facts = Facts::ask(connection, self.taken(lock, more)).await?;
        Ok(self.room_in(lock, &facts))
    }

    fn seats_of(&self, lock: &Lock) -> Option<u32> {
        lock.seats().or(self.seats().limit)
    }

    /// Asks who takes a seat, where there is a limit to hold it against and only as far as it
    /// matters to `more` takers.
    pub(crate) fn taken(&self, lock: &Lock, more: usize) -> Vec<Statement<'static>> {
        let Some(seats) = self.seats_of(lock) else {
            return Vec::new();
        };
        let enough = i64::from(seats).saturating_add_unsigned(more as u64);
        let organization = lock.organization().as_uuid();
        let members = sql("SELECT 'seated', NULL, NULL, count(*), NULL FROM (
                 SELECT 1 FROM guestlist_memberships
                 WHERE organization_id = $1 AND suspended_at IS NULL LIMIT $2
             ) AS taken");
        let pending = sql("SELECT 'promised', NULL, NULL, count(*), NULL FROM (
                 SELECT 1 FROM guestlist_invitations
                 WHERE organization_id = $1 AND status = 'pending' AND expires_at > $2 LIMIT $3
             ) AS taken");
        let mut questions = vec![members.bind(organization).bind(enough)];
        if self.seats().pending {
            questions.push(pending.bind(organization).bind(self.now()).bind(enough));
        }
        questions
    }

    /// The room there is after what was found.
    pub(crate) fn room_in(&self, lock: &Lock, facts: &Facts) -> Room {
        let count = |about| facts.about(about).find_map(|fact| fact.number);
        Room {
            seats: self.seats_of(lock),
            members: count("seated").unwrap_or_default(),
            pending: count("promised"),
        }
    }
}
