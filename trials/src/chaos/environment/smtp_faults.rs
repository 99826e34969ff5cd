//! Faults of the mail server.

use std::time::Duration;

use crate::chaos::schedule::Schedule;
use crate::host::MARKS;
use crate::sink::{Action, Rule, Script, Verb};

const SECOND: Duration = Duration::from_secs(1);

/// Adds a rule for each mark of [`MARKS`]. Where delivery has to succeed in the end, it applies once per
/// recipient.
pub(super) fn add_recipient_rules(script: &Script) {
    for (mark, _) in MARKS {
        let rule = match mark {
            "gone" => Rule::new(Verb::Rcpt, reply("550 5.1.1 no such user")),
            "grey" => {
                Rule::new(Verb::Rcpt, reply("451 4.7.1 greylisted, come back later")).times(1)
            }
            "big" => Rule::new(Verb::End, reply("552 5.3.4 too big for us")).times(1),
            "hang" => Rule::new(Verb::End, Action::HangUp).times(1),
            "lose" => Rule::new(Verb::End, Action::Lose).times(1),
            "late" => Rule::new(Verb::End, Action::ReplyLate(SECOND)),
            _ => Rule::new(Verb::Rcpt, Action::ReplySlowly(SECOND / 50)),
        };
        script.add(rule.to(mark));
    }
}

/// Adds one random fault for every recipient, which ends after `duration`.
pub(super) fn add_random_rule(script: &Script, duration: Duration, schedule: &mut Schedule) {
    let faults = [
        (
            Verb::Connect,
            Action::ReplyAndHangUp("421 4.3.2 shutting down".to_owned()),
        ),
        (Verb::Connect, Action::Stall(3 * SECOND)),
        (Verb::Ehlo, Action::HangUp),
        (Verb::Ehlo, Action::Flood),
        (Verb::StartTls, reply("454 4.7.0 TLS not available")),
        (Verb::Auth, reply("454 4.7.0 try again")),
        (Verb::Mail, reply("451 4.3.0 try again")),
        (Verb::Mail, Action::Stall(3 * SECOND)),
        (Verb::Rcpt, reply("452 4.3.1 out of space")),
        (Verb::Rcpt, Action::Flood),
        (Verb::Data, Action::HangUp),
        (Verb::Body, Action::HangUp),
        (Verb::Body, Action::Stall(3 * SECOND)),
        (Verb::End, reply("451 4.3.0 try again")),
        (
            Verb::End,
            Action::ReplyAndHangUp("421 4.3.2 shutting down".to_owned()),
        ),
        (Verb::End, Action::Lose),
        (Verb::End, Action::HangUp),
        (Verb::End, Action::Stall(3 * SECOND)),
        (Verb::End, Action::Flood),
        (Verb::End, Action::ReplyLate(2 * SECOND)),
        (Verb::End, Action::ReplySlowly(SECOND / 50)),
        (Verb::Rset, Action::HangUp),
    ];
    let (verb, action) = faults[schedule.draw_index(faults.len())].clone();
    script.add(Rule::new(verb, action).lasting(duration));
}

fn reply(reply: &str) -> Action {
    Action::Reply(reply.to_owned())
}
