//! The order in which organizations are served: one after the other.

use uuid::Uuid;

use super::Priority;
use crate::connection::{Connection, sql};
use crate::error::Error;
use crate::id::OrganizationId;

/// The maximum number of organizations that one lease visits, so that its cost does not grow with
/// the number of organizations that wait.
const MAX_VISITS: usize = 256;

/// The minimum number, even for a small lease: some of them may have no message that is due yet.
const MIN_VISITS: usize = 32;

/// A cursor over the organizations that have messages of one priority.
///
/// A relay keeps one per priority and passes it to [`lease`](super::lease), which continues after
/// the organization served last. It is only a position in an index: if it is lost, a few
/// organizations wait a round longer, and several relays need not agree on it.
#[derive(Debug, Clone)]
pub struct FairCursor {
    priority: Priority,
    /// The organization served last; the ones with lower ids come next.
    before: Uuid,
}

/// Organizations in the order in which they are served, each with messages that may be due.
pub(super) struct Round {
    pub(super) organizations: Vec<OrganizationId>,
    /// `true` if no other organization has messages of this priority.
    pub(super) is_complete: bool,
}

impl FairCursor {
    /// Makes a cursor at the start, for messages of this priority.
    pub fn of(priority: Priority) -> Self {
        Self {
            priority,
            before: Uuid::max(),
        }
    }

    /// Returns the priority.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Reads the organizations that are next, in one index step each. `wanted` messages determine
    /// how many are visited.
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

    /// Runs a loose index scan, which neither database does by itself. It goes backwards, from the
    /// newest message of each organization, because in Postgres the index entries of messages
    /// deleted since the last vacuum lie before the oldest one.
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

    /// Moves the cursor to this organization; the next round continues after it.
    pub(super) fn served(&mut self, organization: OrganizationId) {
        self.before = organization.as_uuid();
    }
}
