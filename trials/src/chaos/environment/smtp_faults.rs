//! Faults of the mail server.

use std::time::Duration;

use crate::chaos::schedule::Schedule;
use crate::host::MARKS;
use crate::sink::{Act, Rule, Script, Verb};

const SECOND: Duration = Duration::from_secs(1);

/// Adds a rule for each mark of [`MARKS`]. Where delivery has to succeed in the end, it applies once per
/// recipient.
pub(super) fn add_recipient_rules(script: &Script) {
    for (mark, _) in MARKS {
        let rule = match mark {
            "gone" => Rule::new(Verb::Rcpt, say("550 5.1.1 no such user")),
            "grey" => Rule::new(Verb::Rcpt, say("451 4.7.1 greylisted, come back later")).times(1),
            "big" => Rule::new(Verb::End, say("552 5.3.4 too big for us")).times(1),
            "hang" => Rule::new(Verb::End, Act::HangUp).times(1),
            "lose" => Rule::new(Verb::End, Act::Lose).times(1),
            "late" => Rule::new(Verb::End, Act::Late(SECOND)),
            _ => Rule::new(Verb::Rcpt, Act::Slowly(SECOND / 50)),
        };
        script.add(rule.to(mark));
    }
}

/// Adds one random fault for every recipient, which ends after `duration`.
pub(super) fn add_random_rule(script: &Script, duration: Duration, schedule: &mut Schedule) {
    let faults = [
        (
            Verb::Connect,
            Act::SayAndHangUp("421 4.3.2 shutting down".to_owned()),
        ),
        (Verb::Connect, Act::Stall(3 * SECOND)),
        (Verb::Ehlo, Act::HangUp),
        (Verb::Ehlo, Act::Flood),
        (Verb::StartTls, say("454 4.7.0 TLS not available")),
        (Verb::Auth, say("454 4.7.0 try again")),
        (Verb::Mail, say("451 4.3.0 try again")),
        (Verb::Mail, Act::Stall(3 * SECOND)),
        (Verb::Rcpt, say("452 4.3.1 out of space")),
        (Verb::Rcpt, Act::Flood),
        (Verb::Data, Act::HangUp),
        (Verb::Body, Act::HangUp),
        (Verb::Body, Act::Stall(3 * SECOND)),
        (Verb::End, say("451 4.3.0 try again")),
        (
            Verb::End,
            Act::SayAndHangUp("421 4.3.2 shutting down".to_owned()),
        ),
        (Verb::End, Act::Lose),
        (Verb::End, Act::HangUp),
        (Verb::End, Act::Stall(3 * SECOND)),
        (Verb::End, Act::Flood),
        (Verb::End, Act::Late(2 * SECOND)),
        (Verb::End, Act::Slowly(SECOND / 50)),
        (Verb::Rset, Act::HangUp),
    ];
    let (verb, act) = faults[schedule.draw_index(faults.len())].clone();
    script.add(Rule::new(verb, act).lasting(duration));
}

fn say(reply: &str) -> Act {
    Act::Say(reply.to_owned())
}
