//! The count of letters promised, which the limits are held against.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::batched_query::Facts;
use crate::connection::{Connection, Insert, Statement, sql};
use crate::email_address::EmailAddress;
use crate::error::{Error, LimitKind};
use crate::id::{EventId, OrganizationId, UserId};
use crate::limits::{Limit, Limits};

/// A letter about to be promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) organization: OrganizationId,
    /// The member who causes it; `None` for the host and an operator, whom no limit of an actor binds.
    pub(crate) actor: Option<&'a UserId>,
    pub(crate) recipient: &'a EmailAddress,
}

/// The room that limits leave for some letters of one actor and one organization.
#[derive(Debug)]
pub(crate) struct LetterLimits {
    now: DateTime<Utc>,
    actor: Option<Window>,
    organization: Option<Window>,
    recipient: Option<Limit>,
    recipients: HashMap<String, Window>,
}

impl LetterLimits {
    /// Reads how much of the windows is used, as far as these letters can tell.
    pub(crate) async fn read(
        connection: &mut Connection<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'_>],
    ) -> Result<Self, Error> {
        let facts = Facts::ask(connection, Self::asks(limits, now, letters)).await?;
        Ok(Self::of(limits, now, letters, &facts))
    }

    /// Asks for the letters that these ones meet in the windows.
    pub(crate) fn asks<'a>(
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'a>],
    ) -> Vec<Statement<'a>> {
        macro_rules! latest {
            ($about:literal, $column:literal) => {
                sql(concat!(
                    "SELECT '",
                    $about,
                    "', NULL, NULL, NULL, at FROM (
                         SELECT at FROM guestlist_letters WHERE ",
                    $column,
                    " = $1 AND at > $2
                         ORDER BY at DESC LIMIT $3 OFFSET $4
                     ) AS latest"
                ))
            };
        }
        let Some(first) = letters.first() else {
            return Vec::new();
        };
        let far_end = |limit: Limit, latest: Statement<'a>| {
            let skipped = skipped(limit, letters.len());
            let rest = limit.capacity() - skipped;
            latest
                .bind(now - limit.window)
                .bind(rest as i64)
                .bind(skipped as i64)
        };
        let by_actor = limits.actor.zip(first.actor).map(|(limit, actor)| {
            let latest = latest!("letter of the actor", "actor");
            far_end(limit, latest.bind(actor.as_str()))
        });
        let by_organization = limits.organization.map(|limit| {
            let latest = latest!("letter of the organization", "organization_id");
            far_end(limit, latest.bind(first.organization.as_uuid()))
        });
        let to_recipients = limits.recipient.map(|limit| {
            let mut buckets: Vec<_> = letters
                .iter()
                .map(|letter| letter.recipient.bucket())
                .collect();
            buckets.sort_unstable();
            buckets.dedup();
            let statement = sql("SELECT 'letter to a recipient', recipient, NULL, NULL, at
                 FROM guestlist_letters WHERE at > $1 AND recipient IN ({})");
            statement.bind(now - limit.window).bind_list(buckets)
        });
        [by_actor, by_organization, to_recipients]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The room that limits leave for these letters, after the rows that were found.
    pub(crate) fn of(
        limits: &Limits,
        now: DateTime<Utc>,
        letters: &[Letter<'_>],
        facts: &Facts,
    ) -> Self {
        let is_member = letters.iter().all(|letter| letter.actor.is_some());
        let window = |limit: Limit, about| {
            let mut window = Window::empty(limit);
            window.skipped = skipped(limit, letters.len());
            window
                .at
                .extend(facts.about(about).filter_map(|fact| fact.at));
            window.newest_first()
        };
        let mut recipients = HashMap::new();
        if let Some(limit) = limits.recipient {
            for fact in facts.about("letter to a recipient") {
                let bucket = fact.name.clone().unwrap_or_default();
                let window = recipients
                    .entry(bucket)
                    .or_insert_with(|| Window::empty(limit));
                window.at.extend(fact.at);
            }
        }
        Self {
            now,
            actor: limits
                .actor
                .filter(|_| is_member)
                .map(|limit| window(limit, "letter of the actor")),
            organization: limits
                .organization
                .map(|limit| window(limit, "letter of the organization")),
            recipient: limits.recipient,
            recipients: recipients
                .into_iter()
                .map(|(bucket, window)| (bucket, window.newest_first()))
                .collect(),
        }
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

    fn newest_first(mut self) -> Self {
        self.at.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        self
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

/// How many of the newest letters of a window do not matter to `more` of them: only what these would
/// meet at its far end does.
fn skipped(limit: Limit, more: usize) -> usize {
    limit.capacity().saturating_sub(more)
}

/// Stands in the place of a user id, which is never empty, where the host or an operator acts.
const NO_MEMBER: &str = "";

/// Counts letters in, where anything is limited.
pub(crate) fn counted<'a>(
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
