//! A worker that fails at each step between lease and settle, on servers of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn a_fault_at_any_step_loses_no_letter_and_repeats_only_what_was_sent_and_not_committed() {
    let trial = Command::new(env!("CARGO_BIN_EXE_trials"))
        .arg("steps")
        .output()
        .unwrap();
    let (told, complaints) = (
        String::from_utf8(trial.stdout).unwrap(),
        String::from_utf8(trial.stderr).unwrap(),
    );
    assert!(trial.status.success(), "{told}\n{complaints}");
    let counts = told.lines().last().unwrap();
    assert!(counts.starts_with("cases=36 "), "{told}");
    println!("measured: fail points: {counts}");
}
