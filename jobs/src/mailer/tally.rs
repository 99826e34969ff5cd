//! The counters of the mailer.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::verdict::Outcome;

type Labels = [(&'static str, &'static str); 1];

/// Counters of attempts, replies and connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    attempts: Family<Labels, Counter>,
    replies: Family<Labels, Counter>,
    connections: Counter,
}

/// The values of the label `verdict`; `accepted` is the server's 250 to the end of the data.
const VERDICTS: [&str; 7] = [
    "accepted",
    "deferred",
    "refused",
    "letter_fault",
    "server_fault",
    "ours",
    "unknown",
];

/// The classes of reply codes (RFC 5321 section 4.2.1) and one for all other codes.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];

impl Tally {
    /// Creates the counters with every label at zero.
    pub(super) fn new() -> Self {
        let tally = Self::default();
        for verdict in VERDICTS {
            drop(tally.attempts.get_or_create(&[("verdict", verdict)]));
        }
        for class in CLASSES {
            drop(tally.replies.get_or_create(&[("class", class)]));
        }
        tally
    }

    pub(super) fn attempt(&self, outcome: &Outcome) {
        let verdict = match outcome {
            Outcome::Accepted(_) => "accepted",
            Outcome::Deferred(_) => "deferred",
            Outcome::Refused(_) => "refused",
            Outcome::LetterFault(_) => "letter_fault",
            Outcome::ServerFault(_) => "server_fault",
            Outcome::Ours(_) => "ours",
            Outcome::Unknown(_) => "unknown",
        };
        self.attempts.get_or_create(&[("verdict", verdict)]).inc();
    }

    pub(super) fn reply(&self, code: u16) {
        let class = match code {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "other",
        };
        self.replies.get_or_create(&[("class", class)]).inc();
    }

    pub(super) fn connected(&self) {
        self.connections.inc();
    }

    /// Registers the counters.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "letter_attempts",
            "Attempts to hand a letter to the mail server or to write it to a file, by verdict",
            self.attempts.clone(),
        );
        registry.register(
            "smtp_replies",
            "Replies of the mail server to any command, by class of the reply code",
            self.replies.clone(),
        );
        registry.register(
            "smtp_connections",
            "Connections opened to the mail server",
            self.connections.clone(),
        );
    }
}
