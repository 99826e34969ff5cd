//! Plays every documented reply through the mailer and a mail server: to one recipient among others that
//! are accepted, and to everybody.
//!
//! Each play runs on a paused clock of its own, which goes on whenever everything waits. A round trip to
//! the server so takes up to 200 ms, and hours between two attempts take no time. The variable
//! `GUESTLIST_TEST_REPLIES` names another table in the form of `jobs/tests/data/replies.tsv`.

mod alone;
mod everybody;
mod expected;
mod outbox;
mod play;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use guestlist::outbox::Message;

use self::everybody::Outage;
use crate::mailer::documented::{Row, rows};

#[test]
fn a_reply_to_one_recipient_is_that_recipients() {
    play_all(alone::play);
}

#[test]
fn a_reply_to_everybody_costs_no_letter() {
    play_to_everybody(false, 1);
}

#[test]
fn a_reply_to_everybody_amid_a_run_costs_no_letter() {
    play_to_everybody(true, 1);
}

#[test]
fn a_reply_to_everybody_for_hours_costs_no_letter() {
    play_to_everybody(false, 3);
}

fn play_to_everybody(is_warm: bool, rounds: u32) {
    let outage = Outage { is_warm, rounds };
    play_all(|row, message| everybody::play(row, message, outage));
}

/// Plays every documented reply, on all processors, and fails with a table of all that went wrong.
fn play_all(kind: impl Fn(&Row, &Message) -> Vec<String> + Sync) {
    let (rows, message) = (rows(), outbox::message());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let play_some = || {
        while let Some(row) = rows.get(next.fetch_add(1, SeqCst)) {
            for what in kind(row, &message) {
                let line = format!("{}\t{}\t{}\t{what}", row.stage_name, row.one, row.text);
                wrong.lock().expect("no panic").push(line);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play_some);
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(
        wrong.is_empty(),
        "{} of {} plays:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}
