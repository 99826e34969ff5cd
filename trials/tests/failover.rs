//! Short failovers of Redis, on servers of their own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

/// Runs a short trial and insists that everybody got exactly one letter.
fn survives(redis: &str) {
    let trial = Command::new(env!("CARGO_BIN_EXE_trials"))
        .args(["failover", redis, "--failovers=1", "--seconds=1"])
        .args(["--rate=20", "--burst=400"])
        .output()
        .unwrap();
    let (told, complaints) = (
        String::from_utf8(trial.stdout).unwrap(),
        String::from_utf8(trial.stderr).unwrap(),
    );
    assert!(trial.status.success(), "{told}\n{complaints}");
    let killed = told.lines().find(|line| line.contains("was killed with"));
    println!("measured: failover of {redis}, {}", killed.unwrap());
}

#[test]
fn everybody_gets_one_letter_although_the_master_of_the_sentinels_is_killed() {
    survives("sentinel");
}

#[test]
fn everybody_gets_one_letter_although_the_master_of_the_slot_is_killed() {
    survives("cluster");
}
