//! Short Redis failovers on private servers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

/// Runs a short trial and requires that every recipient got exactly one letter.
fn require_one_letter_each(redis: &str) {
    let trial = Command::new(env!("CARGO_BIN_EXE_trials"))
        .args(["failover", redis, "--failovers=1", "--seconds=1"])
        .args(["--rate=20", "--burst=400"])
        .output()
        .unwrap();
    let (output, errors) = (
        String::from_utf8(trial.stdout).unwrap(),
        String::from_utf8(trial.stderr).unwrap(),
    );
    assert!(trial.status.success(), "{output}\n{errors}");
    let killed = output.lines().find(|line| line.contains("was killed with"));
    println!("measured: failover of {redis}, {}", killed.unwrap());
}

#[test]
fn a_sentinel_failover_loses_and_repeats_no_letter() {
    require_one_letter_each("sentinel");
}

#[test]
fn a_cluster_failover_loses_and_repeats_no_letter() {
    require_one_letter_each("cluster");
}
