//! Compares what inviters and operators were shown about failed deliveries with what the mail server said.

use super::observations::{Attempts, Observations, Shown};
use crate::replies::{MISSING_MAILBOX, is_policy, is_throttling};

impl Observations {
    /// Returns a line for each failure that is shown and that the mail server's log does not justify.
    pub(super) fn wrongly_shown(&self) -> Vec<String> {
        let shown = self.shown.iter().filter_map(|shown| self.objection(shown));
        let suppressed = self.suppressed.iter();
        let suppressed = suppressed.filter(|email| !self.is_missing(email));
        let suppressed = suppressed
            .map(|email| format!("{email} is suppressed, but its mailbox is not missing"));
        let attempts = self.attempts.iter().filter_map(Attempts::objection);
        shown.chain(suppressed).chain(attempts).collect()
    }

    /// Returns the number of recorded attempts that were refused for policy, and of those throttled.
    pub(super) fn refused_attempts(&self) -> (i64, i64) {
        let count = |is_reply: fn(&str) -> bool| {
            let attempts = self.attempts.iter();
            let refused = attempts.filter(|attempts| is_reply(&attempts.reply));
            refused.map(|attempts| attempts.count).sum()
        };
        (count(is_policy), count(is_throttling))
    }

    fn objection(&self, shown: &Shown) -> Option<String> {
        let invitation = self.invitations.get(&shown.invitation)?;
        let replies = self.refusals.get(&invitation.email);
        let why = shown.objection(replies.map_or(&[], Vec::as_slice))?;
        Some(format!(
            "invitation {} was shown as {} ({}), but {why}",
            invitation.id, shown.delivery, shown.words
        ))
    }
}

impl Shown {
    /// Returns what is wrong with it, given everything that the mail server replied to the recipient.
    fn objection(&self, replies: &[String]) -> Option<&'static str> {
        let is_missing = || replies.iter().any(|reply| reply == MISSING_MAILBOX);
        match self.delivery.as_str() {
            // The worker's own words, of a server that failed with this letter alone again and again.
            "deferred" if self.words.starts_with("connection lost at") => None,
            _ if !replies.iter().any(|reply| self.words.contains(reply)) => {
                Some("the mail server never said this to that recipient")
            }
            _ if is_throttling(&self.words) => Some("the server only asked to send more slowly"),
            "failed" if !is_missing() => Some("no mailbox is missing"),
            _ => None,
        }
    }
}

impl Attempts {
    /// Returns what is wrong with the verdict: a throttled letter was charged to its recipient, or a
    /// refusal for policy was taken as final.
    fn objection(&self) -> Option<String> {
        let Self {
            verdict,
            reply,
            count,
        } = self;
        let is_wrong = match verdict.as_str() {
            "refused" => is_policy(reply) || is_throttling(reply),
            "deferred" | "provisional" => is_throttling(reply),
            _ => false,
        };
        is_wrong.then(|| format!("{count} attempts have the verdict {verdict} after {reply}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(verdict: &str, reply: &str) -> bool {
        let attempts = Attempts {
            verdict: verdict.to_owned(),
            reply: reply.to_owned(),
            count: 1,
        };
        attempts.objection().is_some()
    }

    const POLICY: &str = "550 5.7.1 message refused by policy";
    const THROTTLING: &str = "452 4.3.1 too many messages, slow down";

    #[test]
    fn shown_words_were_said_to_the_recipient() {
        let objects = |delivery: &str, words: &str, replies: &[&str]| {
            let shown = Shown {
                invitation: uuid::Uuid::nil(),
                delivery: delivery.to_owned(),
                words: words.to_owned(),
            };
            let replies: Vec<_> = replies.iter().map(|reply| (*reply).to_owned()).collect();
            shown.objection(&replies).is_some()
        };
        assert!(!objects("deferred", POLICY, &[MISSING_MAILBOX, POLICY]));
        assert!(!objects("failed", MISSING_MAILBOX, &[MISSING_MAILBOX]));
        for (delivery, words, replies) in [
            ("deferred", POLICY, [].as_slice()),
            ("deferred", POLICY, &[MISSING_MAILBOX]),
            ("deferred", "", &[POLICY]),
            ("deferred", THROTTLING, &[THROTTLING]),
            ("failed", POLICY, &[POLICY]),
        ] {
            assert!(objects(delivery, words, replies), "{delivery}: {words}");
        }
    }

    #[test]
    fn refusals_for_policy_are_not_final() {
        assert!(objects("refused", POLICY));
        assert!(!objects("provisional", POLICY) && !objects("sender_refused", POLICY));
        assert!(!objects("refused", MISSING_MAILBOX));
    }

    #[test]
    fn throttling_is_not_charged_to_recipients() {
        for verdict in ["refused", "deferred", "provisional"] {
            assert!(objects(verdict, THROTTLING), "{verdict}");
        }
        assert!(!objects("throttled", THROTTLING) && !objects("server_fault", THROTTLING));
        assert!(!objects(
            "deferred",
            "451 4.7.1 greylisted, come back later"
        ));
    }
}
