//! How long the mailer waits, and for what.

use std::time::Duration;

/// The longest the mailer waits at each step, and how long it rests after a fault.
///
/// The defaults of the verbs are the minimums of RFC 5321 section 4.5.3.2; a client that
/// gives up earlier provokes duplicates from slow but honest servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// One TCP connection attempt, and the TLS handshake: 30 s (ours, the RFC names none).
    pub connect: Duration,
    /// The server's 220 greeting: 5 minutes (section 4.5.3.2.1).
    pub greeting: Duration,
    /// `MAIL`, and the verbs without a number of their own (`EHLO`, `STARTTLS`, `AUTH`,
    /// `RSET`): 5 minutes (section 4.5.3.2.2).
    pub mail: Duration,
    /// `RCPT`: 5 minutes (section 4.5.3.2.3).
    pub rcpt: Duration,
    /// `DATA` until the server says 354: 2 minutes (section 4.5.3.2.4).
    pub data: Duration,
    /// Each block of the letter until the network took it: 3 minutes (section 4.5.3.2.5).
    pub block: Duration,
    /// The final dot until the server's answer: 10 minutes (section 4.5.3.2.6).
    pub end: Duration,
    /// `QUIT`: 5 s; nothing depends on its answer.
    pub quit: Duration,
    /// How long an unused connection is kept: 30 s, well below the 5 minutes after which
    /// servers drop it (section 4.5.3.2.7).
    pub idle: Duration,
    /// The rest after a fault of the server: 1 s, doubling to 60 s.
    pub back_off: BackOff,
    /// The rest after a fault of ours, which a person has to mend: 60 s, doubling to 15 minutes.
    pub pause: BackOff,
}

/// A rest that doubles with every fault in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The rest after the first fault.
    pub first: Duration,
    /// The rest never grows past this.
    pub longest: Duration,
}

impl BackOff {
    /// The rest after `faults` faults in a row, before jitter.
    pub(super) fn after(self, faults: u32) -> Duration {
        let doublings = faults.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            connect: Duration::from_secs(30),
            greeting: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            end: 10 * MINUTE,
            quit: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            back_off: BackOff {
                first: Duration::from_secs(1),
                longest: MINUTE,
            },
            pause: BackOff {
                first: MINUTE,
                longest: 15 * MINUTE,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_up_to_the_longest() {
        let rests: Vec<u64> = (1..=8)
            .map(|faults| Deadlines::default().back_off.after(faults).as_secs())
            .collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        let pause = Deadlines::default().pause;
        assert_eq!(pause.after(u32::MAX), Duration::from_secs(900));
    }
}
