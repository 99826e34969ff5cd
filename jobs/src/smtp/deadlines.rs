//! The time limits of an SMTP session.

use std::time::Duration;

/// The time limit of each step of an SMTP session.
///
/// The defaults of the commands are the minimums of RFC 5321 section 4.5.3.2; a client that gives
/// up earlier causes duplicates with slow but correct servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// One TCP connection attempt, and the TLS handshake: 30 s (our choice, the RFC has none).
    pub connect: Duration,
    /// The server's 220 greeting: 5 minutes (section 4.5.3.2.1).
    pub greeting: Duration,
    /// `MAIL`, and the commands without a number of their own (`EHLO`, `STARTTLS`, `AUTH`, `RSET`):
    /// 5 minutes (section 4.5.3.2.2).
    pub mail: Duration,
    /// `RCPT`: 5 minutes (section 4.5.3.2.3).
    pub rcpt: Duration,
    /// `DATA` until the server says 354: 2 minutes (section 4.5.3.2.4).
    pub data: Duration,
    /// Each block of the letter until it is written to the network: 3 minutes (section 4.5.3.2.5).
    pub block: Duration,
    /// The final dot until the server's answer: 10 minutes (section 4.5.3.2.6).
    pub end: Duration,
    /// `QUIT`: 5 s; nothing depends on its answer.
    pub quit: Duration,
    /// The time an unused connection is kept open: 30 s, well below the 5 minutes after which
    /// servers drop it (section 4.5.3.2.7).
    pub idle: Duration,
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
        }
    }
}
