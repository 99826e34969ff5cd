//! A removed member's sessions end, and all others stay.

use std::time::{Duration, Instant};

use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::installation::Installation;

/// Removes Bob, and asserts that these keys of his sessions are gone within a second of the commit.
///
/// The commit came before the end of the command. A busy machine, on which the command takes longer than
/// usual, gets as much more.
fn remove_bob(installation: &Installation, organization: &str, keys: &str) {
    let remove = format!("remove bob --organization {organization} --as ann");
    let began = Instant::now();
    installation.command_line.run(&remove).done();
    let limit = Duration::from_secs(1) + 2 * began.elapsed();
    let committed = Instant::now();
    while installation.redis::<i64>(&format!("EXISTS {keys}")) > 0 {
        assert!(committed.elapsed() < limit, "longer than {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn session_keys_are_deleted_within_a_second_of_removal() {
    let installation = Installation::new();
    let command_line = &installation.command_line;
    let acme = command_line.organization();
    let other = command_line.one("organization create Other --owner ann --email ann@acme.example");
    let other = crate::support::text(&other["organization"]);
    for organization in [&acme, &other] {
        for user in ["bob", "eve"] {
            command_line.member(organization, user, "agent");
        }
    }
    let sessions = [
        ("bob-here-1", "bob", &acme),
        ("bob-here-2", "bob", &acme),
        ("bob-there", "bob", &other),
        ("bob-both", "bob", &acme),
        ("bob-both", "bob", &other),
        ("eve-here", "eve", &acme),
        ("ann-here", "ann", &acme),
    ];
    for (session, user, organization) in sessions {
        let _: () = installation.redis(&format!("SET {session} data"));
        let record =
            format!("session record {session} --user {user} --organization {organization}");
        command_line.run(&record).done();
    }
    let mut worker = installation.worker("worker");
    remove_bob(&installation, &acme, "bob-here-1 bob-here-2");
    installation.until_done();
    worker.stop();
    assert_eq!(
        installation.redis::<i64>("EXISTS bob-there bob-both eve-here ann-here"),
        4
    );
}

#[test]
fn sessions_end_while_the_mail_server_stalls() {
    let stalled = Script::default().rule(Rule::new(Stage::Data, Action::Stall).times(40));
    let installation = Installation::with_mail_server(stalled);
    let command_line = &installation.command_line;
    let acme = command_line.organization();
    command_line.member(&acme, "bob", "agent");
    let _: () = installation.redis("SET bob-1 data");
    command_line
        .run(&format!(
            "session record bob-1 --user bob --organization {acme}"
        ))
        .done();
    command_line.write_people(2_500);
    let invite = format!("invite --file people.csv --role agent --organization {acme} --as ann");
    command_line.run(&invite).done();
    let _worker = installation.worker("worker");
    crate::worker::eventually(
        "letters take every connection and wait in the queue",
        || installation.seen().heard("DATA") == 16 && installation.tasks() >= 64,
    );
    remove_bob(&installation, &acme, "bob-1");
}
