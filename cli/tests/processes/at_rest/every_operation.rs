//! The work of a host and an operator.

use std::fs;

use super::StoredData;
use crate::support::{CommandLine, text};
use crate::worker::{Worker, eventually};

/// The number of people who are invited.
pub(crate) const PEOPLE: usize = 60;

/// Invites everyone, then does every operation to some. `midway` runs while letters wait.
pub(crate) fn perform_every_operation(
    command_line: &CommandLine,
    stored: &mut StoredData,
    midway: impl FnOnce(&mut Worker, &mut StoredData),
) {
    let created = stored
        .run(
            command_line,
            "organization create Acme --owner ann --email ann@acme.example --json",
        )
        .done();
    let acme = text(&created.object()["organization"]);
    command_line.write_people(PEOPLE);
    let invited = stored
        .run(
            command_line,
            &format!("invite --file people.csv --role agent --organization {acme} --as ann --json"),
        )
        .done();
    let ids: Vec<String> = invited
        .json()
        .iter()
        .map(|row| text(&row["invitation"]))
        .collect();
    let mut worker = Worker::ready(command_line, "first");
    midway(&mut worker, stored);
    let letters = command_line.folder().join("letters");
    let sent = || fs::read_dir(&letters).map_or(0, Iterator::count);
    eventually("every letter is sent", || sent() >= PEOPLE);
    let link = |stored: &mut StoredData, n: usize| {
        let shown = stored
            .run(command_line, &format!("link {} --as ann --json", ids[n]))
            .done();
        text(&shown.object()["link"])
    };
    for n in 0..4 {
        let link = link(stored, n);
        let accept = format!("accept - --user u{n} --email p{n}@acme.example");
        stored
            .keep(command_line.run_with_stdin(&accept, &link))
            .done();
        stored
            .run(
                command_line,
                &format!("session record s{n} --user u{n} --organization {acme}"),
            )
            .done();
    }
    let (used, open, broken) = (
        link_of(command_line, &ids[4]),
        link_of(command_line, &ids[5]),
        link_of(command_line, &ids[6]),
    );
    stored
        .run(
            command_line,
            &format!("accept {open} --user x --email x@acme.example"),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!("accept {open}x --user u5 --email p5@acme.example"),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!(
                "accept {}{} --user u6 --email p6@acme.example --json",
                &broken[..broken.len() - 1],
                if broken.ends_with('A') { 'Q' } else { 'A' }
            ),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!("accept {open} --user u5 --email nonsense"),
        )
        .ended(2);
    stored.run(command_line, &format!("decline {used}")).done();
    stored
        .run(command_line, &format!("decline {used} --json"))
        .done();
    stored
        .run(command_line, &format!("revoke {} --as ann", ids[7]))
        .done();
    stored
        .run(command_line, &format!("resend {} --as ann", ids[8]))
        .done();
    stored
        .run(
            command_line,
            &format!("change-role u1 manager --organization {acme} --as ann"),
        )
        .done();
    stored
        .run(
            command_line,
            &format!("remove u2 --organization {acme} --as ann"),
        )
        .done();
    stored
        .run(
            command_line,
            &format!("leave --organization {acme} --as u3"),
        )
        .done();
    eventually("every job is done", || command_line.all("jobs").is_empty());
    worker.stop();
    assert!(worker.said(" TRACE ") > 0, "the log is not at its loudest");
    stored.add("the log of a worker", worker.log());
    for line in [
        "organization list",
        "events",
        "members",
        "invitations",
        "jobs",
    ] {
        let line = if line.contains(' ') || line == "jobs" {
            line.to_owned()
        } else {
            format!("{line} --organization {acme}")
        };
        let listed = stored.run(command_line, &format!("{line} --json")).done();
        stored.add("what is listed", listed.stdout);
    }
}

fn link_of(command_line: &CommandLine, invitation: &str) -> String {
    text(&command_line.one(&format!("link {invitation} --as ann"))["link"])
}
