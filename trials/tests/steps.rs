//! A worker that fails at each step between lease and settle, on private servers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn a_fault_at_any_step_repeats_only_uncommitted_letters() {
    let trial = Command::new(env!("CARGO_BIN_EXE_trials"))
        .arg("steps")
        .output()
        .unwrap();
    let (output, errors) = (
        String::from_utf8(trial.stdout).unwrap(),
        String::from_utf8(trial.stderr).unwrap(),
    );
    assert!(trial.status.success(), "{output}\n{errors}");
    let counts = output.lines().last().unwrap();
    assert!(counts.starts_with("cases=36 "), "{output}");
    println!("measured: fail points: {counts}");
}
