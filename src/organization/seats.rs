//! Whether there is room for one more.

use serde_json::json;

use super::{Organization, find};
use crate::connection::{Connection, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::id::OrganizationId;
use crate::lock::{self, Lock};
use crate::organizations::Organizations;

/// What is about to take a seat.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seat<'a> {
    /// Someone with access.
    Member,
    /// An invitation of this address, whose other open invitation it replaces, if there is one.
    Invitation(&'a EmailAddress),
}

impl Organizations {
    /// Gives an organization that many seats, or the configured number again: the host's own doing,
    /// when a plan was bought for instance, which no member has to permit. The same again is no
    /// change. Who is in already stays in, however few seats there are.
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

    /// Refuses where every seat is taken.
    pub(crate) async fn require_seat(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        taker: Seat<'_>,
    ) -> Result<(), Error> {
        let Some(seats) = lock.seats().or(self.seats().limit) else {
            return Ok(());
        };
        let taken = match taker {
            Seat::Invitation(email) if self.seats().pending => {
                members(connection, lock, seats).await?
                    + self
                        .invitations_of_others(connection, lock, seats, email)
                        .await?
            }
            _ => members(connection, lock, seats).await?,
        };
        if taken < i64::from(seats) {
            Ok(())
        } else {
            Err(Error::NoSeat { seats })
        }
    }

    async fn invitations_of_others(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        seats: u32,
        email: &EmailAddress,
    ) -> Result<i64, Error> {
        let statement = sql("SELECT count(*) FROM (
                 SELECT 1 FROM guestlist_invitations
                 WHERE organization_id = $1 AND status = 'pending' AND expires_at > $2 AND email_key <> $3
                 LIMIT $4
             ) AS taken");
        let email_key = email.canonical();
        let statement = statement
            .bind(lock.organization().as_uuid())
            .bind(self.now())
            .bind(email_key.as_str())
            .bind(i64::from(seats));
        Ok(connection.fetch_count(statement).await?)
    }
}

/// How many have access; no more are counted than there are seats.
async fn members(connection: &mut Connection<'_>, lock: &Lock, seats: u32) -> Result<i64, Error> {
    let statement = sql("SELECT count(*) FROM (
             SELECT 1 FROM guestlist_memberships
             WHERE organization_id = $1 AND suspended_at IS NULL LIMIT $2
         ) AS taken");
    let statement = statement
        .bind(lock.organization().as_uuid())
        .bind(i64::from(seats));
    Ok(connection.fetch_count(statement).await?)
}
