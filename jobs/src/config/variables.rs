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
        "sqlite:FILE or postgres://user:password@host/database, with ?pgbouncer=true for a pooler that hands out connections by transaction",
        "The database of organizations, members, invitations and jobs. An SQLite file is created and \
         migrated when it is first used; for Postgres run `guestlist migrate`.";
    REDIS_URL: "REDIS_URL" = "",
        "redis://host:port/database, redis+sentinel://host:port,host:port/MASTER/database or \
         redis+cluster://host:port,host:port; rediss… for TLS, with ?tls_ca=PATH if a private \
         authority signed the certificates",
        "The Redis that distributes jobs to several workers. If unset, jobs are queued in the memory \
         of the worker, and only one worker may run.";
    SMTP_URL: "SMTP_URL" = "file:letters",
        "smtp://user:password@host:port, smtps://… or file:FOLDER; ?tls=required, opportunistic or none \
         (smtp:// only), ?tls_ca=PATH. Without a port: 465 for smtps://, 587 with credentials or \
         tls=required, else 25",
        "The mail server that letters are sent to. With `file:` no letter is sent: each is written to \
         the folder as an .eml file. With ?auth=xoauth2&token_file=PATH and a user without a password \
         the worker signs in with the access token in that file, which is read for each connection. \
         Write @ in the user as %40.";
    EHLO_NAME: "GUESTLIST_EHLO_NAME" = "",
        "a domain name with a dot, such as worker.acme.example, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]",
        "The name that the worker gives to the mail server in EHLO. If unset, it is the name of the \
         host or, if that is not a domain name with a dot, the address from which the connection comes.";
    SMTP_RATE: "GUESTLIST_SMTP_RATE" = "none",
        "none, or letters per second from 0.01 to 10000, such as 14 or 0.5",
        "The maximum number of letters per second that all workers together send, or write to a \
         folder; more letters wait. Without Redis the maximum applies to each worker. With `none` \
         there is no maximum.";
    FROM: "GUESTLIST_FROM" = "Guestlist <guestlist@example.com>",
        "an address, or a name and an address such as Acme <team@acme.example>",
        "The sender of letters: the From header, and the envelope sender unless GUESTLIST_ENVELOPE_FROM \
         is set. A sender that is not ASCII needs a mail server with SMTPUTF8.";
    ENVELOPE_FROM: "GUESTLIST_ENVELOPE_FROM" = "",
        "an address, such as bounces@acme.example or bounces+{letter}@acme.example; +{letter} stands \
         right before the @, after at most 15 bytes",
        "The envelope sender: the address that mail servers return letters to. With +{letter} each \
         letter of an invitation gets an address of its own, by which `guestlist bounce` finds the \
         invitation; notices get the address without it. Without +{letter} no bounce can be assigned. \
         If unset, it is the address of GUESTLIST_FROM.";
    REPLY_TO: "GUESTLIST_REPLY_TO" = "",
        "an address in ASCII, or a name and such an address, as in Acme <help@acme.example>",
        "The address that answers to a letter go to. If unset, it is that of GUESTLIST_FROM.";
    HEADERS: "GUESTLIST_HEADERS" = "",
        "a list such as X-SES-CONFIGURATION-SET: acme; Feedback-ID: 1:acme, in ASCII",
        "Additional headers of every letter, as mail providers ask for them, separated by semicolons. \
         A value has no semicolon. Headers that Guestlist or mail servers write cannot be given.";
    LINK: "GUESTLIST_LINK" = "http://localhost:3000/invitations/{token}",
        "an http or https URL with {token} once, in its path, query or fragment",
        "The page of your application that the link in an invitation leads to. The invitation's token \
         takes the place of {token}.";
    KEYS: "GUESTLIST_KEYS" = "",
        "id:base64 as `guestlist keys new` prints it, several separated by commas",
        "The keys of links: the first signs, and all of them verify. If unset, a key is created and \
         kept in FILE.keys beside an SQLite database; with Postgres links can be neither created nor \
         accepted, and no worker starts.";
    AUDIENCE: "GUESTLIST_AUDIENCE" = "guestlist",
        "1 to 255 characters",
        "The name of the application that links are valid for. It must be the same text as \
         `Guestlist::builder().audience(…)` in your application; otherwise neither accepts the \
         other's links.";
    TTL: "GUESTLIST_TTL" = "7d",
        "a duration from 1s to 366d, such as 7d or 12h 30m",
        "The time for which an invitation can be accepted, counted from its creation and again \
         from each resend.";
    REMINDER: "GUESTLIST_REMINDER" = "2d",
        "a duration shorter than GUESTLIST_TTL, or off",
        "The time before its expiry at which an invitation without an answer is sent once more. With \
         `off` no reminder is sent. If unset and GUESTLIST_TTL is not longer than the default, no \
         reminder is sent either.";
    ROLES: "GUESTLIST_ROLES" = "four-tier",
        "four-tier, two-role, or the path of a TOML file",
        "The roles and their permissions, which `guestlist roles` shows. They must be the same as \
         `Guestlist::builder().role_model(…)` in your application.";
    TEMPLATES: "GUESTLIST_TEMPLATES" = "",
        "the path of a folder",
        "A folder with letters of your own. Each file replaces the built-in file of the same path; a \
         file with a mistake is reported in the log and not used. If unset, all letters are the \
         built-in ones.";
    LIMITS: "GUESTLIST_LIMITS" = "default",
        "default, none, or a list such as actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m",
        "The maximum number of letters that one member and one organization may cause and one \
         recipient may get, each per time, and the shortest pause between two letters of one \
         invitation. A command that exceeds one is refused. `default` is \
         actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m; `none` is no limit and no \
         pause. Your application has its own, `Guestlist::builder().limits(…)`.";
    SEATS: "GUESTLIST_SEATS" = "none",
        "none, a number such as 25, or 25,members if only members take a seat and open \
         invitations do not",
        "The maximum number of people in an organization that has no number of its own (`guestlist \
         organization seats`). An invitation or acceptance beyond it is refused. With `none` there is \
         no maximum. It must be the same as `Guestlist::builder().seats(…)` in your application.";
    SESSIONS: "GUESTLIST_SESSIONS" = "",
        "none, redis, redis:PATTERN with {session} once, or sql:TABLE.COLUMN, several separated by commas",
        "The stores of your application's sessions. When a member is removed or suspended, the worker \
         deletes their sessions there. If unset, it is `redis` if a Redis is configured (the key is \
         the session key alone, as tower-sessions-redis-store writes it), otherwise `none`, and no \
         session is deleted.";
    SESSIONS_REDIS_URL: "GUESTLIST_SESSIONS_REDIS_URL" = "",
        "redis://host:port/database, redis+sentinel://host:port,host:port/MASTER/database or \
         redis+cluster://host:port,host:port; rediss… for TLS, with ?tls_ca=PATH if a private \
         authority signed the certificates",
        "The Redis that holds the sessions. If unset, it is that of REDIS_URL.";
    CONCURRENCY: "GUESTLIST_CONCURRENCY" = "16",
        "a number from 1 to 1000",
        "The maximum number of letters that one worker sends at the same time, each over a connection \
         of its own.";
    LETTERS_PER_CONNECTION: "GUESTLIST_LETTERS_PER_CONNECTION" = "100",
        "a number from 1 to 10000",
        "The number of letters that are sent on one connection to the mail server before it is \
         closed. Some servers treat later letters worse: Exim leaves those after the tenth in its \
         queue until its next queue run (smtp_accept_queue_per_connection), so 10 suits it.";
    DRAIN: "GUESTLIST_DRAIN" = "25s",
        "a duration from 1s to 1h",
        "The time that running jobs have to finish after a worker was told to stop. It should be \
         longer than a lease (20s) and shorter than the time after which your platform kills a \
         process (often 30s). Jobs that do not finish are run again by another worker.";
    RETENTION: "GUESTLIST_RETENTION" = "400d",
        "a duration of at least 1d, or off",
        "The time for which events and closed invitations are kept; older ones are deleted. With \
         `off` they are kept for ever.";
    ATTEMPTS: "GUESTLIST_ATTEMPTS" = "30d",
        "a duration from 1d to 3650d, failures, or off",
        "The time for which each attempt to send a letter is kept, with the reply of the mail server. With \
         `failures` only attempts that were not accepted are recorded, and kept for 30d; with `off` \
         none are. Without the accepted ones, a refusal that does not name a missing mailbox never becomes \
         final: the letter is tried every two hours until its invitation expires, a notice for five days.";
    LOG: "GUESTLIST_LOG" = "pretty",
        "pretty or json",
        "The format of the log on stderr: lines for people, or one JSON object per line for programs. \
         RUST_LOG selects which lines are logged.";
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
