//! A short trial, on servers of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn no_letter_is_lost_or_sent_for_what_was_over_while_everything_fails_in_turn() {
    let told = trials(|trial| {
        trial.args(["chaos", "--clock-skew", "12"]);
    });
    for fault in [
        "workers killed",
        "workers stopped",
        "hosts stopped",
        "immediate stops of Postgres",
        "restarted empty",
        "FLUSHALL",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    measured("trial", &told);
}

#[test]
fn neither_flushes_nor_clocks_apart_by_more_than_a_lease_send_anything_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, results) = (folder.path().join("kept"), folder.path().join("RESULTS.md"));
    let options = "chaos --flushes-only --redis-flushes 6 --invitations 200 --minutes 0.1 \
                   --workers 3 --clock-skew 20";
    let told = trials(|trial| {
        trial.args(options.split(' '));
        trial.arg("--folder").arg(&evidence);
        trial.arg("--results").arg(&results);
    });
    let counts = counts(&told);
    assert!(counts.starts_with("faults=6 "), "{told}");
    assert!(counts.ends_with(" duplicates=0"), "{told}");
    let again = trials(|trial| {
        trial.arg("judge").arg(&evidence);
    });
    for line in ["letters of invitations", "explained", "must be none"] {
        let find = |text: &str| {
            text.lines()
                .find(|one| one.contains(line))
                .map(str::to_owned)
        };
        assert!(find(&told).is_some(), "{line}: {told}");
        assert_eq!(find(&told), find(&again), "{line}");
    }
    let kept = std::fs::read_to_string(results).unwrap();
    let begins = "# Results of the trials\n\n## Flushes only, seed 1\n";
    assert!(kept.starts_with(begins), "{kept}");
    assert!(kept.contains(counts), "{kept}");
    measured("trial of flushes", &told);
}

#[test]
fn a_folder_that_does_not_do_is_named_and_what_would() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, missing) = (folder.path(), folder.path().join("missing"));
    for (command, folder, says) in [
        (["judge"].as_slice(), missing.as_path(), "No such file"),
        (
            &["judge"],
            empty,
            "no folder that `trials chaos --folder` made",
        ),
        (&["chaos", "--folder"], empty, "has to be a new folder"),
    ] {
        let mut trial = Command::new(env!("CARGO_BIN_EXE_trials"));
        let trial = trial.args(command).arg(folder).output().unwrap();
        let complaints = String::from_utf8(trial.stderr).unwrap();
        assert_eq!(trial.status.code(), Some(1), "{complaints}");
        for part in [says, folder.to_str().unwrap()] {
            assert!(complaints.contains(part), "{part}: {complaints}");
        }
    }
}

/// What a trial said that passed.
fn trials(told: impl FnOnce(&mut Command)) -> String {
    let mut trial = Command::new(env!("CARGO_BIN_EXE_trials"));
    told(&mut trial);
    let trial = trial.output().unwrap();
    let said = String::from_utf8(trial.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&trial.stderr);
    assert!(trial.status.success(), "{said}\n{complaints}");
    said
}

/// The line of its counts.
fn counts(told: &str) -> &str {
    let mut lines = told.lines();
    lines.find(|line| line.starts_with("faults=")).unwrap()
}

fn measured(subject: &str, told: &str) {
    println!("measured: {subject}: {}", counts(told));
}
