//! The table of the variables that the worker and the command line read.

/// An environment variable.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The value used while it is unset or empty; empty if there is none.
    pub default: &'static str,
    /// The form of its value.
    pub expected: &'static str,
    /// The meaning of its value.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident: $name:literal = $default:literal, $expected:literal, $meaning:literal;)+) => {
        $(pub(super) const $constant: Variable =
            Variable { name: $name, default: $default, expected: $expected, meaning: $meaning };)+

        /// All variables, in the order in which they are documented.
        pub const ALL: &[Variable] = &[$($constant),+];
    };
}

variables! {
    DATABASE_URL: "DATABASE_URL" = "sqlite:guestlist.db",
        "sqlite:FILE or postgres://user:password@host/database",
        "Where organizations, members, invitations and jobs are stored. An SQLite file is created \
         and migrated when it is first used; Postgres is migrated by `guestlist migrate`.";
    REDIS_URL: "REDIS_URL" = "",
        "redis://host:port/database, redis+sentinel://host:port,host:port/MASTER/database or \
         redis+cluster://host:port,host:port; rediss… for TLS, with ?tls_ca=PATH if a private \
         authority signed the certificates",
        "Dispatches jobs to several workers. Without it the queue is inside the one worker.";
    SMTP_URL: "SMTP_URL" = "file:letters",
        "smtp://user:password@host:port, smtps://… or file:FOLDER",
        "Where letters are sent. `file:` writes each as an .eml file instead.";
    SMTP_RATE: "GUESTLIST_SMTP_RATE" = "none",
        "none, or letters per second from 0.01 to 10000, such as 14 or 0.5",
        "The maximum number of letters that all workers together send, or write to a folder. \
         Without Redis it applies to each worker.";
    FROM: "GUESTLIST_FROM" = "Guestlist <guestlist@example.com>",
        "an address, or a name and an address such as Acme <team@acme.example>",
        "The sender of letters.";
    LINK: "GUESTLIST_LINK" = "http://localhost:3000/invitations/{token}",
        "an http or https URL with {token} once, in its path, query or fragment",
        "The page of your application that an invitation's link leads to.";
    KEYS: "GUESTLIST_KEYS" = "",
        "id:base64 as `guestlist keys new` prints it, several separated by commas, the first signs",
        "The keys that sign links. With SQLite and without this variable, one is created and kept in \
         FILE.keys beside the database.";
    AUDIENCE: "GUESTLIST_AUDIENCE" = "guestlist",
        "1 to 255 characters",
        "The audience of links; must be the same text as `Guestlist::builder().audience(…)` in your \
         application, or neither accepts the other's links.";
    TTL: "GUESTLIST_TTL" = "7d",
        "a duration from 1s to 366d, such as 7d or 12h 30m",
        "How long an invitation can be accepted.";
    REMINDER: "GUESTLIST_REMINDER" = "2d",
        "a duration shorter than GUESTLIST_TTL, or off",
        "How long before its expiry an unanswered invitation is sent once more. While unset it is \
         off if GUESTLIST_TTL is not longer than that.";
    ROLES: "GUESTLIST_ROLES" = "four-tier",
        "four-tier, two-role, or the path of a TOML file",
        "The roles and their permissions; `guestlist roles` shows them.";
    TEMPLATES: "GUESTLIST_TEMPLATES" = "",
        "the path of a folder",
        "Letters of your own that replace the built-in ones, file by file.";
    LIMITS: "GUESTLIST_LIMITS" = "default",
        "default, none, or a list such as actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m",
        "How many letters one member and one organization may cause, and one recipient may get. `none` \
         also switches off the pause between two letters of one invitation.";
    SEATS: "GUESTLIST_SEATS" = "none",
        "none, a number such as 25, or 25,members if only members take a seat and open \
         invitations do not",
        "How many people an organization has room for, unless `guestlist organization seats` or your \
         application set a number for it; must be the same as `Guestlist::builder().seats(…)` in \
         your application.";
    SESSIONS: "GUESTLIST_SESSIONS" = "",
        "none, redis, redis:PATTERN with {session} once, or sql:TABLE.COLUMN, several separated by commas",
        "Where your application keeps sessions, so that those of a removed member are ended. While unset it is \
         `redis` (keys named by the session alone, as tower-sessions-redis-store writes them) if \
         a Redis is configured, else `none`.";
    SESSIONS_REDIS_URL: "GUESTLIST_SESSIONS_REDIS_URL" = "",
        "redis://host:port/database, redis+sentinel://host:port,host:port/MASTER/database or \
         redis+cluster://host:port,host:port; rediss… for TLS, with ?tls_ca=PATH if a private \
         authority signed the certificates",
        "The Redis that contains the sessions, if it is not that of REDIS_URL.";
    CONCURRENCY: "GUESTLIST_CONCURRENCY" = "16",
        "a number from 1 to 1000",
        "How many letters one worker sends at a time.";
    DRAIN: "GUESTLIST_DRAIN" = "25s",
        "a duration from 1s to 1h",
        "How long a worker that was told to stop lets running jobs finish: longer than a lease of 20s, shorter than \
         the 30s after which most platforms kill. Interrupted jobs run again in the next worker.";
    RETENTION: "GUESTLIST_RETENTION" = "400d",
        "a duration of at least 1d, or off",
        "How long events and closed invitations are kept.";
    LOG: "GUESTLIST_LOG" = "pretty",
        "pretty or json",
        "The format of the log on stderr; RUST_LOG selects what is logged.";
}

/// Returns the table for `--help`.
pub fn help() -> String {
    let mut help = String::from("Environment variables (empty counts as unset):\n");
    for variable in ALL {
        let default = match variable.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        help += &format!(
            "\n  {}{default}\n      {}\n      Takes {}.\n",
            variable.name, variable.meaning, variable.expected
        );
    }
    help
}
