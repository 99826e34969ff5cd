//! Whose turn it is: organizations are leased from one after the other.

use uuid::Uuid;

use super::Priority;
use crate::connection::{Connection, sql};
use crate::error::Error;
use crate::id::OrganizationId;

/// The most organizations that one lease visits: what a lease costs does not depend on how many
/// wait.
const MAX_VISITS: usize = 256;

/// The fewest, however little is wanted: some of them may have nothing that is due yet.
const MIN_VISITS: usize = 32;

/// Whose turn it is among the organizations with messages of one priority.
///
/// A relay keeps one for each priority and lends it to [`lease`](super::lease), which goes on
/// where it stopped. It is a place in an index and no truth: losing it costs a few organizations
/// their place in the round, and several relays need not agree.
#[derive(Debug, Clone)]
pub struct Turn {
    priority: Priority,
    /// The organization served last: whose ids are below it come next.
    before: Uuid,
}

/// Organizations in the order of their turn, each with messages that may be due.
pub(super) struct Round {
    pub(super) organizations: Vec<OrganizationId>,
    /// Whether there are none besides.
    pub(super) is_complete: bool,
}

impl Turn {
    /// The first turn among messages of this priority.
    pub fn of(priority: Priority) -> Self {
        Self {
            priority,
            before: Uuid::max(),
        }
    }

    /// The priority it is about.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The organizations whose turn it is, at most as many as may be worth a visit where `wanted`
    /// messages are wanted, each one step in an index.
    pub(super) async fn round(
        &self,
        connection: &mut Connection<'_>,
        wanted: usize,
    ) -> Result<Round, Error> {
        let most = wanted.clamp(MIN_VISITS, MAX_VISITS);
        let mut organizations = self.walk(connection, self.before, most).await?;
        let is_at_the_end = organizations.len() < most;
        if !is_at_the_end || self.before.is_max() {
            return Ok(Round {
                organizations,
                is_complete: is_at_the_end,
            });
        }
        let missing = most - organizations.len();
        let from_the_start = self.walk(connection, Uuid::max(), missing).await?;
        let is_cut = from_the_start.len() == missing;
        let found = from_the_start.len();
        let round = from_the_start
            .into_iter()
            .take_while(|organization| organization.as_uuid() >= self.before);
        let unseen = organizations.len();
        organizations.extend(round);
        let is_closed = organizations.len() - unseen < found;
        Ok(Round {
            organizations,
            is_complete: is_closed || !is_cut,
        })
    }

    /// A loose index scan, which neither database does by itself. Backwards, so that it meets the
    /// newest message of each organization: in front of the oldest lie Postgres's entries of those
    /// that were done since the last vacuum.
    async fn walk(
        &self,
        connection: &mut Connection<'_>,
        before: Uuid,
        most: usize,
    ) -> Result<Vec<OrganizationId>, Error> {
        let statement = sql("WITH RECURSIVE walk (organization) AS (
                 SELECT (SELECT organization_id FROM guestlist_outbox
                     WHERE dead_at IS NULL AND priority = $1 AND organization_id < $2
                     ORDER BY organization_id DESC LIMIT 1)
                 UNION ALL
                 SELECT (SELECT organization_id FROM guestlist_outbox
                     WHERE dead_at IS NULL AND priority = $1 AND organization_id < walk.organization
                     ORDER BY organization_id DESC LIMIT 1)
                 FROM walk WHERE organization IS NOT NULL)
             SELECT organization FROM walk WHERE organization IS NOT NULL LIMIT $3");
        let statement = statement.bind(self.priority.get()).bind(before);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let walked: Vec<(OrganizationId,)> = connection.fetch_all(statement.bind(most)).await?;
        Ok(walked.into_iter().map(|(id,)| id).collect())
    }

    /// Goes on behind this organization the next time.
    pub(super) fn served(&mut self, organization: OrganizationId) {
        self.before = organization.as_uuid();
    }
}
