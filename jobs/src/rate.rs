//! The rate limit of letters.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The maximum number of letters per second to the mail server, over all workers of an
/// installation.
///
/// Parsed from a number such as `14` or `0.5`, from [`SLOWEST`](Self::SLOWEST) to
/// [`FASTEST`](Self::FASTEST).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

/// A text that is not a valid rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRate {
    /// Not a number.
    #[error("{0:?} is not a number")]
    NotANumber(String),
    /// No letter would ever be sent.
    #[error("at {0} letters a second no letter would ever be sent")]
    Nothing(String),
    /// Less than one letter in a hundred seconds, most likely a mistake.
    #[error("{0} is slower than any mail server requires")]
    TooSlow(String),
    /// So fast that it limits nothing.
    #[error("{0} is faster than any mail server accepts letters")]
    TooFast(String),
}

/// The number of bursts per second: one burst is a tenth of a second's letters, because a timer
/// that is a millisecond late must not slow down a fast rate.
const BURSTS_A_SECOND: f64 = 10.0;

impl Rate {
    /// One letter in a hundred seconds.
    pub const SLOWEST: f64 = 0.01;

    /// More than one worker can send.
    pub const FASTEST: f64 = 10_000.0;

    /// Returns the average interval between letters, rounded up so that the rate is never exceeded.
    #[must_use]
    pub fn interval(self) -> Duration {
        // At most a hundred seconds, and a positive number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Duration::from_micros((1_000_000.0 / self.0).ceil() as u64)
    }

    /// Returns how many letters may follow at once after a pause: a tenth of a second's letters, at
    /// least one.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.within(Duration::from_secs(1).div_f64(BURSTS_A_SECOND))
    }

    /// Returns how many letters are allowed within `time`, at least one.
    #[must_use]
    pub fn within(self, time: Duration) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let letters = (self.0 * time.as_secs_f64()) as u32;
        letters.max(1)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let told = text.to_owned();
        match text.parse::<f64>() {
            Ok(rate) if rate.is_nan() => Err(InvalidRate::NotANumber(told)),
            Ok(rate) if rate <= 0.0 => Err(InvalidRate::Nothing(told)),
            Ok(rate) if rate < Self::SLOWEST => Err(InvalidRate::TooSlow(told)),
            Ok(rate) if rate > Self::FASTEST => Err(InvalidRate::TooFast(told)),
            Ok(rate) => Ok(Self(rate)),
            Err(_) => Err(InvalidRate::NotANumber(told)),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rate) = self;
        write!(f, "{rate} letters a second")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn letters_are_a_rates_inverse_apart_and_never_closer() {
        assert_eq!(rate("0.5").interval(), Duration::from_secs(2));
        assert_eq!(rate("14").interval(), Duration::from_micros(71_429));
        assert_eq!(rate("9999").interval(), Duration::from_micros(101));
        assert_eq!(rate("0.01").interval(), Duration::from_secs(100));
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second_and_at_least_one() {
        assert_eq!(
            ["0.01", "14", "20", "99", "10000"].map(|text| rate(text).burst()),
            [1, 1, 2, 9, 1000]
        );
    }

    #[test]
    fn what_is_no_rate_says_why() {
        let nothing = |text: &str| Err(InvalidRate::Nothing(text.to_owned()));
        for text in ["0", "-0", "0.0", "-3", "-inf"] {
            assert_eq!(text.parse::<Rate>(), nothing(text), "{text}");
        }
        for text in ["", "many", "14/s", "NaN", "1,5", "0x10"] {
            let expected = Err(InvalidRate::NotANumber(text.to_owned()));
            assert_eq!(text.parse::<Rate>(), expected, "{text}");
        }
        for text in ["10001", "1e9", "inf", "1e999"] {
            let expected = Err(InvalidRate::TooFast(text.to_owned()));
            assert_eq!(text.parse::<Rate>(), expected, "{text}");
        }
        for text in ["0.009", "1e-9", "1e-300"] {
            let expected = Err(InvalidRate::TooSlow(text.to_owned()));
            assert_eq!(text.parse::<Rate>(), expected, "{text}");
        }
    }
}
