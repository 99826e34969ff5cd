//! Dates and durations as text.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serializer;

/// Formats a time to the minute.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// Formats the day of a time.
pub(crate) fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

/// Serializes a time as text for templates.
pub(crate) fn serialize<S: Serializer>(
    at: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&moment(*at))
}

/// Formats a duration in a suitable unit, rounded.
pub(crate) fn span(time: TimeDelta) -> String {
    let (number, unit) = match time.num_minutes() {
        ..1 => return "less than a minute".to_owned(),
        minutes @ 1..120 => (minutes, "minute"),
        minutes @ 120..2880 => ((minutes + 30) / 60, "hour"),
        minutes => ((minutes + 720) / 1440, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_to_a_suitable_unit() {
        for (seconds, words) in [
            (-5, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 minute"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_799, "48 hours"),
            (172_800, "2 days"),
            (604_790, "7 days"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), words);
        }
    }
}
