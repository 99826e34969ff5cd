//! The sessions a host recorded, so that the purge knows what to delete.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::access;
use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, SessionKey, UserId};
use crate::lock;

/// A session whose membership ended and which is still to be purged.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct EndedSession {
    /// Whose it was.
    #[sqlx(rename = "user_id")]
    pub user: UserId,
    /// The store's key of it.
    pub session: SessionKey,
    /// Whether the same session still serves another membership, and so stays in the store.
    pub is_shared: bool,
}

impl Guestlist {
    /// Records that a member signed in, under the key of the host's session store.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a user who is no member (any more) or is suspended.
    pub async fn record_session(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        user: &UserId,
        session: &SessionKey,
    ) -> Result<(), Error> {
        let mut connection = connection.lend();
        lock::organization(&mut connection, organization, self.now()).await?;
        let role = access::role_of(&mut connection, organization, user).await?;
        role.ok_or(Error::NotFound)?;
        let statement = sql(
            "INSERT INTO guestlist_sessions (organization_id, user_id, session, recorded_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (organization_id, user_id, session) DO UPDATE SET ended_at = NULL, recorded_at = $4",
        );
        let statement = statement.bind(organization.as_uuid()).bind(user.as_str());
        connection
            .execute(statement.bind(session.as_str()).bind(self.now()))
            .await?;
        Ok(())
    }

    /// The recorded sessions of a member.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sessions(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Vec<SessionKey>, Error> {
        let statement = sql("SELECT session FROM guestlist_sessions
             WHERE organization_id = $1 AND user_id = $2 AND ended_at IS NULL ORDER BY recorded_at, session");
        let statement = statement.bind(organization.as_uuid()).bind(user.as_str());
        let rows: Vec<(SessionKey,)> = connection.lend().fetch_all(statement).await?;
        Ok(rows.into_iter().map(|(session,)| session).collect())
    }

    /// Forgets a session the host itself ended, by a sign-out for instance.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget_session(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        user: &UserId,
        session: &SessionKey,
    ) -> Result<(), Error> {
        let statement = sql("DELETE FROM guestlist_sessions
                             WHERE organization_id = $1 AND user_id = $2 AND session = $3 AND ended_at IS NULL");
        let statement = statement
            .bind(organization.as_uuid())
            .bind(user.as_str())
            .bind(session.as_str());
        connection.lend().execute(statement).await?;
        Ok(())
    }
}

/// Ends a member's sessions of one organization; the purge deletes them.
pub(crate) async fn end(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_sessions SET ended_at = $3
                         WHERE organization_id = $1 AND user_id = $2 AND ended_at IS NULL");
    connection
        .execute(
            statement
                .bind(organization.as_uuid())
                .bind(user.as_str())
                .bind(now),
        )
        .await?;
    Ok(())
}

/// Ends every session of one organization.
pub(crate) async fn end_all(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    organization: OrganizationId,
) -> Result<(), Error> {
    let statement = sql(
        "UPDATE guestlist_sessions SET ended_at = $2 WHERE organization_id = $1 AND ended_at IS NULL",
    );
    connection
        .execute(statement.bind(organization.as_uuid()).bind(now))
        .await?;
    Ok(())
}

/// Up to `limit` ended sessions of one organization, of `user` or of everybody: the worker's side.
///
/// # Errors
/// [`Error::Database`].
pub async fn ended(
    connection: impl Lend<'_>,
    organization: OrganizationId,
    user: Option<&UserId>,
    limit: u32,
) -> Result<Vec<EndedSession>, Error> {
    macro_rules! ended {
        ($condition:literal) => {
            sql(concat!(
                "SELECT user_id, session, EXISTS (
                     SELECT 1 FROM guestlist_sessions AS other
                     WHERE other.session = ended.session AND other.ended_at IS NULL) AS is_shared
                 FROM guestlist_sessions AS ended
                 WHERE organization_id = $1 AND ended_at IS NOT NULL",
                $condition,
                " ORDER BY organization_id, user_id, session LIMIT $2"
            ))
        };
    }
    let statement = match user {
        Some(_) => ended!(" AND user_id = $3"),
        None => ended!(""),
    };
    let statement = statement
        .bind(organization.as_uuid())
        .bind(i64::from(limit));
    let statement = match user {
        Some(user) => statement.bind(user.as_str()),
        None => statement,
    };
    Ok(connection.lend().fetch_all(statement).await?)
}

/// Forgets purged sessions in one statement, unless they were recorded again meanwhile, and says how
/// many it forgot: the worker's side.
///
/// Rows are locked in the order of their keys, or two purges that meet would deadlock.
///
/// # Errors
/// [`Error::Database`].
pub async fn forget_ended(
    connection: impl Lend<'_>,
    organization: OrganizationId,
    sessions: &[EndedSession],
) -> Result<u64, Error> {
    let mut connection = connection.lend();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "WITH purged AS MATERIALIZED (
                 SELECT ended.user_id AS purged_user, ended.session AS purged_session
                 FROM guestlist_sessions AS ended
                 JOIN jsonb_to_recordset($2) AS named (user_id text, session text)
                     ON ended.user_id = named.user_id AND ended.session = named.session
                 WHERE ended.organization_id = $1 AND ended.ended_at IS NOT NULL
                 ORDER BY ended.user_id, ended.session FOR UPDATE OF ended)
             DELETE FROM guestlist_sessions USING purged
             WHERE organization_id = $1 AND user_id = purged_user AND session = purged_session"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "DELETE FROM guestlist_sessions
             WHERE organization_id = $1 AND ended_at IS NOT NULL AND (user_id, session) IN
                 (SELECT value ->> 'user_id', value ->> 'session' FROM json_each($2))"
        }
    };
    let named: Json = sessions
        .iter()
        .map(|ended| json!({ "user_id": ended.user.as_str(), "session": ended.session.as_str() }))
        .collect();
    let statement = sql(text).bind(organization.as_uuid()).bind(named);
    Ok(connection.execute(statement).await?)
}
