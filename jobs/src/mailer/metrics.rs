//! The counters of the mailer.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::verdict::VerdictClass;
use crate::smtp::SmtpCounters;

/// Counters of attempts, and of connections and replies. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct MailerMetrics {
    attempts: Family<[(&'static str, &'static str); 1], Counter>,
    smtp: SmtpCounters,
}

impl MailerMetrics {
    /// Creates the counters with every label at zero.
    pub(super) fn new() -> Self {
        let attempts = Family::default();
        for class in VerdictClass::TRIED {
            drop(attempts.get_or_create(&[("verdict", class.label())]));
        }
        Self {
            attempts,
            smtp: SmtpCounters::new(),
        }
    }

    /// Counts one attempt; a letter that was not tried is none.
    pub(super) fn attempted(&self, class: VerdictClass) {
        if class != VerdictClass::NotTried {
            let label = [("verdict", class.label())];
            self.attempts.get_or_create(&label).inc();
        }
    }

    /// Returns the counters of connections and replies.
    pub(super) fn smtp(&self) -> &SmtpCounters {
        &self.smtp
    }

    /// Registers the counters.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "letter_attempts",
            "Attempts to hand a letter to the mail server or to write it to a file, by verdict",
            self.attempts.clone(),
        );
        self.smtp.register(registry);
    }
}
