//! The limits on the number of letters.

use std::str::FromStr;
use std::time::Duration;

/// The limits on letters, each over a sliding window, and the minimum time between two letters of
/// one invitation.
///
/// Queued letters are counted, not stored invitations, so inviting, revoking and inviting again
/// does not bypass them. Written as `actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m`;
/// a limit that is left out does not apply. Also written as `default` or `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub(crate) actor: Option<Limit>,
    pub(crate) organization: Option<Limit>,
    pub(crate) recipient: Option<Limit>,
    pub(crate) resend_interval: Duration,
}

/// A maximum number of letters within any window of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// The number of letters.
    pub letters: u32,
    /// The length of the window.
    pub window: Duration,
}

impl Limit {
    /// Allows `letters` within any window of this length.
    pub const fn new(letters: u32, window: Duration) -> Self {
        Self { letters, window }
    }

    pub(crate) fn capacity(self) -> usize {
        self.letters.try_into().unwrap_or(usize::MAX)
    }
}

/// The reason why a text is not a list of limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a limit: write default, none, or a list such as \
     actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m"
)]
pub struct InvalidLimits(String);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Limits {
    /// The maximum window and minimum time, one year, so that the letters to count stay bounded;
    /// longer ones are shortened to it.
    pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// Sets no limits, for bulk loads by an operator and for trials.
    pub fn none() -> Self {
        Self {
            actor: None,
            organization: None,
            recipient: None,
            resend_interval: Duration::ZERO,
        }
    }

    /// Limits the letters caused by one actor, over all organizations.
    pub fn actor(self, limit: Limit) -> Self {
        Self {
            actor: Self::bounded(limit),
            ..self
        }
    }

    /// Limits the letters caused by one organization.
    pub fn organization(self, limit: Limit) -> Self {
        Self {
            organization: Self::bounded(limit),
            ..self
        }
    }

    /// Limits the letters received by one mailbox, from all actors. Addresses that differ only in
    /// tags and dots count as one mailbox.
    pub fn recipient(self, limit: Limit) -> Self {
        Self {
            recipient: Self::bounded(limit),
            ..self
        }
    }

    /// Sets the minimum time between two letters of one invitation.
    pub fn resend_interval(self, interval: Duration) -> Self {
        Self {
            resend_interval: interval.min(Self::MAX_WINDOW),
            ..self
        }
    }

    fn bounded(limit: Limit) -> Option<Limit> {
        Some(Limit {
            window: limit.window.min(Self::MAX_WINDOW),
            ..limit
        })
    }

    pub(crate) fn longest_window(&self) -> Duration {
        [self.actor, self.organization, self.recipient]
            .into_iter()
            .flatten()
            .map(|limit| limit.window)
            .max()
            .unwrap_or_default()
    }
}

/// Lets one person invite a company of a thousand in a day, and protects mailboxes: one address
/// gets at most ten letters a day from all organizations together.
impl Default for Limits {
    fn default() -> Self {
        Self {
            actor: Some(Limit {
                letters: 1000,
                window: DAY,
            }),
            organization: Some(Limit {
                letters: 2000,
                window: DAY,
            }),
            recipient: Some(Limit {
                letters: 10,
                window: DAY,
            }),
            resend_interval: Duration::from_secs(60),
        }
    }
}

impl FromStr for Limits {
    type Err = InvalidLimits;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "default" => return Ok(Self::default()),
            "none" => return Ok(Self::none()),
            _ => {}
        }
        text.split(',')
            .map(str::trim)
            .try_fold(Self::none(), |limits, part| {
                let invalid = || InvalidLimits(part.to_owned());
                let (name, value) = part.split_once('=').ok_or_else(invalid)?;
                if name == "resend" {
                    return Ok(limits.resend_interval(duration(value).ok_or_else(invalid)?));
                }
                let limit = limit(value).ok_or_else(invalid)?;
                match name {
                    "actor" => Ok(limits.actor(limit)),
                    "organization" => Ok(limits.organization(limit)),
                    "recipient" => Ok(limits.recipient(limit)),
                    _ => Err(invalid()),
                }
            })
    }
}

fn limit(text: &str) -> Option<Limit> {
    let (letters, window) = text.split_once('/')?;
    let limit = Limit {
        letters: letters.parse().ok()?,
        window: duration(window)?,
    };
    (!limit.window.is_zero()).then_some(limit)
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| *duration <= Limits::MAX_WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_they_are_documented() {
        let spelled = "actor=1000/1d,organization=2000/1d,recipient=10/1d,resend=1m".parse();
        assert_eq!(spelled, Ok(Limits::default()));
        assert_eq!("default".parse(), Ok(Limits::default()));
        assert_eq!("none".parse(), Ok(Limits::none()));
        assert_eq!(
            "resend=5s".parse(),
            Ok(Limits::none().resend_interval(Duration::from_secs(5)))
        );
    }

    #[test]
    fn a_longer_span_than_a_year_is_brought_to_it() {
        let endless = Limit {
            letters: 1,
            window: Duration::MAX,
        };
        let limits = Limits::none().actor(endless).resend_interval(Duration::MAX);
        assert_eq!(limits.longest_window(), Limits::MAX_WINDOW);
        assert_eq!(limits.resend_interval, Limits::MAX_WINDOW);
    }

    #[test]
    fn a_misspelled_limit_is_refused() {
        for text in [
            "",
            "actor",
            "actor=5",
            "actor=x/1d",
            "actor=5/0s",
            "acter=5/1d",
            "actor=5/2years",
            "none,resend=1m",
        ] {
            assert!(text.parse::<Limits>().is_err(), "{text:?} was accepted");
        }
    }
}
