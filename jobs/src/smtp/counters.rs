//! Counters of connections and replies.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Counters of connections and replies. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SmtpCounters {
    replies: Family<[(&'static str, &'static str); 1], Counter>,
    connections: Counter,
}

/// The classes of reply codes (RFC 5321 section 4.2.1) and one for all other codes.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];

impl SmtpCounters {
    /// Creates the counters with every label at zero.
    pub(crate) fn new() -> Self {
        let replies = Family::default();
        for class in CLASSES {
            drop(replies.get_or_create(&[("class", class)]));
        }
        Self {
            replies,
            connections: Counter::default(),
        }
    }

    pub(super) fn replied(&self, code: u16) {
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
