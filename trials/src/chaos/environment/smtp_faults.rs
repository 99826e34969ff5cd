//! Faults of the mail server.

use std::time::Duration;

use guestlist_testkit::SmtpServer;
use guestlist_testkit::smtp::{Action, Rule, Stage};

use crate::chaos::schedule::Schedule;
use crate::host::MARKS;
use crate::replies;

const SECOND: Duration = Duration::from_secs(1);

/// Adds a rule for each mark of [`MARKS`]. Where delivery has to succeed in the end, it applies once per
/// recipient.
pub(super) fn add_recipient_rules(server: &SmtpServer) {
    for (mark, _) in MARKS {
        let rule = match mark {
            "gone" => Rule::new(Stage::Rcpt, replies::MISSING_MAILBOX),
            "grey" => Rule::new(Stage::Rcpt, "451 4.7.1 greylisted, come back later").times(1),
            "big" => Rule::new(Stage::End, "552 5.3.4 too big for us").times(1),
            "hang" => Rule::new(Stage::End, Action::HangUp).times(1),
            "lose" => Rule::new(Stage::End, Action::Lose).times(1),
            "late" => Rule::new(Stage::End, Action::ReplyLate(SECOND)),
            _ => Rule::new(Stage::Rcpt, Action::ReplySlowly(SECOND / 50)),
        };
        server.add_rule(rule.to(mark));
    }
}

/// Adds one random fault for every recipient, which ends after `duration`.
pub(super) fn add_random_rule(server: &SmtpServer, duration: Duration, schedule: &mut Schedule) {
    let faults = [
        (
            Stage::Connect,
            Action::reply_and_hang_up("421 4.3.2 shutting down"),
        ),
        (Stage::Connect, Action::StallFor(3 * SECOND)),
        (Stage::Ehlo, Action::HangUp),
        (Stage::Ehlo, Action::Flood),
        (Stage::StartTls, "454 4.7.0 TLS not available".into()),
        (Stage::Auth, "454 4.7.0 try again".into()),
        (Stage::Mail, "451 4.3.0 try again".into()),
        (Stage::Mail, Action::StallFor(3 * SECOND)),
        (Stage::Rcpt, "452 4.3.1 out of space".into()),
        (Stage::Rcpt, Action::Flood),
        (Stage::Data, Action::HangUp),
        (Stage::Body, Action::HangUp),
        (Stage::Body, Action::StallFor(3 * SECOND)),
        (Stage::End, "451 4.3.0 try again".into()),
        (
            Stage::End,
            Action::reply_and_hang_up("421 4.3.2 shutting down"),
        ),
        (Stage::End, Action::Lose),
        (Stage::End, Action::HangUp),
        (Stage::End, Action::StallFor(3 * SECOND)),
        (Stage::End, Action::Flood),
        (Stage::End, Action::ReplyLate(2 * SECOND)),
        (Stage::End, Action::ReplySlowly(SECOND / 50)),
        (Stage::Rset, Action::HangUp),
    ];
    let (stage, action) = faults[schedule.draw_index(faults.len())].clone();
    server.add_rule(Rule::new(stage, action).ending_in(duration));
}

/// Refuses for policy, until `duration` is over, the recipients whose number ends with a drawn digit.
pub(super) fn add_policy_rule(server: &SmtpServer, duration: Duration, schedule: &mut Schedule) {
    let (stage, reply) = replies::POLICY[schedule.draw_index(replies::POLICY.len())];
    let digit = schedule.draw_index(10);
    let rule = Rule::new(stage, reply).to(format!("{digit}@"));
    server.add_rule(rule.ending_in(duration));
}

/// Takes a drawn number of letters a second, until `duration` is over.
pub(super) fn add_throttle_rule(server: &SmtpServer, duration: Duration, schedule: &mut Schedule) {
    let (stage, reply) = replies::THROTTLING[schedule.draw_index(replies::THROTTLING.len())];
    let per_second = 2 + schedule.draw_index(5);
    let rule = Rule::new(stage, replies::action(reply)).above_rate(per_second);
    server.add_rule(rule.ending_in(duration));
}
