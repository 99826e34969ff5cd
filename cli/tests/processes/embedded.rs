//! SQLite and the queue in memory: a host and a worker on one file, with nothing installed.

use std::fs;

use crate::installation::Host;
use crate::received_letters::ReceivedLetters;
use crate::support::{CommandLine, text};
use crate::worker::{Worker, eventually};

const PEOPLE: usize = 1_000;

fn letters(command_line: &CommandLine) -> Vec<String> {
    let files = fs::read_dir(command_line.folder().join("letters"))
        .into_iter()
        .flatten();
    let files = files.map(|file| file.unwrap().path());
    let letters = files.filter(|file| file.extension().is_some_and(|extension| extension == "eml"));
    letters
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn host_and_worker_share_one_sqlite_file() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = command_line.organization();
    command_line.write_people(PEOPLE);
    let mut worker = Worker::ready(&command_line, "worker");
    let host = Host::start(
        &command_line,
        &format!("invite --file people.csv --role agent --organization {acme} --as ann --json"),
    );
    let other = Host::start(
        &command_line,
        &format!("invite bob@acme.example --role agent --organization {acme} --as ann --json"),
    );
    let (host, other) = (host.ran().done(), other.ran().done());
    assert_eq!(host.stdout.lines().count(), PEOPLE);
    eventually("every job is done", || command_line.all("jobs").is_empty());
    worker.stop();
    let mut letters = letters(&command_line);
    letters.retain(|letter| !letter.contains("To: bob@acme.example"));
    ReceivedLetters::of(&letters).assert_one_letter_each(PEOPLE);
    assert_eq!(letters.len(), PEOPLE);
    assert_eq!(worker.warnings(), [""; 0]);
    for stderr in [host.stderr, other.stderr, worker.log()] {
        assert!(!stderr.contains("locked"), "{stderr}");
    }
}

#[test]
fn unstarted_work_of_a_stopped_worker_is_due_at_once() {
    // At this rate the letters take longer than the test needs to stop the worker.
    let command_line = CommandLine::on_sqlite()
        .with("GUESTLIST_LIMITS", "none")
        .with("GUESTLIST_SMTP_RATE", "50");
    let acme = command_line.organization();
    command_line.write_people(PEOPLE);
    let invite = format!("invite --file people.csv --role agent --organization {acme} --as ann");
    command_line.run(&invite).done();
    let mut worker = Worker::ready(&command_line, "worker");
    eventually("it is amid the letters", || {
        !letters(&command_line).is_empty()
    });
    worker.stop();
    let states: Vec<_> = command_line
        .all("jobs")
        .iter()
        .map(|job| text(&job["state"]))
        .collect();
    assert_eq!(states, ["ready"]);
}

#[test]
fn idle_worker_uses_little_processor_time() {
    let command_line = CommandLine::on_sqlite();
    command_line.run("work --until-idle").done();
    let worker = Worker::ready(&command_line, "worker");
    let (since, before) = (std::time::Instant::now(), worker.ticks());
    eventually("some seconds pass", || since.elapsed().as_secs() >= 3);
    // A debug build on a busy machine takes a few hundredths; a busy loop takes all of it.
    let share = worker.ticks() - before;
    assert!(share < 60, "{share} of 300 ticks");
}
