//! The delays before the next try.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Returns the delay after a reply that asks to come back later: 5, 15, 30 and 60 minutes, then two
/// hours each time.
///
/// RFC 5321 section 4.5.4.1 asks for 30 minutes or more between attempts, and allows a shorter
/// start because most failures of this kind, above all greylisting, pass within minutes.
pub(super) fn after_deferral(attempts: i64) -> Duration {
    let minutes = match attempts {
        ..=0 => 5,
        1 => 15,
        2 => 30,
        3 => 60,
        _ => 120,
    };
    jittered(MINUTE * minutes)
}

/// Returns the delay after a failure of our own: one second, doubling to ten minutes.
pub(super) fn after_fault(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 10)).unwrap_or_default();
    jittered(Duration::from_secs(1 << doublings).min(10 * MINUTE))
}

/// Adds up to a tenth, so that jobs that failed together do not retry together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(1.0..1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(wait: Duration) -> u64 {
        wait.as_secs() / 60
    }

    #[test]
    fn deferrals_wait_by_the_schedule() {
        let waits: Vec<_> = (0..6)
            .map(|attempts| minutes(after_deferral(attempts)))
            .collect();
        for (wait, expected) in waits.into_iter().zip([5, 15, 30, 60, 120, 120]) {
            assert!(
                (expected..=expected + expected / 10).contains(&wait),
                "{wait} for {expected}"
            );
        }
    }

    #[test]
    fn faults_wait_longer_each_time_up_to_ten_minutes() {
        assert!(after_fault(0) < Duration::from_millis(1101));
        assert!(after_fault(5) >= Duration::from_secs(32));
        assert!(minutes(after_fault(1000)) <= 11);
    }
}
