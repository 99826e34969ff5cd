//! The record of attempts to send letters: one row for each try, written when its outcome is settled.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::{Connection, Dialect, Insert, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{AttemptId, InvitationId, MessageId, OrganizationId};
use crate::outbox::{Message, Task};
use crate::page::{Page, Paging};
use crate::smtp_reply_line::one_line_of;

/// The maximum length of a stored reply, in characters.
const MAX_REPLY: usize = 200;

/// The maximum number of attempts that [`accepted_since`] reads.
const MAX_READ: i64 = 1000;

/// One attempt to send a letter. It holds no address, only the recipient's domain.
///
/// The worker writes it in the transaction that records the outcome, and deletes it by its age. A
/// letter that was not tried, because its worker stopped or the mail server was known to be down, has
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Attempt {
    /// The id, made from the time of the attempt, so ids grow with time.
    pub id: AttemptId,
    /// The outbox message of the letter, which also names the letter in its Message-ID.
    #[sqlx(rename = "message_id")]
    pub message: MessageId,
    /// The invitation, unless the letter is about none.
    #[sqlx(rename = "invitation_id")]
    pub invitation: Option<InvitationId>,
    /// The organization.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// The kind of message, such as `send_invitation`.
    pub kind: String,
    /// The number of the invitation's letter; `None` for a notice.
    pub letter: Option<i64>,
    /// The number of the attempt. Attempts that failed for another reason than this letter or its
    /// recipient are not counted, so the next one has the same number.
    pub attempt: i64,
    /// The time at which it began.
    pub at: DateTime<Utc>,
    /// The worker that made it.
    pub worker: String,
    /// The verdict in one word; [`Attempt::ACCEPTED`] if the mail server took the letter. A later
    /// version may write other words.
    pub verdict: String,
    /// The reply of the mail server.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub detail: AttemptDetail,
    /// The duration, in milliseconds.
    pub duration_ms: i64,
    /// The domain of the recipient's address, in lower-case ASCII.
    pub domain: String,
}

/// The reply of the mail server to an attempt, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct AttemptDetail {
    /// The step of the SMTP session that was answered or failed.
    pub stage: Option<String>,
    /// The reply code (RFC 5321 section 4.2).
    pub code: Option<i64>,
    /// The enhanced status code (RFC 3463), such as `5.1.1`.
    pub enhanced: Option<String>,
    /// The text of the reply or of the failure, of which 200 characters are stored. Addresses in it
    /// have to be masked.
    pub reply: Option<String>,
    /// The id under which the mail server queued the letter.
    pub queue_id: Option<String>,
}

const COLUMNS: &str = "id, message_id, invitation_id, organization_id, kind, letter, attempt, at, worker, \
                       verdict, stage, code, enhanced, reply, queue_id, duration_ms, domain";

impl Attempt {
    /// The verdict on a letter that the mail server took responsibility for.
    pub const ACCEPTED: &str = "accepted";

    /// The verdict on a letter whose recipient cannot be reached now.
    pub const DEFERRED: &str = "deferred";

    /// The verdict on a letter that the mail server did not take because too many came at once.
    pub const THROTTLED: &str = "throttled";

    /// Makes an attempt of `worker` to send the letter of a message, begun at `at`, without a reply
    /// and a duration. Invitation and letter are those of an invitation's letter.
    pub fn new(
        at: DateTime<Utc>,
        message: &Message,
        to: &EmailAddress,
        worker: impl Into<String>,
        verdict: impl Into<String>,
    ) -> Self {
        let (invitation, letter) = match message.task() {
            Some(
                Task::SendInvitation { invitation, letter }
                | Task::SendReminder { invitation, letter },
            ) => (Some(invitation), Some(letter)),
            _ => (None, None),
        };
        Self {
            id: AttemptId::new(at),
            message: message.id,
            invitation,
            organization: message.organization,
            kind: message.kind.clone(),
            letter,
            attempt: message.attempts + 1,
            at,
            worker: worker.into(),
            verdict: verdict.into(),
            detail: AttemptDetail::default(),
            duration_ms: 0,
            domain: to.domain().to_owned(),
        }
    }

    /// Returns `true` if the mail server took the letter.
    pub fn is_accepted(&self) -> bool {
        self.verdict == Self::ACCEPTED
    }
}

impl Guestlist {
    /// Reads the attempts to send the letters of an invitation, newest first, those of notices about
    /// it included. Old attempts are deleted by the worker.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, InvitationId, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, id: InvitationId) -> Result<(), Error> {
    /// let page = guestlist.attempts(&mut *connection, id, &Paging::first(20)).await?;
    /// for attempt in page.items {
    ///     let reply = attempt.detail.reply.unwrap_or_default();
    ///     println!("{}: {} {reply}", attempt.at, attempt.verdict);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn attempts(
        &self,
        connection: impl Lend<'_>,
        invitation: InvitationId,
        paging: &Paging,
    ) -> Result<Page<Attempt>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_attempts WHERE invitation_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let statement = sql(LIST)
            .bind(invitation.as_uuid())
            .bind(paging.key()?.unwrap_or(Uuid::max()))
            .bind(paging.fetch_limit());
        let attempts = connection.lend().fetch_all(statement).await?;
        Ok(Page::of(attempts, paging, |attempt: &Attempt| {
            attempt.id.to_string()
        }))
    }
}

