//! Several processes at the same time, and an output that is closed early.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use crate::support::{CommandLine, Ran, text};

fn start_all(command_line: &CommandLine, lines: &[String]) -> Vec<Ran> {
    let children: Vec<Child> = lines
        .iter()
        .map(|line| command_line.command(line).spawn().unwrap())
        .collect();
    // Their output fits the pipe, or is read while the others wait.
    let ended = children
        .into_iter()
        .map(|child| std::thread::spawn(|| child.wait_with_output().unwrap()));
    let ended: Vec<_> = ended.collect();
    ended
        .into_iter()
        .map(|thread| Ran::of(thread.join().unwrap()))
        .collect()
}

fn write_people(command_line: &CommandLine, name: &str, numbers: impl Iterator<Item = usize>) {
    let rows: String = numbers.map(|n| format!("p{n}@acme.example\n")).collect();
    command_line.write(name, format!("email\n{rows}"));
}

fn bulk(file: &str, acme: &str) -> String {
    format!("invite --file {file} --role agent --organization {acme} --as ann --json")
}

#[test]
fn concurrent_first_commands_share_one_database_and_key() {
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        let command_line = CommandLine::on_sqlite();
        let ran = start_all(&command_line, &vec!["organization list".to_owned(); 8]);
        assert!(ran.iter().all(|ran| ran.status == 0), "{ran:#?}");
        assert_eq!(
            ran.iter()
                .filter(|ran| ran.stderr.contains("created the key"))
                .count(),
            1,
            "{ran:#?}"
        );
    }
}

stories! {
    fn two_processes_invite_into_one_database_at_once(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let acme = command_line.organization();
        write_people(&command_line, "a.csv", 0..1500);
        write_people(&command_line, "b.csv", 1500..3000);
        for ran in start_all(&command_line, &[bulk("a.csv", &acme), bulk("b.csv", &acme)]) {
            assert_eq!(ran.done().stdout.lines().count(), 1500);
        }
        assert_eq!(command_line.one("jobs")["count"], 3000);
    }

    fn two_processes_invite_the_same_people_once(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let acme = command_line.organization();
        write_people(&command_line, "a.csv", 0..2000);
        write_people(&command_line, "b.csv", (0..2000).rev());
        let ran = start_all(&command_line, &[bulk("a.csv", &acme), bulk("b.csv", &acme)]);
        let invited = ran.iter().flat_map(Ran::json).filter(|row| row["outcome"] == "invited").count();
        assert!(ran.iter().all(|ran| matches!(ran.status, 0 | 3)), "{:?}", ran.iter().map(|ran| &ran.stderr).collect::<Vec<_>>());
        assert_eq!(invited, 2000);
        assert_eq!(command_line.one("jobs")["count"], 2000);
    }

    fn closed_output_is_no_failure_for_a_list(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let acme = command_line.organization();
        write_people(&command_line, "people.csv", 0..1500);
        command_line.run(&bulk("people.csv", &acme)).done();
        for line in [format!("invitations --organization {acme} --json"), format!("events --organization {acme}")] {
            let mut child = command_line.command(&line).spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            let mut first = String::new();
            stdout.read_line(&mut first).unwrap();
            drop(stdout);
            let mut complaint = String::new();
            child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""), "{line}: {first}");
        }
    }
}

#[test]
fn closed_output_fails_a_bulk_invite() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = command_line.organization();
    write_people(&command_line, "people.csv", 0..3000);
    let mut child = command_line
        .command(&bulk("people.csv", &acme))
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap()).ended(1);
    assert!(
        ran.stderr.contains("the reader closed the output"),
        "{ran:?}"
    );
    let invited = command_line.all("jobs");
    assert_eq!(text(&invited[0]["kind"]), "send_invitation");
}
