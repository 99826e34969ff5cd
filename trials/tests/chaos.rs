//! A short trial, on servers of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn no_letter_is_lost_or_sent_for_what_was_over_while_everything_fails_in_turn() {
    let trial = Command::new(env!("CARGO_BIN_EXE_trials"))
        .arg("chaos")
        .output()
        .unwrap();
    let (told, complaints) = (
        String::from_utf8(trial.stdout).unwrap(),
        String::from_utf8(trial.stderr).unwrap(),
    );
    assert!(trial.status.success(), "{told}\n{complaints}");
    for fault in [
        "workers killed",
        "workers stopped",
        "immediate stops of Postgres",
        "restarted empty",
        "FLUSHALL",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    let letters = told
        .lines()
        .find(|line| line.contains("letters of invitations"))
        .unwrap();
    println!("measured: trial: {}", letters.trim());
}
