//! Steps at which a trial can have the worker fail, and nothing at all without the feature.
//!
//! With the feature `failpoints`, `FAILPOINTS` arms them as the crate `fail` reads it, for example
//! `letter::taken=1*return(kill)`: `kill` ends the process as SIGKILL does, `stop` stops it as
//! SIGSTOP does until somebody continues it, `panic` panics, and `error` has the step fail as its real
//! failure would.

/// Whether this build can be told to fail at its steps, as only trials want it.
pub const HAS_FAIL_POINTS: bool = cfg!(feature = "failpoints");

/// A step: fails with the error where it is armed to. Compiled to nothing without the feature.
macro_rules! fail_point {
    ($step:literal, $error:expr) => {
        #[cfg(feature = "failpoints")]
        if $crate::failpoint::is_to_fail($step) {
            return Err($error.into());
        }
    };
}

pub(crate) use fail_point;

#[cfg(feature = "failpoints")]
pub(crate) use self::armed::{database, is_to_fail, lost_connection, redis};

#[cfg(feature = "failpoints")]
mod armed {
    use std::io;
    use std::sync::LazyLock;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};
    use tracing::warn;

    use crate::queue::QueueError;

    /// Armed by the environment from the first step on, and until the end.
    static SCENARIO: LazyLock<()> = LazyLock::new(|| std::mem::forget(fail::FailScenario::setup()));

    /// How long this thread may run on until the kernel has stopped all of them.
    const STOPPING: Duration = Duration::from_millis(100);

    /// Does what the step is armed for; whether it is to fail.
    pub(crate) fn is_to_fail(step: &str) -> bool {
        LazyLock::force(&SCENARIO);
        let Some(what) = told(step) else {
            return false;
        };
        warn!(step, what, "reached the fail point {step}: {what}");
        match what.as_str() {
            "error" => return true,
            "kill" => signal_myself(Signal::KILL),
            "stop" => signal_myself(Signal::STOP),
            "panic" => panic!("the fail point {step}"),
            other => panic!("a fail point knows kill, stop, panic and error, not {other:?}"),
        }
        false
    }

    fn told(step: &str) -> Option<String> {
        fail::fail_point!(step, |what| Some(what.unwrap_or_default()));
        None
    }

    fn signal_myself(signal: Signal) {
        kill_process(getpid(), signal).expect("a process may signal itself");
        std::thread::sleep(STOPPING);
    }

    /// What a database says whose server was stopped.
    pub(crate) fn database() -> guestlist::Error {
        guestlist::Error::Database(sqlx::Error::Io(lost_connection()))
    }

    /// What the queue says when Redis went away.
    pub(crate) fn redis() -> QueueError {
        QueueError::Redis {
            address: "a fail point".to_owned(),
            source: lost_connection().into(),
        }
    }

    /// What a connection says whose other end is gone.
    pub(crate) fn lost_connection() -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }
}
