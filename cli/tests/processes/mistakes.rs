//! Wrong settings and invalid input: each is located in the message, and nothing is half done.

use guestlist_testkit::smtp::{Script, Stage};

use crate::installation::Installation;
use crate::support::{CommandLine, text};
use crate::worker::Worker;

#[test]
fn worker_without_its_database_ends_and_names_it() {
    let port = guestlist_testkit::free_port();
    let command_line = CommandLine::on_sqlite()
        .with(
            "DATABASE_URL",
            &format!("postgres://me:hunter2@127.0.0.1:{port}/app"),
        )
        .with("GUESTLIST_KEYS", &guestlist::Key::generate().expose());
    for line in ["work", "work --until-idle", "organization list", "migrate"] {
        let ran = command_line.run(line).ended(1);
        assert_eq!(ran.stderr.lines().count(), 1, "{line}: {ran:?}");
        assert!(
            ran.stderr.contains(&format!("127.0.0.1:{port}/app")),
            "{line}: {ran:?}"
        );
        assert!(!ran.stderr.contains("hunter2"), "{line}: {ran:?}");
    }
}

#[test]
fn worker_without_tables_ends_with_advice() {
    let command_line = CommandLine::on_empty_postgres()
        .with("GUESTLIST_KEYS", &guestlist::Key::generate().expose());
    let ran = command_line.run("work").ended(1);
    assert!(ran.stderr.contains("run `guestlist migrate`"), "{ran:?}");
}

#[test]
fn worker_without_a_key_ends_with_advice() {
    let command_line = CommandLine::on_postgres().with("GUESTLIST_KEYS", "");
    let ran = command_line.run("work").ended(1);
    assert!(ran.stderr.contains("guestlist keys new"), "{ran:?}");
}

#[test]
fn broken_template_is_named_and_the_built_in_one_sent() {
    let installation = Installation::new();
    let folder = installation.command_line.folder().join("own/invitation");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("text.hbs"), "Come in\n{{#if}\n").unwrap();
    let installation = installation.with("GUESTLIST_TEMPLATES", "own");
    installation.invite(3);
    let mut worker = installation.worker("worker");
    installation.until_done();
    worker.stop();
    installation.assert_delivered(3);
    let complaints = worker.warnings();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("own/invitation/text.hbs:2"),
        "{complaints:?}"
    );
    assert!(
        installation
            .seen()
            .texts()
            .iter()
            .all(|letter| !letter.contains("Come in"))
    );
}

#[test]
fn permanently_refused_letters_do_not_stop_others() {
    let refusal = Script::default().on(Stage::Rcpt, "550 5.1.1 no such user");
    // One connection, so that no other letter is accepted before the refusal.
    let installation = Installation::with_mail_server(refusal).with("GUESTLIST_CONCURRENCY", "1");
    installation.invite(10);
    installation.command_line.run("work --until-idle").done();
    let acme = text(&installation.command_line.one("organization list")["organization"]);
    let invitations = installation
        .command_line
        .all(&format!("invitations --organization {acme}"));
    // The server had accepted no other letter yet, so the refusal has to be confirmed.
    let refused: Vec<_> = invitations
        .iter()
        .filter(|one| one["delivery"] == "deferred")
        .collect();
    assert_eq!(refused.len(), 1, "{invitations:?}");
    assert!(
        text(&refused[0]["delivery_detail"]).contains("no such user"),
        "{refused:?}"
    );
    let listed = installation
        .command_line
        .run(&format!("invitations --organization {acme}"))
        .done();
    assert!(
        listed.stdout.contains("no such user"),
        "people see it too: {listed:?}"
    );
    let sent = invitations
        .iter()
        .filter(|one| one["delivery"] == "sent")
        .count();
    assert_eq!((sent, installation.letters()), (9, 9));
    assert_eq!(installation.jobs().len(), 1);
}

stories! {
    fn invalid_rows_are_located_and_others_invited(command_line) {
        let acme = command_line.organization();
        command_line.write("people.csv", "email,role\nok@acme.example,agent\nnonsense,agent\nboss@acme.example,emperor\nlast@acme.example,admin\nshort\n");
        let ran = command_line.run(&format!("invite --file people.csv --organization {acme} --as ann --json")).ended(3);
        let told: Vec<_> = ran.json().iter().map(|row| (row["line"].as_u64().unwrap(), text(&row["outcome"]), row["column"].as_str().map(str::to_owned))).collect();
        let email = Some("email".to_owned());
        let expected = [
            (2, "invited", None), (3, "invalid", email), (4, "refused", None), (5, "invited", None), (6, "invalid", None),
        ];
        assert_eq!(told, expected.map(|(line, outcome, column)| (line, outcome.to_owned(), column)));
        assert_eq!(ran.json()[2]["refused"], "unknown_role");
        assert!(ran.stderr.contains("2 invited"), "{ran:?}");
        let mut pending: Vec<_> = command_line.all(&format!("invitations --organization {acme}")).iter().map(|one| text(&one["email"])).collect();
        pending.sort();
        assert_eq!(pending, ["last@acme.example", "ok@acme.example"]);
        assert_eq!(command_line.one("jobs")["count"], 2);
    }

    fn unknown_role_invites_nobody_and_lists_the_roles(command_line) {
        let acme = command_line.organization();
        let ran = command_line.run(&format!("invite a@acme.example b@acme.example --role emperor --organization {acme} --as ann")).ended(3);
        assert!(ran.stdout.contains("emperor") && ran.stdout.contains("manager"), "{ran:?}");
        assert!(command_line.all(&format!("invitations --organization {acme}")).is_empty());
        assert!(command_line.all("jobs").is_empty());
    }
}

#[test]
fn unwritable_letter_folder_loses_no_letter() {
    let command_line = CommandLine::on_sqlite().with("SMTP_URL", "file:taken/letters");
    command_line.write("taken", "a file where a folder should be");
    let acme = command_line.organization();
    command_line.one(&format!(
        "invite bob@acme.example --role agent --organization {acme} --as ann"
    ));
    let mut worker = Worker::ready(&command_line, "worker");
    crate::worker::eventually("it says what is wrong", || !worker.warnings().is_empty());
    assert!(worker.warnings()[0].contains("taken"), "{}", worker.log());
    worker.stop();
    assert_eq!(command_line.one("jobs")["count"], 1);
    std::fs::remove_file(command_line.folder().join("taken")).unwrap();
    command_line
        .run(&format!(
            "jobs retry {}",
            text(&command_line.one("jobs --state ready")["job"])
        ))
        .done();
    command_line.run("work --until-idle").done();
    assert_eq!(
        std::fs::read_dir(command_line.folder().join("taken/letters"))
            .unwrap()
            .count(),
        1
    );
}