/// Records attempts in one statement. It fails if one is recorded already; see
/// [`record_attempts_again`].
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Attempt, Connection, Error, outbox, worker};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, message: outbox::Message) -> Result<(), Error> {
/// let bob = "bob@acme.example".parse()?;
/// let mut attempt = Attempt::new(now, &message, &bob, "worker-1", Attempt::ACCEPTED);
/// attempt.detail.reply = Some("250 2.0.0 queued as 4F1A2".to_owned());
/// worker::record_attempts(&mut *tx, &[attempt]).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn record_attempts(connection: impl Lend<'_>, attempts: &[Attempt]) -> Result<(), Error> {
    insert(&mut connection.lend(), rows(attempts)).await
}

/// Records attempts like [`record_attempts`], and skips those that are recorded already: for a
/// transaction that is repeated because its commit was not answered. Every row costs more than there.
///
/// ```
/// # use guestlist::{Attempt, Connection, Error, worker};
/// # async fn example(tx: &mut Connection<'_>, attempts: &[Attempt]) -> Result<(), Error> {
/// worker::record_attempts_again(&mut *tx, attempts).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn record_attempts_again(
    connection: impl Lend<'_>,
    attempts: &[Attempt],
) -> Result<(), Error> {
    insert(&mut connection.lend(), rows(attempts).skip_existing()).await
}

async fn insert(connection: &mut Connection<'_>, rows: Insert<'_>) -> Result<(), Error> {
    connection.require_transaction()?;
    Ok(connection.insert(vec![rows]).await?)
}

fn rows(attempts: &[Attempt]) -> Insert<'_> {
    const INTO: &str = const_format::formatcp!("guestlist_attempts ({COLUMNS})");
    let rows = attempts.iter().map(|attempt| {
        let detail = &attempt.detail;
        let short =
            |text: &Option<String>| text.as_deref().map(|text| one_line_of(text, MAX_REPLY));
        [
            attempt.id.as_uuid().into(),
            attempt.message.as_uuid().into(),
            attempt.invitation.map(|id| id.as_uuid()).into(),
            attempt.organization.as_uuid().into(),
            attempt.kind.as_str().into(),
            attempt.letter.into(),
            attempt.attempt.into(),
            attempt.at.into(),
            attempt.worker.as_str().into(),
            attempt.verdict.as_str().into(),
            detail.stage.as_deref().into(),
            detail.code.into(),
            detail.enhanced.as_deref().into(),
            short(&detail.reply).into(),
            short(&detail.queue_id).into(),
            attempt.duration_ms.into(),
            attempt.domain.as_str().into(),
        ]
    });
    Insert::new(INTO, rows)
}

/// Deletes up to `limit` attempts older than `before`, to the millisecond, and returns how many.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
/// let before = guestlist.now() - chrono::TimeDelta::days(30);
/// let deleted = worker::delete_old_attempts(&mut *tx, before, 1000).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn delete_old_attempts(
    connection: impl Lend<'_>,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, Error> {
    const OLDEST: &str = "SELECT id FROM guestlist_attempts WHERE id < $1 ORDER BY id LIMIT $2";
    let mut connection = connection.lend();
    // As an array the ids are few to Postgres, which would read the whole table for a subquery.
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => const_format::formatcp!(
            "DELETE FROM guestlist_attempts WHERE id = ANY (ARRAY({OLDEST}))"
        ),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            const_format::formatcp!("DELETE FROM guestlist_attempts WHERE id IN ({OLDEST})")
        }
    };
    let statement = sql(text)
        .bind(AttemptId::lower_bound(before).as_uuid())
        .bind(i64::from(limit));
    Ok(connection.execute(statement).await?)
}

/// Returns `true` if an attempt since `since`, to the millisecond, was accepted. Reads at most the
/// newest 1000 attempts: after so many that were not accepted the answer is `false`, as it is if
/// accepted attempts are not recorded.
///
/// The limit can only turn `true` into `false`: a letter that was refused is then tried again instead
/// of given up, until one of the newest 1000 attempts was accepted. So many without an acceptance in
/// between do not show that the server accepts letters now.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// let since = guestlist.now() - chrono::TimeDelta::minutes(10);
/// if !worker::accepted_since(&mut *connection, since).await? {
///     // A refusal may be the mail server's fault and not the recipient's.
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn accepted_since(
    connection: impl Lend<'_>,
    since: DateTime<Utc>,
) -> Result<bool, Error> {
    const ACCEPTED: &str = const_format::formatcp!(
        "SELECT count(*) FROM (
             SELECT verdict FROM (
                 SELECT verdict FROM guestlist_attempts WHERE id >= $1 ORDER BY id DESC LIMIT {MAX_READ}
             ) AS newest WHERE verdict = '{}' LIMIT 1
         ) AS accepted",
        Attempt::ACCEPTED
    );
    let statement = sql(ACCEPTED).bind(AttemptId::lower_bound(since).as_uuid());
    Ok(connection.lend().fetch_count(statement).await? > 0)
}
