//! The demonstration, the first command that a new user runs.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use crate::support::CommandLine;

/// The folder that the demo names; the test removes it.
fn folder_of(stdout: &str) -> PathBuf {
    let line = stdout.lines().find(|line| line.contains("guestlist-demo-"));
    PathBuf::from(line.expect("it says where").trim())
}

#[test]
fn demo_runs_with_nothing_installed() {
    let command_line = CommandLine::on_sqlite();
    let ran = command_line.run("demo").ended(0);
    for step in [
        "ada@example.com opens the link and accepts",
        "refused: this invitation is for a…@example.com",
        "The link is now refused",
        "gets a second letter",
        "the worker deletes the session",
        "a member whose role is owner",
    ] {
        assert!(
            ran.stdout.contains(step),
            "{step:?} is missing in {}",
            ran.stdout
        );
    }
    let folder = folder_of(&ran.stdout);
    assert!(folder.join("letters").read_dir().unwrap().count() >= 4);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn demo_invites_a_file_and_reports_its_mistakes() {
    let command_line = CommandLine::on_sqlite();
    command_line.write(
        "people.csv",
        "email,role\nzed@example.com,manager\nnobody,agent\n",
    );
    let file = command_line.folder().join("people.csv");
    let ran = command_line
        .run(&format!("demo --file {}", file.display()))
        .ended(0);
    assert!(
        ran.stdout
            .contains("Olivia invites zed@example.com as manager"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("Line 3 of the file is skipped"),
        "{}",
        ran.stdout
    );
    std::fs::remove_dir_all(folder_of(&ran.stdout)).unwrap();
}
