//! The expectations, from the columns of the table.

use std::time::Duration;

use tokio::time::Instant;

use super::everybody::{Outage, Seen};
use super::outbox::{Letter, State};
use super::play::Play;
use crate::mailer::documented::Row;

/// The longest that a letter may wait that was refused once.
const REFUSED_ONCE: Duration = Duration::from_secs(45);

/// The number of letters and connections that may be tried in fifteen seconds while all are refused.
const MOST_TRIES: usize = 12;

/// The longest that a letter to another recipient may wait: a few round trips of the paused clock.
const OTHERS: Duration = Duration::from_secs(15);

pub(super) fn alone(row: &Row, play: &Play) -> Vec<String> {
    let mut wrong = Vec::new();
    // Before the recipient is named, any letter may meet the reply.
    let longest = match row.one == "letter" && row.stage.precedes_recipient() {
        true => REFUSED_ONCE,
        false => OTHERS,
    };
    for letter in &play.letters {
        let is_target = letter.mail.to.as_str().starts_with("target");
        if is_target && !row.stage.precedes_recipient() {
            wrong.extend(target(row, letter));
        } else {
            match letter.state {
                State::Sent(at) if at - letter.promised <= longest => {}
                State::Sent(at) => wrong.push(format!(
                    "{} took {:?}",
                    letter.mail.to,
                    at - letter.promised
                )),
                state => wrong.push(format!("{} is {state:?}", letter.mail.to)),
            }
        }
    }
    wrong
}

fn target(row: &Row, letter: &Letter) -> Option<String> {
    let is_permanent = row.text.starts_with('5');
    let is_right = match (letter.state, row.one) {
        (State::Failed { suppresses, .. }, _) if !row.is_decided => !suppresses,
        _ if !row.is_decided => true,
        (State::Failed { suppresses, at }, "recipient-final") if row.may_suppress => {
            suppresses && at - letter.promised <= OTHERS
        }
        (State::Failed { suppresses, at }, "recipient-final" | "letter" | "sender") => {
            let first = letter.shown.first().copied().unwrap_or(at);
            is_permanent
                && !suppresses
                && letter.shown.len() >= 2
                && at - first >= Duration::from_secs(2 * 60 * 60)
        }
        (State::Deferred, "recipient-final" | "letter" | "sender") => !is_permanent,
        (State::Deferred, "recipient-later") => true,
        (State::Deferred | State::Queued, "server-later" | "consequence") => true,
        _ => false,
    };
    (!is_right).then(|| {
        format!(
            "the target is {:?} after {} refusals shown",
            letter.state,
            letter.shown.len()
        )
    })
}

pub(super) fn everybody(row: &Row, play: &Play, seen: &Seen, outage: Outage) -> Vec<String> {
    let mut wrong = nobody_failed(row, play, outage);
    // Before the recipient is named, a size concerns only the letter that announces it.
    let is_of_each = row.everybody == "letter" && row.stage.precedes_recipient();
    let is_persons = matches!(row.everybody, "sender" | "letter") && !is_of_each;
    if row.is_decided && seen.is_paused != is_persons {
        wrong.push(format!("paused: {}", seen.is_paused));
    }
    if seen.tries > MOST_TRIES {
        wrong.push(format!("{} tries in a quarter of a minute", seen.tries));
    }
    wrong
}

/// A deferral by the recipient's own server waits for its schedule. Anything else leaves within a minute.
pub(super) fn soon_after(
    row: &Row,
    play: &Play,
    outage: Outage,
    mended: Instant,
) -> Option<String> {
    let is_permanent = row.text.starts_with('5');
    let is_of_recipient = match row.one {
        "recipient-later" => true,
        "recipient-final" | "letter" => !is_permanent,
        _ => false,
    };
    if outage.rounds > 1 || is_of_recipient {
        return None;
    }
    let waiting = play
        .letters
        .iter()
        .filter(|letter| letter.is_waiting())
        .count();
    let sent = play.letters.iter().filter_map(|letter| match letter.state {
        State::Sent(at) => Some(at.saturating_duration_since(mended)),
        _ => None,
    });
    let last = sent.max().unwrap_or_default();
    (waiting > 0).then(|| {
        format!("{waiting} wait a minute after the end, the last was sent {last:?} after it")
    })
}

pub(super) fn all_are_sent(row: &Row, play: &Play, outage: Outage) -> Vec<String> {
    let mut wrong = nobody_failed(row, play, outage);
    let waiting = play
        .letters
        .iter()
        .filter(|letter| letter.is_waiting())
        .count();
    if waiting > 0 {
        wrong.push(format!("{waiting} still wait three hours after the end"));
    }
    wrong
}

/// A missing mailbox is believed at once of one recipient, if others were accepted just before.
fn nobody_failed(row: &Row, play: &Play, outage: Outage) -> Vec<String> {
    let failed = play
        .letters
        .iter()
        .filter(|letter| !matches!(letter.state, State::Sent(_)) && !letter.is_waiting());
    let failed: Vec<_> = failed
        .map(|letter| format!("{} is {:?}", letter.mail.to, letter.state))
        .collect();
    let allowed = usize::from(outage.is_warm && row.may_suppress);
    if failed.len() > allowed {
        failed
    } else {
        Vec::new()
    }
}

pub(super) fn all_are_concluded(play: &Play) -> Vec<String> {
    let waiting = play.letters.iter().filter(|letter| letter.is_waiting());
    waiting
        .map(|letter| format!("{} waits after the end", letter.mail.to))
        .collect()
}
