//! The choice of the attempts to send letters that are recorded, and for how long.

use std::time::Duration;

use guestlist::Attempt;

/// The attempts to send letters that a worker records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptLog {
    /// All of them, kept for this time.
    All(Duration),
    /// Those that were not accepted, kept for [`AttemptLog::RETENTION`].
    Failures,
    /// None. Those recorded earlier are kept for [`AttemptLog::RETENTION`].
    Off,
}

impl AttemptLog {
    /// The default retention: 30 days.
    pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Returns whether an attempt is recorded.
    pub(crate) fn records(self, attempt: &Attempt) -> bool {
        match self {
            Self::All(_) => true,
            Self::Failures => !attempt.is_accepted(),
            Self::Off => false,
        }
    }

    /// Returns the time for which attempts are kept.
    pub(crate) fn retention(self) -> Duration {
        match self {
            Self::All(retention) => retention,
            Self::Failures | Self::Off => Self::RETENTION,
        }
    }
}

impl Default for AttemptLog {
    fn default() -> Self {
        Self::All(Self::RETENTION)
    }
}
