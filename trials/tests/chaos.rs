//! Short chaos trials on private servers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn chaos_loses_no_letter_and_sends_no_obsolete_one() {
    let output = trials(|trial| {
        trial.args(["chaos", "--clock-skew", "12"]);
    });
    for fault in [
        "workers killed",
        "workers stopped",
        "hosts stopped",
        "immediate shutdowns of Postgres",
        "restarted empty",
        "FLUSHALL",
        "mail server refusing some recipients for policy",
        "mail server throttling",
    ] {
        assert!(output.contains(fault), "{fault}: {output}");
    }
    for attempts in ["attempts refused for policy", "attempts throttled"] {
        let line = output.lines().find(|line| line.ends_with(attempts));
        let count = line.and_then(|line| line.trim().split(' ').next()?.parse::<u32>().ok());
        assert!(count.is_some_and(|count| count > 0), "{attempts}: {output}");
    }
    measured("trial", &output);
}

#[test]
fn flushes_and_wrong_clocks_cause_no_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, results) = (folder.path().join("kept"), folder.path().join("RESULTS.md"));
    let options = "chaos --flushes-only --redis-flushes 6 --invitations 200 --minutes 0.1 \
                   --workers 3 --clock-skew 20";
    let output = trials(|trial| {
        trial.args(options.split(' '));
        trial.arg("--folder").arg(&evidence);
        trial.arg("--results").arg(&results);
    });
    let counts = counts(&output);
    assert!(counts.starts_with("faults=6 "), "{output}");
    assert!(counts.ends_with(" duplicates=0"), "{output}");
    let again = trials(|trial| {
        trial.arg("judge").arg(&evidence);
    });
    for line in ["invitation letters", "explained", "must be zero"] {
        let find = |text: &str| {
            text.lines()
                .find(|one| one.contains(line))
                .map(str::to_owned)
        };
        assert!(find(&output).is_some(), "{line}: {output}");
        assert_eq!(find(&output), find(&again), "{line}");
    }
    let kept = std::fs::read_to_string(results).unwrap();
    let start = "# Results of the trials\n\n## Flushes only, seed 1\n";
    assert!(kept.starts_with(start), "{kept}");
    assert!(kept.contains(counts), "{kept}");
    measured("trial of flushes", &output);
}

#[test]
fn an_unusable_folder_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, missing) = (folder.path(), folder.path().join("missing"));
    for (command, folder, says) in [
        (["judge"].as_slice(), missing.as_path(), "No such file"),
        (&["judge"], empty, "was not made by `trials chaos --folder`"),
        (&["chaos", "--folder"], empty, "has to be a new folder"),
    ] {
        let mut trial = Command::new(env!("CARGO_BIN_EXE_trials"));
        let trial = trial.args(command).arg(folder).output().unwrap();
        let errors = String::from_utf8(trial.stderr).unwrap();
        assert_eq!(trial.status.code(), Some(1), "{errors}");
        for part in [says, folder.to_str().unwrap()] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
}

/// Runs a trial, requires that it passes, and returns its output.
fn trials(configure: impl FnOnce(&mut Command)) -> String {
    let mut trial = Command::new(env!("CARGO_BIN_EXE_trials"));
    configure(&mut trial);
    let trial = trial.output().unwrap();
    let output = String::from_utf8(trial.stdout).unwrap();
    let errors = String::from_utf8_lossy(&trial.stderr);
    assert!(trial.status.success(), "{output}\n{errors}");
    output
}

/// Returns the line of counts.
fn counts(output: &str) -> &str {
    let mut lines = output.lines();
    lines.find(|line| line.starts_with("faults=")).unwrap()
}

fn measured(subject: &str, output: &str) {
    println!("measured: {subject}: {}", counts(output));
}
