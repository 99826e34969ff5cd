//! The judgement of a failed attempt: a reply is evidence, and other letters confirm or refute it.

use super::evidence::{Asker, Evidence};
use super::reply_class::{Hint, Prior, ReplyClass};
use super::verdict::VerdictClass;
use crate::smtp::{SmtpError, Stage};

/// Judges a failure that is not a reply of the server.
pub(super) fn judge_error(error: &SmtpError) -> VerdictClass {
    match error {
        SmtpError::Withdrawn => VerdictClass::NotTried,
        SmtpError::Deadline { stage, .. }
        | SmtpError::Lost { stage, .. }
        | SmtpError::OutOfOrder { stage, .. }
            if *stage == Stage::End =>
        {
            VerdictClass::Unknown
        }
        SmtpError::Unreachable { .. }
        | SmtpError::Deadline { .. }
        | SmtpError::Lost { .. }
        | SmtpError::OpportunisticTls(_)
        | SmtpError::OutOfOrder { .. }
        | SmtpError::Negative { .. } => VerdictClass::ServerFault,
        SmtpError::NoStartTls
        | SmtpError::Injected
        | SmtpError::Certificate(_)
        | SmtpError::OnlyHelo
        | SmtpError::NoXoauth2
        | SmtpError::OnlyXoauth2
        | SmtpError::OnlyOauthBearer
        | SmtpError::TokenFile { .. }
        | SmtpError::NoMechanism
        | SmtpError::NoSmtpUtf8ForSender
        | SmtpError::Challenge => VerdictClass::SenderRefused,
        // Another host, or another server, may have it.
        SmtpError::NoSmtpUtf8 | SmtpError::NoEightBit => VerdictClass::Provisional,
    }
}

/// Judges a negative reply by its probable cause and by the results of other letters.
pub(super) fn judge_reply(
    stage: Stage,
    code: u16,
    prior: &Prior,
    evidence: &Evidence,
) -> VerdictClass {
    if prior.hint == Some(Hint::SlowDown) && helps_if_slower(prior, evidence) {
        match asker(stage, evidence) {
            Asker::Server => return VerdictClass::Throttled,
            // It costs the letter nothing, and slows down no other.
            Asker::Unclear => return VerdictClass::ServerFault,
            Asker::Recipient => {}
        }
    }
    if stage.precedes_recipient() {
        let class = match evidence.is_everybody() {
            true => prior.everybody,
            false => prior.class,
        };
        return match class {
            ReplyClass::Letter => VerdictClass::Provisional,
            ReplyClass::Sender => VerdictClass::SenderRefused,
            _ => VerdictClass::ServerFault,
        };
    }
    if evidence.is_everybody() {
        // One organization may cause these refusals alone, by its addresses or its name: its letters
        // wait, and no other organization's.
        let is_of_one = prior.class.may_be_caused_by_one_organization()
            && prior.everybody != ReplyClass::Sender
            && !evidence.is_of_several_organizations();
        return match prior.everybody {
            _ if is_of_one && code < 500 => VerdictClass::Deferred,
            _ if is_of_one => VerdictClass::Provisional,
            ReplyClass::Sender | ReplyClass::Letter => VerdictClass::SenderRefused,
            _ => VerdictClass::ServerFault,
        };
    }
    // RFC 5321 section 3.8: the server closes the channel, whatever it was asked. If it goes on with
    // other letters, it is this recipient's, unless it only wants fewer connections.
    let is_of_connection =
        prior.hint == Some(Hint::FewerConnections) || !evidence.others_are_accepted;
    if code == 421 && is_of_connection && !prior.class.may_be_caused_by_one_organization() {
        return VerdictClass::ServerFault;
    }
    match prior.class {
        // Final at once, unless the server said the same of others since it last accepted a letter.
        ReplyClass::MailboxMissing
            if prior.may_suppress
                && evidence.others_are_accepted
                && evidence.recipients.len() == 1 =>
        {
            VerdictClass::Refused
        }
        ReplyClass::RecipientLater => VerdictClass::Deferred,
        ReplyClass::ServerLater if evidence.others_are_accepted => VerdictClass::Deferred,
        // Nothing shows yet that it is this recipient's alone; it costs the letter nothing.
        ReplyClass::ServerLater | ReplyClass::Consequence => VerdictClass::ServerFault,
        ReplyClass::Sender if code < 500 && !evidence.others_are_accepted => {
            VerdictClass::ServerFault
        }
        _ if code < 500 => VerdictClass::Deferred,
        _ => VerdictClass::Provisional,
    }
}

/// The number of faults in a row from which on they are this letter's.
const LONE_FAULTS: u32 = 3;

