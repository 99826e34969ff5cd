//! Batched queries: several small reads in one statement.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::connection::{Connection, Statement, sql};

/// The read that a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[repr(i64)]
pub(crate) enum Tag {
    /// The role of the actor: `value`.
    ActorRole,
    /// A member: the canonical address as `name`, the user id as `value`.
    Member,
    /// An open invitation: the canonical address as `name`.
    OpenInvitation,
    /// The number of seats that members take: `number`.
    MemberSeats,
    /// The number of seats that open invitations take: `number`.
    PendingSeats,
    /// A counted letter of the actor: its time as `at`.
    ActorLetter,
    /// A counted letter of the organization: its time as `at`.
    OrganizationLetter,
    /// A counted letter to a recipient: the mailbox as `name`, its time as `at`.
    RecipientLetter,
}

/// A row of a batched query. The tag decides which of the other columns it has.
#[derive(Debug, FromRow)]
pub(crate) struct Row {
    tag: Tag,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) number: Option<i64>,
    pub(crate) at: Option<DateTime<Utc>>,
}

/// Fixes the names and types of the columns, so that a read may have NULL for those it does not use.
const NO_ROW: &str = "SELECT CAST(NULL AS bigint) AS tag, CAST(NULL AS text) AS name, \
                      CAST(NULL AS text) AS value, CAST(NULL AS bigint) AS number, \
                      CAST(NULL AS timestamptz) AS at WHERE 1 = 0";

/// Several reads that run as one statement.
#[derive(Debug, Default)]
pub(crate) struct BatchedQuery<'a>(Vec<Statement<'a>>);

impl<'a> BatchedQuery<'a> {
    /// Adds a `SELECT` of the five columns of a [`Row`], with `{tag}` as the first.
    pub(crate) fn add(&mut self, tag: Tag, read: Statement<'a>) {
        self.0.push(read.replace("{tag}", tag as i64));
    }

    /// Runs the reads. Without any it does not ask the database.
    pub(crate) async fn run(self, connection: &mut Connection<'_>) -> sqlx::Result<Rows> {
        if self.0.is_empty() {
            return Ok(Rows(Vec::new()));
        }
        let statement = self.0.into_iter().fold(sql(NO_ROW), Statement::union);
        connection.fetch_all(statement).await.map(Rows)
    }
}

/// The rows of a batched query.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// Returns the rows of one read.
    pub(crate) fn of(&self, tag: Tag) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |row| row.tag == tag)
    }
}
