//! A letter with which the worker's process is killed each time, on both databases.

use std::collections::BTreeSet;

use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::installation::Installation;
use crate::support::{CommandLine, text};
use crate::worker::{Worker, eventually};

fn killing_letter_is_given_up(command_line: CommandLine) {
    let mut installation = Installation::without_mail_server(command_line);
    let killing = Rule::new(Stage::Rcpt, Action::Stall).to("p0@");
    installation.start_mail_server(Script::default().rule(killing));
    installation.invite(4);
    let command_line = &installation.command_line;
    let dead = || command_line.run("jobs --state dead --json").done().json();
    let tried = || installation.seen().heard("RCPT TO:<p0@");
    let mut kills = 0;
    while dead().is_empty() {
        assert!(kills < 12, "it is tried for ever");
        let mut worker = Worker::ready(command_line, &format!("worker-{kills}"));
        eventually("the letter is tried or given up", || {
            tried() > kills || !dead().is_empty()
        });
        kills = tried();
        worker.kill();
        // As if the time of the leases had passed.
        command_line.sql(
            "UPDATE guestlist_outbox SET leased_until = created_at WHERE leased_until IS NOT NULL",
        );
    }
    assert_eq!(kills, 5);
    let dead = dead();
    assert_eq!(dead.len(), 1);
    let why = text(&dead[0]["last_error"]);
    assert!(why.starts_with("5 workers in a row ended"), "{why}");
    command_line.run("work --until-idle").done();
    // A kill between the answer to a letter and its record repeats that letter.
    let seen = installation.seen();
    let sent: BTreeSet<_> = seen
        .letters
        .iter()
        .map(|letter| letter.to.as_str())
        .collect();
    let others = ["p1@acme.example", "p2@acme.example", "p3@acme.example"];
    assert_eq!(sent, others.into(), "the others were sent");
}

#[test]
fn killing_letter_is_given_up_on_postgres() {
    killing_letter_is_given_up(CommandLine::on_postgres());
}

#[test]
fn killing_letter_is_given_up_on_sqlite() {
    killing_letter_is_given_up(CommandLine::on_sqlite());
}
