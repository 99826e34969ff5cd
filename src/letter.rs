//! The count of letters promised, which the limits are held against.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::{Connection, Statement, sql};
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

/// What the limits have left for some letters of one actor and one organization.
#[derive(Debug)]
pub(crate) struct Limited {
    now: DateTime<Utc>,
    actor: Option<Window>,
    organization: Option<Window>,
    recipient: Option<Limit>,
    recipients: HashMap<String, Window>,
}

impl Limited {
    /// Reads how much of the windows is used, as far as these letters can tell.
    pub(crate) async fn read(
        connection: &mut Connection<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'_>],
    ) -> Result<Self, Error> {
        let mut limited = Self {
            now,
            actor: None,
            organization: None,
            recipient: limits.recipient,
            recipients: HashMap::new(),
        };
        let Some(first) = letters.first() else {
            return Ok(limited);
        };
        macro_rules! latest {
            ($column:literal) => {
                sql(concat!(
                    "SELECT at FROM guestlist_letters WHERE ",
                    $column,
                    " = $1 AND at > $2 ORDER BY at DESC LIMIT $3 OFFSET $4"
                ))
            };
        }
        if let Some(limit) = limits.actor {
            let latest = latest!("actor").bind(first.actor.as_str());
            limited.actor =
                Some(Window::read(connection, limit, now, letters.len(), latest).await?);
        }
        if let Some(limit) = limits.organization {
            let latest = latest!("organization_id").bind(first.organization.as_uuid());
            let window = Window::read(connection, limit, now, letters.len(), latest).await?;
            limited.organization = Some(window);
        }
        if let Some(limit) = limits.recipient {
            limited.recipients = mailboxes(connection, limit, now, letters).await?;
        }
        Ok(limited)
    }

    /// Lets one more letter go, or says which limit is reached and until when.
    pub(crate) fn admit(&mut self, recipient: &EmailAddress) -> Result<(), Error> {
        let mailbox = self.recipient.map(|limit| {
            let mailbox = self.recipients.entry(recipient.bucket());
            mailbox.or_insert_with(|| Window::empty(limit))
        });
        let mut windows = [
            (LimitKind::Recipient, mailbox),
            (LimitKind::Actor, self.actor.as_mut()),
            (LimitKind::Organization, self.organization.as_mut()),
        ];
        for (limit, window) in &windows {
            if let Some(retry_after) = window.as_ref().and_then(|window| window.full(self.now)) {
                return Err(Error::Throttled {
                    limit: *limit,
                    retry_after,
                });
            }
        }
        for window in windows.iter_mut().filter_map(|(_, window)| window.as_mut()) {
            window.promised += 1;
        }
        Ok(())
    }
}

/// One limit's sliding window.
#[derive(Debug)]
struct Window {
    limit: Limit,
    /// When the letters were promised that fill it, newest first, without the `skipped` newest.
    at: Vec<DateTime<Utc>>,
    skipped: usize,
    /// How many more are promised now.
    promised: usize,
}

impl Window {
    fn empty(limit: Limit) -> Self {
        Self {
            limit,
            at: Vec::new(),
            skipped: 0,
            promised: 0,
        }
    }

    /// Reads the letters that up to `more` more of them would meet at the far end of the window.
    async fn read(
        connection: &mut Connection<'_>,
        limit: Limit,
        now: DateTime<Utc>,
        more: usize,
        latest: Statement<'_>,
    ) -> Result<Self, Error> {
        let skipped = limit.capacity().saturating_sub(more);
        let statement = latest
            .bind(now - limit.window)
            .bind((limit.capacity() - skipped) as i64)
            .bind(skipped as i64);
        let rows: Vec<(DateTime<Utc>,)> = connection.fetch_all(statement).await?;
        Ok(Self {
            at: rows.into_iter().map(|(at,)| at).collect(),
            skipped,
            ..Self::empty(limit)
        })
    }

    /// When the window has room again, if it has none: when the letter leaves that is as many back
    /// as it holds.
    fn full(&self, now: DateTime<Utc>) -> Option<Duration> {
        let Some(back) = self.limit.capacity().checked_sub(self.promised + 1) else {
            return Some(self.limit.window);
        };
        let at = self.at.get(back.checked_sub(self.skipped)?)?;
        Some(whole_seconds(*at + self.limit.window - now))
    }
}

/// The windows of the letters' mailboxes, as far as they hold anything.
async fn mailboxes(
    connection: &mut Connection<'_>,
    limit: Limit,
    now: DateTime<Utc>,
    letters: &[Letter<'_>],
) -> Result<HashMap<String, Window>, Error> {
    let mut buckets: Vec<_> = letters
        .iter()
        .map(|letter| letter.recipient.bucket())
        .collect();
    buckets.sort_unstable();
    buckets.dedup();
    let statement = sql("SELECT recipient, at FROM guestlist_letters
         WHERE at > $1 AND recipient IN ({}) ORDER BY recipient, at DESC");
    let statement = statement.bind(now - limit.window).bind_list(&buckets);
    let rows: Vec<(String, DateTime<Utc>)> = connection.fetch_all(statement).await?;
    let mut mailboxes = HashMap::new();
    for (bucket, at) in rows {
        let mailbox = mailboxes
            .entry(bucket)
            .or_insert_with(|| Window::empty(limit));
        mailbox.at.push(at);
    }
    Ok(mailboxes)
}

/// Counts letters in, where anything is limited.
pub(crate) async fn count(
    connection: &mut Connection<'_>,
    limits: &Limits,
    now: DateTime<Utc>,
    letters: &[Letter<'_>],
) -> Result<(), Error> {
    if limits.longest_window().is_zero() {
        return Ok(());
    }
    let buckets: Vec<_> = letters
        .iter()
        .map(|letter| letter.recipient.bucket())
        .collect();
    let rows = letters.iter().zip(&buckets).map(|(letter, bucket)| {
        [
            EventId::new(now).as_uuid().into(),
            letter.organization.as_uuid().into(),
            letter.actor.as_str().into(),
            bucket.as_str().into(),
            now.into(),
        ]
    });
    let into = "guestlist_letters (id, organization_id, actor, recipient, at)";
    connection.insert(into, rows.collect()).await?;
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
