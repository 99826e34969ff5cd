//! The count of letters promised, which the limits are held against.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::{Connection, sql};
use crate::email_address::EmailAddress;
use crate::error::{Error, LimitKind};
use crate::id::{EventId, OrganizationId, UserId};
use crate::limits::{Limit, Limits};

/// A letter about to be promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) organization: OrganizationId,
    pub(crate) actor: &'a UserId,
    pub(crate) recipient: &'a EmailAddress,
}

/// Refuses the letter where a limit is reached, and writes nothing.
pub(crate) async fn check(
    connection: &mut Connection<'_>,
    limits: &Limits,
    now: DateTime<Utc>,
    letter: Letter<'_>,
) -> Result<(), Error> {
    let bucket = letter.recipient.bucket();
    macro_rules! nth_latest {
        ($column:literal) => {
            sql(concat!(
                "SELECT at FROM guestlist_letters WHERE ",
                $column,
                " = $1 AND at > $2 ORDER BY at DESC LIMIT 1 OFFSET $3"
            ))
        };
    }
    let scopes = [
        (
            LimitKind::Recipient,
            limits.recipient,
            nth_latest!("recipient").bind(bucket.as_str()),
        ),
        (
            LimitKind::Actor,
            limits.actor,
            nth_latest!("actor").bind(letter.actor.as_str()),
        ),
        (
            LimitKind::Organization,
            limits.organization,
            nth_latest!("organization_id").bind(letter.organization.as_uuid()),
        ),
    ];
    for (kind, limit, statement) in scopes {
        let Some(Limit { letters, window }) = limit else {
            continue;
        };
        if letters == 0 {
            return Err(Error::Throttled {
                limit: kind,
                retry_after: window,
            });
        }
        let statement = statement.bind(now - window).bind(i64::from(letters) - 1);
        let oldest_that_counts: Option<(DateTime<Utc>,)> =
            connection.fetch_optional(statement).await?;
        if let Some((at,)) = oldest_that_counts {
            return Err(Error::Throttled {
                limit: kind,
                retry_after: whole_seconds(at + window - now),
            });
        }
    }
    Ok(())
}

/// Counts the letter in, where anything is limited.
pub(crate) async fn count(
    connection: &mut Connection<'_>,
    limits: &Limits,
    now: DateTime<Utc>,
    letter: Letter<'_>,
) -> Result<(), Error> {
    if limits.longest_window().is_zero() {
        return Ok(());
    }
    let bucket = letter.recipient.bucket();
    let statement = sql(
        "INSERT INTO guestlist_letters (id, organization_id, actor, recipient, at)
                         VALUES ($1, $2, $3, $4, $5)",
    );
    let statement = statement
        .bind(EventId::new(now).as_uuid())
        .bind(letter.organization.as_uuid());
    connection
        .execute(
            statement
                .bind(letter.actor.as_str())
                .bind(bucket.as_str())
                .bind(now),
        )
        .await?;
    Ok(())
}

/// Rounded up, so that trying again after it succeeds.
pub(crate) fn whole_seconds(wait: TimeDelta) -> Duration {
    let wait = wait.to_std().unwrap_or_default();
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(-5, 0), (0, 0), (1, 1), (1000, 1), (1001, 2)] {
            let wait = whole_seconds(TimeDelta::milliseconds(millis));
            assert_eq!(wait, Duration::from_secs(seconds), "{millis} ms");
        }
    }
}