/// Judges a fault of the server that stops no other letter, the last of `times` that this letter met in a
/// row. Once others are accepted while it meets the fault again and again, it is deferred, which counts
/// and is shown.
pub(super) fn judge_fault(times: u32, evidence: &Evidence) -> VerdictClass {
    match times >= LONE_FAULTS && evidence.is_alone() {
        true => VerdictClass::Deferred,
        false => VerdictClass::ServerFault,
    }
}

/// Returns whether a slower pace can help with a reply that asks for it: it helps as long as some letters
/// are accepted.
fn helps_if_slower(prior: &Prior, evidence: &Evidence) -> bool {
    !(prior.everybody == ReplyClass::Sender && evidence.is_everybody())
}

/// Returns the side that a request to slow down comes from.
fn asker(stage: Stage, evidence: &Evidence) -> Asker {
    match stage {
        _ if stage.precedes_recipient() => Asker::Server,
        Stage::Rcpt => evidence.asker_or_domain(),
        _ => evidence.asker(),
    }
}

/// Returns whether the verdict on a reply concerns all letters, so that the circuit breaker opens.
///
/// Greylisting meets everybody and stops nobody: the server takes each letter at its second try, so
/// letters that are not tried for the first time would only wait longer.
pub(super) fn concerns_all(
    stage: Stage,
    class: VerdictClass,
    prior: &Prior,
    evidence: &Evidence,
) -> bool {
    matches!(
        class,
        VerdictClass::SenderRefused | VerdictClass::ServerFault
    ) && prior.hint != Some(Hint::TryEach)
        && (stage.precedes_recipient() || evidence.is_everybody())
}

impl ReplyClass {
    /// Returns true for causes that lie in the addresses or the content of letters.
    fn may_be_caused_by_one_organization(self) -> bool {
        matches!(
            self,
            Self::MailboxMissing | Self::Recipient | Self::RecipientLater | Self::Letter
        )
    }
}

