//! Errors of the testkit.

use std::io;
use std::time::Duration;

/// The reason why a server could not be started, or the worker not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is neither on the `PATH` nor where distributions put it.
    #[error("{program} is not installed: {advice}")]
    NotInstalled {
        /// The program.
        program: String,
        /// The command or package that installs it.
        advice: &'static str,
    },
    /// A program ended before it was ready.
    #[error("{program} ended before it was ready; its log ends with:\n{log}")]
    Ended {
        /// The program.
        program: String,
        /// The last lines of its log.
        log: String,
    },
    /// A program runs but was not ready in time.
    #[error("{program} was not ready within {} s; its log ends with:\n{log}", within.as_secs())]
    NotReady {
        /// The program.
        program: String,
        /// The time that was waited.
        within: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// The worker still had something to do.
    #[error("the worker was not idle within {} s: a message stays due, see the log", within.as_secs())]
    NotIdle {
        /// The time that was waited.
        within: Duration,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] guestlist::Error),
    /// Redis did not do a command.
    #[error("redis did not do `{command}`: {problem}")]
    Redis {
        /// The command.
        command: String,
        /// The refusal, or the reason why there is no usable reply.
        problem: String,
    },
    /// The operating system refused something.
    #[error("{action}: {problem}")]
    Io {
        /// The operation that failed.
        action: String,
        /// The refusal.
        problem: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |problem| Self::Io { action, problem }
    }
}
