//! The schedule of letters that a mail server deferred or refused.

use std::time::Duration;

use crate::back_off::jittered;

/// Returns the delay after a reply that asks to come back later, given the deferrals before it: 5,
/// 15, 30 and 60 minutes, then two hours each time.
///
/// RFC 5321 section 4.5.4.1 asks for 30 minutes or more between attempts, and allows a shorter
/// start because most failures of this kind, above all greylisting, pass within minutes.
pub(super) fn after_deferral(deferrals: i64) -> Duration {
    let minutes = match deferrals {
        ..=0 => 5,
        1 => 15,
        2 => 30,
        3 => 60,
        _ => 120,
    };
    jittered(Duration::from_secs(60 * minutes))
}

/// Returns the delay after a deferral that may be the server's to everybody, given the deferrals before
/// it: `first` the first time, because a server may defer everybody for seconds, then by the schedule.
pub(super) fn after_doubtful_deferral(deferrals: i64, first: Duration) -> Duration {
    match deferrals {
        ..=0 => jittered(first),
        _ => after_deferral(deferrals - 1),
    }
}

/// Returns the delay after a refusal that has to be confirmed, given the refusals before it: half a
/// minute, because a server may refuse everybody for seconds, then ten minutes, then two hours each
/// time.
pub(super) fn after_refusal(refusals: i64) -> Duration {
    let seconds = match refusals {
        ..=0 => 30,
        1 => 10 * 60,
        _ => 2 * 60 * 60,
    };
    jittered(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_deferrals_are_tried_sooner_once() {
        let first = Duration::from_secs(30);
        for (deferrals, expected) in (0..4).zip([0.5, 5.0, 15.0, 30.0]) {
            let minutes = after_doubtful_deferral(deferrals, first).as_secs_f64() / 60.0;
            assert!(
                (expected..1.2 * expected).contains(&minutes),
                "{minutes} for {expected}"
            );
        }
    }

    #[test]
    fn deferrals_wait_by_the_schedule() {
        for (deferrals, expected) in (0..6).zip([5.0, 15.0, 30.0, 60.0, 120.0, 120.0]) {
            let minutes = after_deferral(deferrals).as_secs_f64() / 60.0;
            assert!(
                (expected..1.2 * expected).contains(&minutes),
                "{minutes} for {expected}"
            );
        }
    }
}
