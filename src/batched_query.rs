//! Batched queries: several small reads in one statement.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::connection::{Connection, Statement, sql};

/// One thing that holds. What it is about says which of the columns it fills.
#[derive(Debug, FromRow)]
pub(crate) struct Fact {
    about: String,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) number: Option<i64>,
    pub(crate) at: Option<DateTime<Utc>>,
}

/// Fixes the columns' names and types, so that a question may have NULL for those it leaves.
const NONE: &str = "SELECT CAST(NULL AS text) AS about, CAST(NULL AS text) AS name, \
                    CAST(NULL AS text) AS value, CAST(NULL AS bigint) AS number, \
                    CAST(NULL AS timestamptz) AS at WHERE 1 = 0";

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Facts(Vec<Fact>);

impl Facts {
    /// Asks questions, each a `SELECT` of the five columns of a [`Fact`], at one moment. No
    /// questions cost nothing.
    pub(crate) async fn ask(
        connection: &mut Connection<'_>,
        questions: Vec<Statement<'_>>,
    ) -> sqlx::Result<Self> {
        if questions.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let statement = questions.into_iter().fold(sql(NONE), Statement::union);
        connection.fetch_all(statement).await.map(Self)
    }

    /// What was found about something.
    pub(crate) fn about(&self, about: &str) -> impl Iterator<Item = &Fact> {
        self.0.iter().filter(move |fact| fact.about == about)
    }
}
