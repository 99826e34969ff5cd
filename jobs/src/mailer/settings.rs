//! The settings of the mailer apart from its server.

use std::time::Duration;

use crate::back_off::BackOff;
use crate::smtp::Deadlines;

/// The settings of a [`Mailer`](super::Mailer).
///
/// ```
/// use guestlist_jobs::mailer::MailerSettings;
///
/// let mut settings = MailerSettings::default();
/// settings.connections = 4;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailerSettings {
    /// The maximum number of connections to the mail server; 16 by default, at least one. The mailer
    /// begins with one and opens more while letters wait and the server accepts them.
    pub connections: usize,
    /// The number of letters sent on one connection before it is closed; 100 by default.
    ///
    /// Some servers treat later letters worse: Exim queues them from the 11th on
    /// (`smtp_accept_queue_per_connection`).
    pub letters_per_connection: u32,
    /// The time limits of the SMTP steps.
    pub deadlines: Deadlines,
    /// The delay before the next try after a failure of the mail server: 1 s, doubling to 60 s.
    pub back_off: BackOff,
    /// The delay while our account, address or reputation is refused, which a person has to fix: 5 s,
    /// doubling to 5 minutes. It begins short because some servers refuse with the same words for
    /// seconds only.
    pub pause: BackOff,
}

impl Default for MailerSettings {
    fn default() -> Self {
        Self {
            connections: 16,
            letters_per_connection: 100,
            deadlines: Deadlines::default(),
            back_off: BackOff::new(Duration::from_secs(1), Duration::from_secs(60)),
            pause: BackOff::new(Duration::from_secs(5), Duration::from_secs(300)),
        }
    }
}
