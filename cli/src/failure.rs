//! The errors of commands: exit status, stable word and message.

use std::process::ExitCode;
use std::{fmt, io};

use guestlist::{Error, Fault};
use guestlist_jobs::config::{ConfigError, DatabaseError, KeysError};
use guestlist_jobs::endpoint::ListenError;
use guestlist_jobs::work::WorkError;
use serde_json::{Map, Value as Json, json};

/// The result of a command; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The command has done its work.
    Done = 0,
    /// The database, the configuration or another part failed.
    Fault = 1,
    /// An argument or the input is malformed.
    Usage = 2,
    /// A rule refused it.
    Refused = 3,
}

/// The result of most commands, which print their own results.
pub(crate) type Done = Result<Status, Failure>;

/// The end of a command before it was done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A reason to print.
    Reason(Reason),
    /// The reader closed the output; this is not an error.
    OutputClosed,
}

/// A status, a stable word for programs, data and a message for people.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    status: Status,
    code: &'static str,
    data: Map<String, Json>,
    message: String,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}

impl Reason {
    fn new(status: Status, code: &'static str, message: impl ToString) -> Self {
        Self {
            status,
            code,
            data: Map::new(),
            message: message.to_string(),
        }
    }

    /// Makes a refusal by a rule of the command line itself.
    pub(crate) fn refused(code: &'static str, message: impl ToString) -> Self {
        Self::new(Status::Refused, code, message)
    }

    /// Makes the refusal for an id that does not exist.
    pub(crate) fn no_such(kind: &'static str, id: &dyn fmt::Display) -> Self {
        Self::refused("not_found", format!("there is no {kind} {id}")).with(kind, id.to_string())
    }

    /// Makes an error for malformed input.
    pub(crate) fn invalid(code: &'static str, message: impl ToString) -> Self {
        Self::new(Status::Usage, code, message)
    }

    /// Makes a fault.
    pub(crate) fn fault(code: &'static str, message: impl ToString) -> Self {
        Self::new(Status::Fault, code, message)
    }

    /// Adds data for programs.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the object for programs. It begins with the stable word, under the key `refused`,
    /// `invalid` or `error`.
    pub(crate) fn json(&self) -> Map<String, Json> {
        let mut object = Map::from_iter([(self.side().to_owned(), json!(self.code))]);
        object.extend(self.data.clone());
        object.insert("message".to_owned(), json!(self.message));
        object
    }

    fn side(&self) -> &'static str {
        match self.status {
            Status::Refused => "refused",
            Status::Usage => "invalid",
            Status::Fault | Status::Done => "error",
        }
    }
}

/// Writes one line for people.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.status {
            Status::Refused => "refused",
            Status::Usage | Status::Fault | Status::Done => "error",
        };
        write!(f, "{side}: {}", self.message)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Reason::fault("output", format!("cannot write the output: {error}")).into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Reason::from(error).into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mistakes = error.mistakes().iter().map(
            |mistake| json!({ "variable": &mistake.variable, "problem": mistake.problem, "expected": mistake.expected }),
        );
        Reason::invalid("configuration", &error)
            .with("mistakes", mistakes.collect::<Vec<_>>())
            .into()
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let code = match error {
            DatabaseError::NotMigrated { .. } | DatabaseError::Newer { .. } => "schema",
            _ => "database",
        };
        Reason::fault(code, error).into()
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Reason::fault("listen", error).into()
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        Reason::fault(
            if matches!(error, KeysError::Absent) {
                "no_key"
            } else {
                "keys"
            },
            error,
        )
        .into()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Reason::fault("fault", format!("{error:#}")).into()
    }
}

impl From<WorkError> for Failure {
    fn from(error: WorkError) -> Self {
        Reason::fault("fault", error).into()
    }
}

/// Returns what an operator can do, if the message does not say it.
fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::LastOwner { .. } => {
            "nothing was changed; transfer the ownership to another member first (`guestlist transfer`)"
        }
        Error::NoSeat { .. } => {
            "nothing was changed; suspend or remove a member, revoke an open invitation if those \
             count, or give the organization more seats (`guestlist organization seats`)"
        }
        Error::Suspended => "nothing was changed; `guestlist reinstate` ends the suspension",
        Error::Conflict(_) => "nothing was changed; run the same command again",
        _ => return None,
    })
}

/// Returns the message in one line, without the driver's text if it does not help.
fn sentence(error: &Error) -> String {
    let what = match error {
        Error::Conflict(_) => "other transactions were in the way at every attempt".to_owned(),
        error => error.to_string(),
    };
    match advice(error) {
        Some(advice) => format!("{what}; {advice}"),
        None => what,
    }
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        let message = sentence(&error);
        let reason = match error.fault() {
            Fault::Rule => Self::refused(error.code(), message),
            Fault::Input => Self::invalid(error.code(), message),
            Fault::Infrastructure => Self::fault(error.code(), message),
        };
        match error {
            Error::Forbidden { role, action } => reason
                .with("role", role.as_str())
                .with("action", action.as_str()),
            Error::UnknownRole { role, known } => reason.with("role", role.as_str()).with(
                "known",
                known
                    .iter()
                    .map(guestlist::Role::as_str)
                    .collect::<Vec<_>>(),
            ),
            Error::LastOwner {
                role,
                organizations,
            } => reason
                .with("role", role.as_str())
                .with("organizations", json!(organizations)),
            Error::NoSeat { seats } => reason.with("seats", seats),
            Error::AlreadyMember { user } => reason.with("user", user.as_str()),
            Error::AlreadyPending { invitation } => {
                reason.with("invitation", invitation.to_string())
            }
            Error::InvitationClosed { status } => reason.with("status", status.as_str()),
            Error::InvitationExpired { at } => reason.with("expired_at", json!(at)),
            Error::WrongAccount { invited } => reason.with("invited", invited),
            Error::Throttled { limit, retry_after } => reason
                .with("limit", limit.as_str())
                .with("retry_after", retry_after.as_secs()),
            _ => reason,
        }
    }
}