#[cfg(test)]
mod throttling;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guestlist::OrganizationId;
    use tokio::time::Instant;

    use super::super::memory::{LetterKey, Memory, UNCERTAIN};
    use super::super::reply_class::documented::{Row, reply, rows};
    use super::super::reply_class::{classify, fingerprint};
    use super::*;

    /// The letters of several organizations to several domains, through one server.
    struct Mail {
        memory: Memory,
        now: Instant,
        organizations: [OrganizationId; 3],
    }

    impl Mail {
        fn new() -> Self {
            Self {
                memory: Memory::default(),
                now: Instant::now(),
                organizations: [1, 2, 3].map(|n| {
                    let id = uuid::Uuid::from_u128(n);
                    id.to_string().parse().expect("an id")
                }),
            }
        }

        fn letter(&self, number: usize) -> LetterKey {
            let recipient = format!("user{number}@domain{}.example", number % 5);
            LetterKey::new(&recipient, Some(self.organizations[number % 3]))
        }

        fn accept(&mut self, number: usize) {
            self.now += Duration::from_millis(100);
            self.memory.accepted(self.now, self.letter(number));
        }

        fn refuse(&mut self, number: usize, row: &Row) -> VerdictClass {
            self.judge(number, row).0
        }

        /// Returns the verdict, and whether it concerns all letters.
        fn judge(&mut self, number: usize, row: &Row) -> (VerdictClass, bool) {
            let reply = reply(row.text);
            self.now += Duration::from_millis(100);
            let evidence =
                self.memory
                    .refused(self.now, self.letter(number), &fingerprint(&reply, "user"));
            let prior = classify(row.stage, &reply).expect("a negative reply");
            let class = judge_reply(row.stage, reply.code, &prior, &evidence);
            (class, concerns_all(row.stage, class, &prior, &evidence))
        }
    }

    /// Returns whether a verdict holds back other letters.
    fn holds_back(class: VerdictClass) -> bool {
        matches!(
            class,
            VerdictClass::SenderRefused | VerdictClass::ServerFault | VerdictClass::Throttled
        )
    }

    #[test]
    fn a_reply_to_one_recipient_among_others_harms_no_other() {
        for row in rows().iter().filter(|row| !row.stage.precedes_recipient()) {
            let mut mail = Mail::new();
            for number in 0..10 {
                mail.accept(number);
            }
            let class = mail.refuse(11, row);
            let is_final = class == VerdictClass::Refused;
            assert!(!is_final || row.may_suppress, "suppresses: {}", row.text);
            let may_hold_back = matches!(row.one, "server-later" | "sender" | "consequence");
            assert!(
                !holds_back(class) || may_hold_back,
                "{class:?} for {}: {}",
                row.one,
                row.text
            );
            mail.accept(12);
        }
    }

    /// A documented request to slow down at RCPT.
    fn slow_down() -> Row {
        request_at(Stage::Rcpt)
    }

    /// A documented request to slow down at the final dot.
    fn throttling() -> Row {
        request_at(Stage::End)
    }

    pub(super) fn request_at(stage: Stage) -> Row {
        let asks = |row: &Row| {
            let prior = classify(row.stage, &reply(row.text));
            prior.is_some_and(|prior| prior.hint == Some(Hint::SlowDown))
        };
        let rows = rows();
        let mut rows = rows.into_iter().filter(|row| row.stage == stage);
        rows.find(asks).expect("a documented reply")
    }

    #[test]
    fn a_domain_that_asks_alone_slows_down_no_other() {
        let (mut mail, row) = (Mail::new(), slow_down());
        let verdicts = [0, 5, 10, 15].map(|number| {
            mail.accept(number + 1);
            mail.refuse(number, &row)
        });
        let (first, later) = verdicts.split_at(2);
        assert_eq!(first, [VerdictClass::ServerFault; 2]);
        assert_eq!(later, [VerdictClass::Deferred; 2]);
    }

    #[test]
    fn a_server_that_throttles_at_rcpt_slows_down_all_letters() {
        let (mut mail, row) = (Mail::new(), slow_down());
        let verdicts = [0, 1, 2, 0].map(|number| {
            mail.accept(number + 3);
            mail.refuse(number, &row)
        });
        let (first, later) = verdicts.split_at(2);
        assert_eq!(first, [VerdictClass::ServerFault; 2]);
        assert_eq!(later, [VerdictClass::Throttled; 2]);
    }

    #[test]
    fn a_letter_that_a_slow_server_refuses_twice_is_not_charged() {
        let (mut mail, row) = (Mail::new(), throttling());
        for number in 0..5 {
            mail.accept(number);
        }
        let verdicts = [7; 3].map(|number| mail.refuse(number, &row));
        let [first, later @ ..] = verdicts;
        assert_eq!(first, VerdictClass::Throttled);
        assert_eq!(later, [VerdictClass::ServerFault; 2]);
        mail.accept(8);
        assert_eq!(
            mail.refuse(7, &row),
            VerdictClass::Deferred,
            "again and again"
        );
    }

    /// Lets the delay pass after which a letter is tried again whose refusal is uncertain.
    fn wait_for_retry(mail: &mut Mail) {
        mail.now += UNCERTAIN + Duration::from_millis(200);
    }

    #[test]
    fn a_letter_asked_to_slow_down_alone_is_deferred_in_the_end() {
        for row in [slow_down(), throttling()] {
            let mut mail = Mail::new();
            let verdicts = [1; 8].map(|letter| {
                mail.accept(letter + 1);
                wait_for_retry(&mut mail);
                mail.refuse(letter, &row)
            });
            let (_, later) = verdicts.split_at(2);
            assert_eq!(later, [VerdictClass::Deferred; 6], "{}", row.text);
        }
    }

    #[test]
    fn throttling_of_the_only_domain_slows_down_its_letters() {
        let (mut mail, row) = (Mail::new(), slow_down());
        mail.accept(5);
        assert_eq!(mail.refuse(0, &row), VerdictClass::Throttled);
    }

    #[test]
    fn a_reply_to_everybody_is_nobodys_end() {
        for row in &rows() {
            let mut mail = Mail::new();
            let verdicts: Vec<_> = (0..8).map(|number| mail.refuse(number, row)).collect();
            assert!(
                verdicts.iter().all(|class| *class != VerdictClass::Refused),
                "{verdicts:?}: {}",
                row.text
            );
            assert!(
                verdicts[4..].iter().all(|class| holds_back(*class))
                    || row.stage == Stage::Mail && row.one == "letter",
                "{verdicts:?}: {}",
                row.text
            );
        }
    }

    #[test]
    fn one_organization_alone_holds_back_no_other() {
        for row in rows().iter().filter(|row| !row.stage.precedes_recipient()) {
            let prior = classify(row.stage, &reply(row.text)).expect("a negative reply");
            let is_of_sender = prior.everybody == ReplyClass::Sender;
            if !prior.class.may_be_caused_by_one_organization() || is_of_sender {
                continue;
            }
            let mut mail = Mail::new();
            mail.organizations = [mail.organizations[0]; 3];
            for number in 0..20 {
                let class = mail.refuse(number, row);
                assert!(!holds_back(class), "{class:?}: {}", row.text);
            }
        }
    }

    #[test]
    fn greylisting_of_everybody_stops_no_letter() {
        let rows = rows();
        let greylisted = rows.iter().filter(|row| row.text.contains("reylist"));
        let mut count = 0;
        for row in greylisted.filter(|row| row.stage == Stage::Rcpt) {
            let mut mail = Mail::new();
            for number in 0..8 {
                assert!(!mail.judge(number, row).1, "{}", row.text);
            }
            count += 1;
        }
        assert!(count >= 4, "{count}");
    }
}
