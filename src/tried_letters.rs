//! The letters that were tried lately, to tell a mass deferral from a few slow recipients.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use crate::attempt::Attempt;
use crate::connection::{Lend, sql};
use crate::error::Error;
use crate::id::AttemptId;

/// The maximum number of attempts that are read.
const MAX_READ: i64 = 5000;

/// The letters that were tried in the last [`WINDOW`](Self::WINDOW), each by the result of its latest
/// attempt. Of many attempts, those of the newest 5000 are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct TriedLetters {
    /// The number of letters.
    pub letters: i64,
    /// The number of those that were deferred or throttled.
    pub deferred: i64,
    /// The number of domains of the recipients of those.
    pub deferred_domains: i64,
    /// The reply to the latest attempt that was deferred or throttled.
    pub reply: Option<String>,
}

impl TriedLetters {
    /// The time over which letters are counted: longer than most waits of a deferred letter, so that
    /// letters that are deferred again and again stay in it.
    pub const WINDOW: TimeDelta = TimeDelta::minutes(30);

    /// The number of deferred letters, and of their domains, from which on it is a mass deferral. One
    /// domain may have a slow mail server or greylisting, and two may have the same.
    const MASS: (i64, i64) = (20, 3);

    /// Describes a mass deferral: more than half of the letters, and at least 20 to 3 domains, were
    /// deferred or throttled. `None` if there is none.
    pub fn mass_deferral(&self) -> Option<String> {
        let (letters, domains) = Self::MASS;
        let is_mass = self.deferred >= letters
            && self.deferred_domains >= domains
            && self.deferred * 2 > self.letters;
        is_mass.then(|| {
            format!(
                "{} of the {} letters tried in the last {} minutes were deferred or throttled, to {} \
                 domains; the latest reply: {}",
                self.deferred,
                self.letters,
                Self::WINDOW.num_minutes(),
                self.deferred_domains,
                self.reply.as_deref().unwrap_or("none"),
            )
        })
    }
}

/// Reads the letters that were tried in the last 30 minutes before `now`. Where accepted attempts are
/// not recorded, only the others are counted.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// let tried = worker::tried_letters(&mut *connection, guestlist.now()).await?;
/// if let Some(description) = tried.mass_deferral() {
///     println!("{description}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn tried_letters(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
) -> Result<TriedLetters, Error> {
    const COUNT: &str = const_format::formatcp!(
        "WITH newest AS (
             SELECT id, message_id, domain, reply,
                 CASE WHEN verdict IN ('{}', '{}') THEN 1 ELSE 0 END AS is_deferred
             FROM guestlist_attempts WHERE id >= $1 ORDER BY id DESC LIMIT {MAX_READ}),
         ranked AS (
             SELECT domain, is_deferred,
                 row_number() OVER (PARTITION BY message_id ORDER BY id DESC) AS place
             FROM newest)
         SELECT count(*) AS letters, CAST(coalesce(sum(is_deferred), 0) AS bigint) AS deferred,
             count(DISTINCT CASE WHEN is_deferred = 1 THEN domain END) AS deferred_domains,
             (SELECT reply FROM newest WHERE is_deferred = 1 ORDER BY id DESC LIMIT 1) AS reply
         FROM ranked WHERE place = 1",
        Attempt::DEFERRED,
        Attempt::THROTTLED
    );
    let since = AttemptId::lower_bound(now - TriedLetters::WINDOW);
    let statement = sql(COUNT).bind(since.as_uuid());
    let row = connection.lend().fetch_optional(statement).await?;
    Ok(row.unwrap_or_default())
}
