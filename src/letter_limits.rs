//! The check of the letter limits against the letters counted so far.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::batched_query::{BatchedQuery, Rows, Tag};
use crate::connection::{Connection, Insert, Statement, sql};
use crate::email_address::EmailAddress;
use crate::error::{Error, LimitKind};
use crate::id::{EventId, OrganizationId, UserId};
use crate::limits::{Limit, Limits};

/// A letter about to be queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) organization: OrganizationId,
    /// The member that causes it; `None` for the host and an operator, which have no limit per actor.
    pub(crate) actor: Option<&'a UserId>,
    pub(crate) recipient: &'a EmailAddress,
}

/// The letters that the limits still allow to one actor and one organization.
#[derive(Debug)]
pub(crate) struct LetterLimits {
    now: DateTime<Utc>,
    actor: Option<Window>,
    organization: Option<Window>,
    recipient: Option<Limit>,
    recipients: HashMap<String, Window>,
}

impl LetterLimits {
    /// Reads how far the limits are used, as far as it matters to these letters.
    pub(crate) async fn read(
        connection: &mut Connection<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'_>],
    ) -> Result<Self, Error> {
        let mut query = BatchedQuery::default();
        Self::add_letters(&mut query, limits, now, letters);
        let rows = query.run(connection).await?;
        Ok(Self::of(limits, now, letters, &rows))
    }

    /// Adds the reads of the counted letters that matter to these ones.
    pub(crate) fn add_letters<'a>(
        query: &mut BatchedQuery<'a>,
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'a>],
    ) {
        macro_rules! latest {
            ($column:literal) => {
                sql(concat!(
                    "SELECT {tag}, NULL, NULL, NULL, at FROM (
                         SELECT at FROM guestlist_letters WHERE ",
                    $column,
                    " = $1 AND at > $2
                         ORDER BY at DESC LIMIT $3 OFFSET $4
                     ) AS latest"
                ))
            };
        }
        let Some(first) = letters.first() else {
            return;
        };
        let far_end = |limit: Limit, latest: Statement<'a>| {
            let skipped = skipped(limit, letters.len());
            let rest = limit.capacity() - skipped;
            latest
                .bind(now - limit.window)
                .bind(rest as i64)
                .bind(skipped as i64)
        };
        if let Some((limit, actor)) = limits.actor.zip(first.actor) {
            let latest = latest!("actor").bind(actor.as_str());
            query.add(Tag::ActorLetter, far_end(limit, latest));
        }
        if let Some(limit) = limits.organization {
            let latest = latest!("organization_id").bind(first.organization.as_uuid());
            query.add(Tag::OrganizationLetter, far_end(limit, latest));
        }
        if let Some(limit) = limits.recipient {
            let mut buckets: Vec<_> = letters
                .iter()
                .map(|letter| letter.recipient.bucket())
                .collect();
            buckets.sort_unstable();
            buckets.dedup();
            let statement = sql("SELECT {tag}, recipient, NULL, NULL, at
                 FROM guestlist_letters WHERE at > $1 AND recipient IN ({})");
            let statement = statement.bind(now - limit.window).bind_list(buckets);
            query.add(Tag::RecipientLetter, statement);
        }
    }

    /// Returns the limits after the letters that [`add_letters`](Self::add_letters) read.
    pub(crate) fn of(
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'_>],
        rows: &Rows,
    ) -> Self {
        let is_member = letters.iter().all(|letter| letter.actor.is_some());
        let window = |limit: Limit, tag| {
            let mut window = Window::empty(limit);
            window.skipped = skipped(limit, letters.len());
            window.at.extend(rows.of(tag).filter_map(|row| row.at));
            window.newest_first()
        };
        let mut recipients = HashMap::new();
        if let Some(limit) = limits.recipient {
            for row in rows.of(Tag::RecipientLetter) {
                let bucket = row.name.clone().unwrap_or_default();
                let window = recipients
                    .entry(bucket)
                    .or_insert_with(|| Window::empty(limit));
                window.at.extend(row.at);
            }
        }
        Self {
            now,
            actor: limits
                .actor
                .filter(|_| is_member)
                .map(|limit| window(limit, Tag::ActorLetter)),
            organization: limits
                .organization
                .map(|limit| window(limit, Tag::OrganizationLetter)),
            recipient: limits.recipient,
            recipients: recipients
                .into_iter()
                .map(|(bucket, window)| (bucket, window.newest_first()))
                .collect(),
        }
    }

    /// Counts one more letter, or fails with the limit that is reached and the time to wait.
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

/// The sliding window of one limit.
#[derive(Debug)]
struct Window {
    limit: Limit,
    /// The times of the letters in the window, newest first, without the `skipped` newest.
    at: Vec<DateTime<Utc>>,
    skipped: usize,
    /// The number of letters admitted now, on top of the stored ones.
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

    fn newest_first(mut self) -> Self {
        self.at.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        self
    }

    /// Returns the time until the window has room again if it is full: until the letter that is
    /// `capacity` letters back leaves the window.
    fn full(&self, now: DateTime<Utc>) -> Option<Duration> {
        let Some(back) = self.limit.capacity().checked_sub(self.promised + 1) else {
            return Some(self.limit.window);
        };
        let at = self.at.get(back.checked_sub(self.skipped)?)?;
        Some(whole_seconds(*at + self.limit.window - now))
    }
}

/// Returns how many of the newest letters of a window cannot matter to `more` new ones: only the
/// letters at the old end of the window decide.
fn skipped(limit: Limit, more: usize) -> usize {
    limit.capacity().saturating_sub(more)
}

/// Stored in place of a user id, which is never empty, if the host or an operator acts.
const NO_MEMBER: &str = "";

/// Returns the rows that count these letters, if anything is limited.
pub(crate) fn count_rows<'a>(
    limits: &Limits,
    now: DateTime<Utc>,
    letters: &[Letter<'a>],
) -> Insert<'a> {
    let is_limited = !limits.longest_window().is_zero();
    let rows = letters.iter().filter(|_| is_limited).map(|letter| {
        [
            EventId::new(now).as_uuid().into(),
            letter.organization.as_uuid().into(),
            letter.actor.map_or(NO_MEMBER, UserId::as_str).into(),
            letter.recipient.bucket().into(),
            now.into(),
        ]
    });
    let into = "guestlist_letters (id, organization_id, actor, recipient, at)";
    Insert::new(into, rows)
}

/// Rounds up, so that a retry after that time succeeds.
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
