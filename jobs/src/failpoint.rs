//! Steps at which a trial can make the worker fail; compiled to nothing without the feature.
//!
//! With the feature `failpoints`, the variable `FAILPOINTS` arms them in the syntax of the crate
//! `fail`, for example `letter::taken=1*return(kill)`: `kill` ends the process like SIGKILL, `stop`
//! stops it like SIGSTOP until it is continued, `panic` panics, and `error` returns the error of a
//! real failure.

/// True if this build has fail points, which only trials need.
pub const HAS_FAIL_POINTS: bool = cfg!(feature = "failpoints");

/// Defines a step that returns an error if it is armed: the error of a lost connection, converted by
/// the given function. Compiled to nothing without the feature.
macro_rules! fail_point {
    ($step:literal, $convert:expr) => {
        #[cfg(feature = "failpoints")]
        if $crate::failpoint::is_to_fail($step) {
            return Err($convert($crate::failpoint::lost_connection()).into());
        }
    };
}

pub(crate) use fail_point;

#[cfg(feature = "failpoints")]
pub(crate) use self::armed::{is_to_fail, lost_connection};

#[cfg(feature = "failpoints")]
mod armed {
    use std::io;
    use std::sync::LazyLock;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};
    use tracing::warn;

    /// Arms the steps from the environment at the first step, for the rest of the process.
    static SCENARIO: LazyLock<()> = LazyLock::new(|| std::mem::forget(fail::FailScenario::setup()));

    /// The time a thread may continue until the kernel has stopped all threads.
    const STOPPING: Duration = Duration::from_millis(100);

    /// Performs the action the step is armed with; returns whether the step has to fail.
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
            other => panic!("a fail point accepts kill, stop, panic and error, not {other:?}"),
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

    /// Returns the error of a connection whose other end is gone.
    pub(crate) fn lost_connection() -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }
}
