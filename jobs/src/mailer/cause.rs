//! The reason why letters are stopped.

use std::time::Duration;

use super::remedy;
use crate::smtp::{Reply, SmtpError, Stage};

/// The reason why letters are stopped.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// The server's words, or a description.
    pub(super) text: String,
    /// The remedy, if a person has to fix the cause.
    pub(super) remedy: Option<&'static str>,
    /// The remedy, if a person has to fix the cause should it meet the next try too.
    pub(super) remedy_if_lasting: Option<&'static str>,
    /// The way to find out that it is over.
    pub(super) probe: Probe,
}

/// A kind of failure that is logged once, and again only if a worse one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Announced {
    /// The server fails.
    Failure,
    /// A person has to fix it.
    Refusal,
}

/// The way to find out that the mail server takes letters again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// A connection up to `MAIL`, without a letter.
    Connection,
    /// A letter, if possible not one to these recipients, whose refusal opened the breaker.
    Letter(Vec<u64>),
}

impl Cause {
    /// Makes the cause of a connection that could not be opened.
    pub(super) fn of_connection(error: &SmtpError) -> Self {
        Self::of_failure(error, Probe::Connection)
    }

    /// Makes the cause of connections of which none became ready.
    pub(super) fn of_no_connection(text: String) -> Self {
        Self {
            probe: Probe::Connection,
            ..Self::of_text(text)
        }
    }

    /// Makes the cause of a letter that failed without a reply. `recipients` are those that met the same
    /// failure, if they are several.
    pub(super) fn of_letter(error: &SmtpError, recipients: Vec<u64>) -> Self {
        Self::of_failure(error, Probe::Letter(recipients))
    }

    /// Makes the cause of a letter that was refused. `recipients` are those with the same refusal.
    pub(super) fn of_reply(
        stage: Stage,
        reply: &Reply,
        is_of_sender: bool,
        recipients: Vec<u64>,
    ) -> Self {
        Self {
            text: reply.to_string(),
            remedy: is_of_sender.then(|| remedy::of_reply(stage, reply)),
            remedy_if_lasting: None,
            probe: match stage.precedes_recipient() {
                true => Probe::Connection,
                false => Probe::Letter(recipients),
            },
        }
    }

    /// Makes the cause of a failure that only its description tells.
    pub(super) fn of_text(text: String) -> Self {
        Self {
            text,
            remedy: None,
            remedy_if_lasting: None,
            probe: Probe::Letter(Vec::new()),
        }
    }

    fn of_failure(error: &SmtpError, probe: Probe) -> Self {
        Self {
            text: error.to_string(),
            remedy: remedy::of_connection(error),
            remedy_if_lasting: remedy::of_lasting_failure(error),
            probe,
        }
    }

    pub(super) fn is_of_several_letters(&self) -> bool {
        matches!(&self.probe, Probe::Letter(openers) if !openers.is_empty())
    }

    pub(super) fn announced(&self) -> Announced {
        match self.remedy {
            None => Announced::Failure,
            Some(_) => Announced::Refusal,
        }
    }

    /// Logs a failure: loudly once if a person has to fix it, quietly while it lasts.
    pub(super) fn log(&self, retry_in: Duration, failures: u32, is_announced: bool) {
        let text = &self.text;
        match self.remedy {
            Some(remedy) if !is_announced => tracing::error!(
                ?retry_in,
                failures,
                "the mail server refuses this sender, and no letter is sent until that is fixed: {text}; {remedy}"
            ),
            None if !is_announced => tracing::warn!(
                ?retry_in,
                failures,
                "the mail server failed, and letters wait until the next try: {text}"
            ),
            _ => tracing::info!(?retry_in, failures, "the mail server still fails: {text}"),
        }
    }
}
