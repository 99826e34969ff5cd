//! A letter's turn at the mail server: a connection that is ready, and the judgement of its attempt.

use std::sync::PoisonError;
use std::time::Duration;

use guestlist::EmailAddress;
use tokio::time::Instant;
use tracing::debug;

use super::cause::{Cause, Probe};
use super::circuit_breaker::BreakerPermit;
use super::evidence::Evidence;
use super::judge::{concerns_all, judge_error, judge_fault, judge_reply};
use super::lent::Lent;
use super::memory::{LetterKey, UNCERTAIN};
use super::reply_class::{Hint, classify, fingerprint};
use super::throttle_queue::Turn;
use super::verdict::{Detail, Verdict, VerdictClass};
use super::{Mailer, Post};
use crate::back_off::BackOff;
use crate::mail::Mail;
use crate::smtp::{Reply, SendGuard, SmtpError, Stage};

/// The right to send one letter at once, on a connection that is open.
pub(crate) struct Ready {
    mailer: Mailer,
    letter: LetterKey,
    permit: BreakerPermit,
    /// `None` where letters are written to a folder.
    lent: Option<Lent>,
    /// The turn of the letter, if the server asked to send more slowly.
    turn: Option<Turn>,
    /// True if the letter may go on another connection if this one turns out to be closed.
    may_replace: bool,
}

impl Ready {
    /// Makes the turn of a letter on a connection.
    pub(super) fn on(
        mailer: Mailer,
        letter: LetterKey,
        permit: BreakerPermit,
        lent: Lent,
        turn: Option<Turn>,
        may_replace: bool,
    ) -> Self {
        Self {
            mailer,
            letter,
            permit,
            lent: Some(lent),
            turn,
            may_replace,
        }
    }

    /// Makes the turn of a letter that is written to a folder.
    pub(super) fn to_folder(mailer: Mailer, letter: LetterKey, permit: BreakerPermit) -> Self {
        Self {
            mailer,
            letter,
            permit,
            lent: None,
            turn: None,
            may_replace: false,
        }
    }

    /// Sends the letter as long as `guard` allows it, and judges the result.
    ///
    /// # Errors
    /// [`ClosedWhileIdle`]; nothing was sent.
    pub(crate) async fn send(
        self,
        mail: &Mail,
        guard: &SendGuard,
    ) -> Result<Verdict, ClosedWhileIdle> {
        let Self {
            mailer,
            letter,
            permit,
            lent,
            turn,
            may_replace,
        } = self;
        if let Some(turn) = turn.filter(|_| guard.check().is_ok()) {
            turn.take(&mailer.0.throttle);
        }
        let verdict = match (&mailer.0.post, lent) {
            (Post::Smtp(_), Some(mut lent)) => {
                mailer.remember_sender(mail);
                let may_replace = may_replace && lent.is_reused();
                let result = lent.send(mail, guard).await;
                let is_used_up = result.as_ref().is_err_and(asks_to_reconnect);
                let quits = is_used_up || result.as_ref().is_err_and(SmtpError::is_of_host);
                let verdict = match result {
                    Err(error) if may_replace && (is_used_up || error.is_stale_connection()) => {
                        Err(ClosedWhileIdle)
                    }
                    // Before the connection goes back, so that the next letter on it is no evidence.
                    result => Ok(mailer.judge(letter, &mail.to, permit, result)),
                };
                if quits {
                    lent.quit();
                } else {
                    // Before the caller goes on, whose next letter must not wait for this.
                    lent.give_back().await;
                }
                verdict?
            }
            (Post::Folder(folder), _) => match guard.check() {
                Ok(()) => {
                    // The file is written to its end even if this is cancelled.
                    guard.end();
                    mailer.judge_file(permit, folder.send(mail.clone()).await)
                }
                Err(_) => Verdict::not_tried("the letter was withdrawn", mailer.0.back_off),
            },
            (Post::Smtp(_), None) => unreachable!("a letter for a server has a connection"),
        };
        mailer.0.metrics.attempted(verdict.class);
        Ok(verdict)
    }
}

/// The server had closed the connection while it was idle, or takes no more letters on it; it did not
/// take this one. Another connection is to be used, and the letter to be rendered again if that took
/// long.
#[derive(Debug)]
pub(crate) struct ClosedWhileIdle;

/// Returns whether the server takes this letter on another connection.
fn asks_to_reconnect(error: &SmtpError) -> bool {
    let prior = error
        .reply()
        .and_then(|(stage, reply)| classify(stage, reply));
    prior.is_some_and(|prior| prior.hint == Some(Hint::Reconnect))
}

impl Mailer {
    fn remember_sender(&self, mail: &Mail) {
        let mut sender = self.0.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref() != Some(&mail.from) {
            *sender = Some(mail.from.clone());
        }
    }

    fn judge(
        &self,
        letter: LetterKey,
        recipient: &EmailAddress,
        permit: BreakerPermit,
        result: Result<Reply, SmtpError>,
    ) -> Verdict {
        match result {
            Ok(reply) => self.accept(letter, permit, &reply),
            Err(error @ SmtpError::Withdrawn) => {
                Verdict::not_tried(&error.to_string(), self.0.back_off)
            }
            Err(error) => match error.reply() {
                Some((stage, reply)) => {
                    let refusal = fingerprint(reply, recipient.local_part());
                    self.judge_refusal(letter, permit, stage, reply, &refusal)
                }
                None => self.judge_failure(letter, permit, &error),
            },
        }
    }

