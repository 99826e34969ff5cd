//! The sessions that hosts record, so that the worker can purge them when a membership ends.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::access;
use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, SessionKey, UserId};
use crate::lock;

/// A session whose membership ended and that is still to be purged.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct EndedSession {
    /// The user.
    #[sqlx(rename = "user_id")]
    pub user: UserId,
    /// The session's key in the host's store.
    pub session: SessionKey,
    /// `true` if the same session also belongs to another membership, and so stays in the store.
    pub is_shared: bool,
}

impl Guestlist {
    /// Records a session of a member, under its key in the host's session store.
    ///
    /// The key must not be the value of the session's cookie, because it is at rest here and in that
    /// store: somebody who can read either could sign in with it. Sign the cookie, or store sessions
    /// under a hash of it.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, SessionKey, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, bob: UserId, acme: OrganizationId, session: SessionKey) -> Result<(), Error> {
    /// // At sign-in, in the transaction that stores the session.
    /// guestlist.record_session(&mut *tx, acme, &bob, &session).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for a user that is not a member or is suspended.
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

    /// Lists the recorded sessions of a member.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let sessions = guestlist.sessions(&mut *connection, acme, &bob).await?;
    /// println!("signed in {} times", sessions.len());
    /// # Ok(())
    /// # }
    /// ```
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

    /// Deletes the record of a session that the host ended itself, after a sign-out for instance.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, SessionKey, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId, acme: OrganizationId, session: SessionKey) -> Result<(), Error> {
    /// // At sign-out, after the session is gone from its store.
    /// guestlist.forget_session(&mut *connection, acme, &bob, &session).await?;
    /// # Ok(())
    /// # }
    /// ```
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

/// Ends a member's sessions of one organization; the worker purges them.
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

/// Reads up to `limit` ended sessions of one organization, of `user` or of all users, for the
/// worker.
///
/// ```
/// # use guestlist::{Connection, Error, OrganizationId, worker};
/// # async fn example(connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
/// for ended in worker::ended_sessions(&mut *connection, acme, None, 100).await? {
///     if !ended.is_shared {
///         println!("delete {} from the session store", ended.session.as_str());
///     }
/// }
/// # Ok(())
/// # }
/// ```
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

/// Deletes the records of purged sessions in one statement, unless they were recorded again
/// meanwhile, and returns how many, for the worker.
///
/// Rows are locked in the order of their keys; otherwise two purges at the same time could
/// deadlock.
///
/// ```
/// # use guestlist::{Connection, Error, OrganizationId, worker};
/// # async fn example(tx: &mut Connection<'_>, acme: OrganizationId, purged: &[worker::EndedSession]) -> Result<(), Error> {
/// let forgotten = worker::forget_ended_sessions(&mut *tx, acme, purged).await?;
/// # Ok(())
/// # }
/// ```
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
