//! A removed member's sessions end, and nobody else's do.

use std::time::{Duration, Instant};

use crate::installation::Site;

#[test]
fn a_removed_members_session_keys_are_gone_within_a_second_of_the_commit() {
    let site = Site::new();
    let command_line = &site.command_line;
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
        let _: () = site.redis(&format!("SET {session} data"));
        let record =
            format!("session record {session} --user {user} --organization {organization}");
        command_line.run(&record).done();
    }
    let mut worker = site.worker("worker");
    command_line
        .run(&format!("remove bob --organization {acme} --as ann"))
        .done();
    // The commit was earlier than the end of the command, so a second from here is too strict at worst.
    let committed = Instant::now();
    while site.redis::<i64>("EXISTS bob-here-1 bob-here-2") > 0 {
        assert!(
            committed.elapsed() < Duration::from_secs(1),
            "{}",
            worker.log()
        );
    }
    site.until_done();
    worker.stop();
    assert_eq!(
        site.redis::<i64>("EXISTS bob-there bob-both eve-here ann-here"),
        4
    );
}

#[test]
fn sessions_end_while_the_mail_server_holds_up_every_letter() {
    let script = (0..40).fold(crate::smtp::Script::default(), |script, _| {
        script.on("DATA", crate::smtp::Act::Stall)
    });
    let site = Site::with_mail_server(script);
    let command_line = &site.command_line;
    let acme = command_line.organization();
    command_line.member(&acme, "bob", "agent");
    let _: () = site.redis("SET bob-1 data");
    command_line
        .run(&format!(
            "session record bob-1 --user bob --organization {acme}"
        ))
        .done();
    let rows: String = (0..2_500).map(|n| format!("p{n}@acme.example\n")).collect();
    command_line.write("people.csv", format!("email\n{rows}"));
    let invite = format!("invite --file people.csv --role agent --organization {acme} --as ann");
    command_line.run(&invite).done();
    let _worker = site.worker("worker");
    crate::worker::eventually(
        "letters take every connection and wait in the queue",
        || site.seen().heard("DATA") == 16 && site.tasks() >= 64,
    );
    command_line
        .run(&format!("remove bob --organization {acme} --as ann"))
        .done();
    let committed = Instant::now();
    while site.redis::<i64>("EXISTS bob-1") > 0 {
        assert!(committed.elapsed() < Duration::from_secs(1));
    }
}
