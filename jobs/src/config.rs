//! The configuration of the worker and the command line from the environment.

mod database;
mod keys;
mod link;
mod reader;
mod role_model;
mod sessions;
#[cfg(test)]
mod tests;
mod unknown;
pub mod variables;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guestlist::{Builder, Database, Guestlist, KeyRing, Limits, RoleModel, Seats};

pub(crate) use self::database::redacted;
pub use self::database::{DatabaseError, InvalidDatabaseUrl};
pub use self::keys::{Keys, KeysError};
pub use self::link::{InvalidLinkTemplate, LinkTemplate};
use self::reader::Reader;
pub use self::reader::{ConfigError, Mistake};
pub use self::role_model::{UnreadRoleModel, read_role_model};
pub use self::sessions::{InvalidSessionStores, SessionStoreConfig};
use crate::attempt_log::AttemptLog;
use crate::envelope_from::EnvelopeFrom;
use crate::letters::ExtraHeaders;
use crate::mailbox::{InvalidMailbox, Mailbox};
use crate::mailer::MailerConfig;
use crate::rate::{InvalidRate, Rate};
use crate::redis_url::RedisUrl;

/// The validated configuration. [`variables::ALL`] documents each variable.
///
/// The debug format contains no secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `DATABASE_URL`; may contain a password.
    pub database_url: String,
    /// `REDIS_URL`.
    pub redis_url: Option<RedisUrl>,
    /// `SMTP_URL`, with `GUESTLIST_EHLO_NAME`.
    pub mailer: MailerConfig,
    /// `GUESTLIST_SMTP_RATE`; `None` if letters are not limited.
    pub smtp_rate: Option<Rate>,
    /// `GUESTLIST_FROM`.
    pub from: Mailbox,
    /// `GUESTLIST_ENVELOPE_FROM`; `None` for the address of [`from`](Self::from).
    pub envelope_from: Option<EnvelopeFrom>,
    /// `GUESTLIST_REPLY_TO`; `None` for the sender.
    pub reply_to: Option<Mailbox>,
    /// `GUESTLIST_HEADERS`.
    pub headers: ExtraHeaders,
    /// `GUESTLIST_LINK`.
    pub link: LinkTemplate,
    /// `GUESTLIST_KEYS`, or another source of keys.
    pub keys: Keys,
    /// `GUESTLIST_AUDIENCE`.
    pub audience: String,
    /// `GUESTLIST_TTL`.
    pub ttl: Duration,
    /// `GUESTLIST_REMINDER`: the time before expiry; `None` if it is off.
    pub reminder: Option<Duration>,
    /// `GUESTLIST_ROLES`.
    pub role_model: RoleModel,
    /// `GUESTLIST_TEMPLATES`.
    pub templates: Option<PathBuf>,
    /// `GUESTLIST_LIMITS`.
    pub limits: Limits,
    /// `GUESTLIST_SEATS`.
    pub seats: Seats,
    /// `GUESTLIST_SESSIONS`.
    pub sessions: Vec<SessionStoreConfig>,
    /// `GUESTLIST_CONCURRENCY`, in letters.
    pub concurrency: usize,
    /// `GUESTLIST_LETTERS_PER_CONNECTION`.
    pub letters_per_connection: u32,
    /// `GUESTLIST_DRAIN`.
    pub drain: Duration,
    /// `GUESTLIST_RETENTION`; `None` if it is off.
    pub retention: Option<Duration>,
    /// `GUESTLIST_ATTEMPTS`.
    pub attempt_log: AttemptLog,
    /// `GUESTLIST_LOG`.
    pub log: LogFormat,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object per line, for programs.
    Json,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Reads the environment of the process. A name close to that of a variable is a mistake too,
    /// because the intended variable would silently keep its default.
    ///
    /// # Errors
    /// [`ConfigError`] with all mistakes.
    pub fn from_env() -> Result<Self, ConfigError> {
        let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
        let names: Vec<_> = set
            .filter_map(|(name, _)| name.into_string().ok())
            .collect();
        let reader = Reader::new(&|name| std::env::var_os(name));
        Self::read_all(reader.misspelled(&names))
    }

    /// Reads variables through `lookup`.
    ///
    /// # Errors
    /// [`ConfigError`] with all mistakes.
    pub fn read(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        Self::read_all(Reader::new(lookup))
    }

    fn read_all(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let database_url = reader.required(variables::DATABASE_URL, database::check);
        let redis_url = reader.optional(variables::REDIS_URL, str::parse);
        let ttl = reader.required(variables::TTL, |text| {
            duration(text, SECOND..=Builder::MAX_LIFETIME)
        });
        let config = Self {
            mailer: mailer(&mut reader),
            smtp_rate: reader.required(variables::SMTP_RATE, smtp_rate),
            from: reader.required(variables::FROM, str::parse),
            envelope_from: reader.optional(variables::ENVELOPE_FROM, str::parse),
            reply_to: reader.optional(variables::REPLY_TO, reply_to),
            headers: reader.required(variables::HEADERS, str::parse),
            link: reader.required(variables::LINK, str::parse),
            keys: keys(&mut reader, &database_url),
            audience: reader.required(variables::AUDIENCE, audience),
            reminder: reminder(&mut reader, ttl),
            role_model: reader.required(variables::ROLES, role_model),
            templates: reader.optional(variables::TEMPLATES, folder),
            limits: reader.required(variables::LIMITS, limits),
            seats: reader.required(variables::SEATS, seats),
            sessions: session_stores(&mut reader, redis_url.as_ref()),
            concurrency: reader.required(variables::CONCURRENCY, concurrency),
            letters_per_connection: reader
                .required(variables::LETTERS_PER_CONNECTION, letters_per_connection),
            drain: reader.required(variables::DRAIN, |text| duration(text, SECOND..=HOUR)),
            retention: reader.required(variables::RETENTION, |text| {
                duration_or_off(text, DAY..=Duration::MAX)
            }),
            attempt_log: reader.required(variables::ATTEMPTS, attempt_log),
            log: reader.required(variables::LOG, str::parse),
            database_url,
            redis_url,
            ttl,
        };
        reader.finish()?;
        Ok(config)
    }

    /// Opens the database with at most `connections` connections. An SQLite file is migrated;
    /// Postgres must already have the schema of this version.
    ///
    /// # Errors
    /// [`DatabaseError`], in one line and without the password.
    pub async fn open(&self, connections: u32) -> Result<Database, DatabaseError> {
        database::open(&self.database_url, connections).await
    }

    /// Opens the database with any schema, to migrate it.
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`].
    pub async fn connect(&self, connections: u32) -> Result<Database, DatabaseError> {
        database::connect(&self.database_url, connections).await
    }

    /// Creates the library, configured with `key_ring`.
    pub fn guestlist(&self, key_ring: KeyRing) -> Guestlist {
        Guestlist::builder()
            .role_model(self.role_model.clone())
            .lifetime(self.ttl)
            .key_ring(key_ring)
            .audience(&self.audience)
            .limits(self.limits.clone())
            .seats(self.seats)
            .build()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("database_url", &redacted(&self.database_url))
            .field("redis_url", &self.redis_url)
            .field("mailer", &self.mailer)
            .field("smtp_rate", &self.smtp_rate)
            .field("from", &self.from)
            .field("envelope_from", &self.envelope_from)
            .field("reply_to", &self.reply_to)
            .field("headers", &self.headers)
            .field("link", &self.link)
            .field("keys", &self.keys)
            .field("audience", &self.audience)
            .field("ttl", &self.ttl)
            .field("reminder", &self.reminder)
            .field("templates", &self.templates)
            .field("limits", &self.limits)
            .field("seats", &self.seats)
            .field("sessions", &self.sessions)
            .field("concurrency", &self.concurrency)
            .field("letters_per_connection", &self.letters_per_connection)
            .field("drain", &self.drain)
            .field("retention", &self.retention)
            .field("attempt_log", &self.attempt_log)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is not a log format")),
        }
    }
}

fn mailer(reader: &mut Reader<'_>) -> MailerConfig {
    let mailer: MailerConfig = reader.required(variables::SMTP_URL, str::parse);
    match reader.optional(variables::EHLO_NAME, str::parse) {
        Some(name) => mailer.with_ehlo_name(name),
        None => mailer,
    }
}

fn smtp_rate(text: &str) -> Result<Option<Rate>, InvalidRate> {
    if text == "none" {
        Ok(None)
    } else {
        text.parse().map(Some)
    }
}

/// Parses the mailbox of Reply-To. An address that is not ASCII would make every letter depend on
/// SMTPUTF8 (RFC 6531).
fn reply_to(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text
        .parse()
        .map_err(|problem: InvalidMailbox| problem.to_string())?;
    if mailbox.address.as_str().is_ascii() {
        Ok(mailbox)
    } else {
        Err("not every mail server accepts an address that is not ASCII".to_owned())
    }
}

fn keys(reader: &mut Reader<'_>, database_url: &str) -> Keys {
    match (
        reader.optional(variables::KEYS, str::parse),
        database::sqlite_file(database_url),
    ) {
        (Some(ring), _) => Keys::Given(ring),
        (None, Some(mut file)) => {
            file.as_mut_os_string().push(".keys");
            Keys::Beside(file)
        }
        (None, None) => Keys::Absent,
    }
}

fn audience(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=255 => Ok(text.to_owned()),
        count => Err(format!("{count} characters")),
    }
}

/// Reads the reminder time. If it exceeds the TTL, the default is disabled, and an explicit value
/// is a mistake.
fn reminder(reader: &mut Reader<'_>, ttl: Duration) -> Option<Duration> {
    let reminder = reader.required(variables::REMINDER, |text| {
        duration_or_off(text, SECOND..=Duration::MAX)
    });
    let Some(before) = reminder.filter(|before| *before >= ttl) else {
        return reminder;
    };
    if reader.is_set(variables::REMINDER) {
        let (ttl, before) = (in_words(ttl), in_words(before));
        reader.mistake(
            variables::REMINDER,
            format!("{before} is not shorter than GUESTLIST_TTL, {ttl}"),
        );
    }
    None
}

fn role_model(text: &str) -> Result<RoleModel, String> {
    if let Some(preset) = RoleModel::preset(text) {
        return Ok(preset);
    }
    read_role_model(Path::new(text)).map_err(|problem| match problem {
        UnreadRoleModel::File(problem) => {
            format!("{text} is not a preset and cannot be read as a file: {problem}")
        }
        problem => format!("{text}: {problem}"),
    })
}

/// Parses the limits. The library's own hint is left out, because the expected form follows every
/// mistake.
fn limits(text: &str) -> Result<Limits, String> {
    text.parse().map_err(|_| {
        let mut parts = text.split(',').map(str::trim);
        let wrong = parts.find(|part| part.parse::<Limits>().is_err());
        format!("{:?} is not a limit", wrong.unwrap_or(text))
    })
}

fn seats(text: &str) -> Result<Seats, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number of seats"))
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() {
        Ok(path)
    } else {
        Err(format!("{text} is not a folder"))
    }
}

fn session_stores(
    reader: &mut Reader<'_>,
    redis_url: Option<&RedisUrl>,
) -> Vec<SessionStoreConfig> {
    let own = reader.optional(variables::SESSIONS_REDIS_URL, str::parse);
    let url = own.as_ref().or(redis_url);
    // An invalid URL is already reported; it must not be reported as missing too.
    let urls = [variables::REDIS_URL, variables::SESSIONS_REDIS_URL];
    let is_told = urls.into_iter().any(|url| reader.has_mistake(url));
    let stores = reader.optional(variables::SESSIONS, |text| {
        match sessions::parse(text, url) {
            Err(InvalidSessionStores::NoRedis) if is_told => Ok(Vec::new()),
            parsed => parsed,
        }
    });
    let default = || sessions::parse(if url.is_some() { "redis" } else { "none" }, url);
    stores.or_else(|| default().ok()).unwrap_or_default()
}

fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(letters @ 1..=1000) => Ok(letters),
        _ => Err(format!("{text:?} is not a number in this range")),
    }
}

fn letters_per_connection(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(letters @ 1..=10_000) => Ok(letters),
        _ => Err(format!("{text:?} is not a number in this range")),
    }
}

fn attempt_log(text: &str) -> Result<AttemptLog, String> {
    if text == "failures" {
        return Ok(AttemptLog::Failures);
    }
    let kept = duration_or_off(text, DAY..=3650 * DAY)?;
    Ok(kept.map_or(AttemptLog::Off, AttemptLog::All))
}

fn duration(text: &str, range: std::ops::RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|problem| format!("{text:?} is not a duration ({problem})"))?;
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{text:?} is out of range"))
    }
}

/// Formats a duration for people: `8 days 12h`, with a space before words.
fn in_words(duration: Duration) -> String {
    let words = humantime::format_duration(duration).to_string();
    ["year", "month", "day"]
        .into_iter()
        .fold(words, |words, unit| {
            words.replace(unit, &format!(" {unit}"))
        })
}

fn duration_or_off(
    text: &str,
    range: std::ops::RangeInclusive<Duration>,
) -> Result<Option<Duration>, String> {
    if text == "off" {
        Ok(None)
    } else {
        duration(text, range).map(Some)
    }
}