    fn accept(&self, letter: LetterKey, permit: BreakerPermit, reply: &Reply) -> Verdict {
        let now = Instant::now();
        self.0.memory.accepted(now, letter);
        self.0.throttle.accepted(now);
        permit.accepted();
        if let Post::Smtp(pool) = &self.0.post {
            pool.succeeded();
        }
        Verdict::new(VerdictClass::Accepted, Detail::of_reply(Stage::End, reply))
    }

    fn judge_refusal(
        &self,
        letter: LetterKey,
        permit: BreakerPermit,
        stage: Stage,
        reply: &Reply,
        refusal: &str,
    ) -> Verdict {
        let now = Instant::now();
        let evidence = self.0.memory.refused(now, letter, refusal);
        let Some(prior) = classify(stage, reply) else {
            return Verdict::new(VerdictClass::Deferred, Detail::of_reply(stage, reply));
        };
        let class = judge_reply(stage, reply.code, &prior, &evidence);
        debug!(
            rule = prior.rule,
            verdict = class.label(),
            recipients = evidence.recipients.len(),
            "a letter was refused at {stage}: {reply}"
        );
        let mut detail = Detail::of_reply(stage, reply);
        detail.says_mailbox_is_missing = prior.may_suppress;
        let verdict = Verdict::new(class, detail);
        let wants_fewer = prior.hint == Some(Hint::FewerConnections);
        let is_of_server = stage.precedes_recipient() || evidence.is_of_several_recipients();
        if wants_fewer
            && is_of_server
            && let Post::Smtp(pool) = &self.0.post
        {
            pool.refused_one();
        }
        let is_throttling = prior.hint == Some(Hint::SlowDown);
        let is_news = is_throttling && self.0.memory.throttled(now, letter);
        let first = if wants_fewer { LOST } else { UNCERTAIN };
        let concerns_all = concerns_all(stage, class, &prior, &evidence);
        match class {
            VerdictClass::Throttled => verdict.after(self.0.throttle.refused(now, is_news)),
            _ if concerns_all => {
                let is_of_sender = class == VerdictClass::SenderRefused;
                let cause = Cause::of_reply(stage, reply, is_of_sender, evidence.recipients);
                let probes_connection = cause.probe == Probe::Connection;
                let retry_after = permit.failed(now, cause);
                if probes_connection {
                    self.spawn_connection_probe();
                }
                verdict.after(retry_after.max(self.0.back_off))
            }
            VerdictClass::ServerFault if !is_throttling => {
                self.judge_fault(letter, verdict, first, &evidence)
            }
            VerdictClass::Deferred if prior.is_surely_of_recipient => verdict,
            _ => verdict.after(first),
        }
    }

    /// Judges a fault of the server that stops no other letter. The delay doubles with every fault that the
    /// letter meets.
    fn judge_fault(
        &self,
        letter: LetterKey,
        verdict: Verdict,
        first: Duration,
        evidence: &Evidence,
    ) -> Verdict {
        let times = self.0.memory.fault(Instant::now(), letter);
        let delay = BackOff::new(first, LONGEST_FAULT).after(times);
        Verdict {
            class: judge_fault(times, evidence),
            ..verdict.after(delay)
        }
    }

    /// Judges a failure without a reply: the connection was lost or timed out, or the server lacks what
    /// the configuration or the letter needs.
    ///
    /// A connection that is lost once a recipient was named may be due to the address or the content of this
    /// letter. It stops no other, unless letters of several organizations meet it. If the letter may have
    /// arrived, others are stopped while none is accepted, because each try counts.
    fn judge_failure(
        &self,
        letter: LetterKey,
        permit: BreakerPermit,
        error: &SmtpError,
    ) -> Verdict {
        let class = judge_error(error);
        let verdict = Verdict::new(class, Detail::of_error(error));
        let now = Instant::now();
        let mut openers = Vec::new();
        if let Some(stage) = error.stage().filter(|stage| !stage.precedes_recipient()) {
            let failure = format!("lost at {stage}");
            let evidence = self.0.memory.refused(now, letter, &failure);
            let is_everybody = evidence.is_everybody();
            match class {
                VerdictClass::ServerFault if !evidence.is_of_several_organizations() => {
                    return self.judge_fault(letter, verdict, LOST, &evidence);
                }
                VerdictClass::Unknown if evidence.others_are_accepted && !is_everybody => {
                    return verdict.after(LOST);
                }
                _ if is_everybody => openers = evidence.recipients,
                _ => {}
            }
        }
        match class {
            VerdictClass::ServerFault | VerdictClass::SenderRefused | VerdictClass::Unknown => {
                let cause = Cause::of_letter(error, openers);
                verdict.after(permit.failed(now, cause).max(self.0.back_off))
            }
            _ => verdict,
        }
    }

    fn judge_file(&self, permit: BreakerPermit, written: Result<String, String>) -> Verdict {
        match written {
            Ok(text) => {
                permit.accepted();
                Verdict::new(VerdictClass::Accepted, Detail::of_text(text))
            }
            Err(text) => {
                let cause = Cause::of_text(text.clone());
                let retry_after = permit.failed(Instant::now(), cause);
                Verdict::new(VerdictClass::ServerFault, Detail::of_text(text)).after(retry_after)
            }
        }
    }
}

/// The delay of a letter whose connection was lost.
const LOST: Duration = Duration::from_secs(5);

/// The longest delay of a letter that meets faults of the server, until they count as the letter's own.
const LONGEST_FAULT: Duration = Duration::from_secs(120);
