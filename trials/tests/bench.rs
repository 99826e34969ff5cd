//! The smallest benchmark on private servers: everything is measured and counted; speed is not checked.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

#[test]
fn every_subject_is_measured_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (json, results) = (
        folder.path().join("bench.json"),
        folder.path().join("RESULTS.md"),
    );
    fs::write(&results, "# Results\n\n## Chaos\n\nNothing lost.\n").unwrap();
    let trials = Path::new(env!("CARGO_BIN_EXE_trials"));
    let mut command = Command::new(trials);
    command.args(["bench", "--size", "tiny", "--repeat", "1"]);
    // A test run of the workspace has built the command; otherwise the bench builds it.
    let guestlist = trials.with_file_name("guestlist");
    if guestlist.exists() {
        command.arg("--guestlist").arg(&guestlist);
        command.arg("--beside").arg(&guestlist);
    }
    let bench = command
        .args(["--json".as_ref(), json.as_os_str()])
        .args(["--results".as_ref(), results.as_os_str()])
        .output()
        .unwrap();
    let (output, errors) = (
        String::from_utf8(bench.stdout).unwrap(),
        String::from_utf8(bench.stderr).unwrap(),
    );
    assert!(bench.status.success(), "{output}\n{errors}");

    let object: Json = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let rows = object["rows"].as_array().unwrap();
    let mut counted: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let subject = counted.entry(row["subject"].as_str().unwrap()).or_default();
        subject.extend(row["counted"].as_u64());
        for figures in [&row["result"], &row["reference"]] {
            if !figures.is_null() {
                let all = figures["all"].as_array().unwrap();
                assert!(!all.is_empty(), "{row:#}");
                // Numbers of letters that none should be among are 0.
                let is_measured = |figure: &Json| match row["unit"].as_str() {
                    Some("number" | "%") => figure.as_f64().unwrap() >= 0.0,
                    _ => figure.as_f64().unwrap() > 0.0,
                };
                assert!(all.iter().all(is_measured), "{row:#}");
            }
        }
        let has_verdict = row["met"].is_boolean();
        assert_eq!(has_verdict, row["target"].is_string(), "{row:#}");
        assert!(
            output.contains(row["subject"].as_str().unwrap()),
            "{output}"
        );
    }
    // Number of invites, lines, letters, messages or sessions requested each time. The subject itself
    // fails if it does not find as many done.
    let mut expected: BTreeMap<&str, Vec<u64>> = [
        ("invite", vec![64]),
        ("bulk", vec![120]),
        ("drain", vec![100]),
        ("both", vec![64]),
        ("open_loop", vec![25, 25]),
        ("memory", vec![2_000]),
        ("start", vec![1]),
        ("size", vec![2_000; 4]),
        ("expiry", vec![300]),
        ("purge", vec![5, 5, 1_200, 1_200]),
        ("sqlite", vec![64, 64]),
        ("redis", vec![1_000]),
        ("relay", vec![2_000, 4_000]),
        ("policy", vec![40]),
        ("content", vec![40]),
        ("refusal", vec![8]),
        ("throttle", vec![70]),
        ("connections", vec![60]),
        ("greeting", vec![40]),
        ("noise", vec![]),
    ]
    .into();
    if guestlist.exists() {
        expected.insert("beside", vec![100]);
    }
    assert_eq!(counted, expected);

    let document = fs::read_to_string(&results).unwrap();
    assert!(
        document.starts_with("# Results\n\n## Chaos\n\nNothing lost.\n"),
        "{document}"
    );
    assert!(
        document.contains("## Speed, tiny\n\nWritten by `trials bench --size tiny"),
        "{document}"
    );
    for row in rows {
        let cell = format!("| {} |", row["subject"].as_str().unwrap());
        assert!(document.contains(&cell), "{document}");
    }
}
