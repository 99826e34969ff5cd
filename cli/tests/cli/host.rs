//! Changes that the host makes with `--as-host`, and what the history says about each actor.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::support::{CommandLine, text};

stories! {
    fn host_changes_without_a_role_and_states_a_reason(command_line) {
        let acme = command_line.organization();
        let invite = format!("invite bob@acme.example --organization {acme} --role owner");
        let invited = command_line.one(&format!("{invite} --as-host ticket-4711"));
        assert_eq!(invited["outcome"], "invited");
        let bob = text(&invited["invitation"]);
        command_line.run(&format!("change-invitation-role {bob} agent --as-host ticket-1")).done();
        let link = text(&command_line.one(&format!("link {bob} --as-host ticket-2"))["link"]);
        command_line.run(&format!("accept {link} --user bob --email bob@acme.example")).done();
        for line in [
            format!("change-role bob manager --organization {acme}"),
            format!("suspend bob --organization {acme}"),
            format!("reinstate bob --organization {acme}"),
            format!("transfer bob --organization {acme}"),
            format!("organization rename {acme} Umbrella"),
            format!("remove bob --organization {acme}"),
        ] {
            command_line.run(&format!("{line} --as-host ticket-3")).done();
        }
        let members = command_line.all(&format!("members --organization {acme}"));
        assert_eq!((members.len(), &members[0]["role"]), (1, &json!("owner")), "no owner stepped down");
        let invited = command_line.one(&format!("invite eve@acme.example --organization {acme} --role agent --as-host ticket-4"));
        command_line.run(&format!("revoke {} --as-host ticket-5", text(&invited["invitation"]))).done();
        command_line.run(&format!("organization delete {acme} --as-host ticket-6")).done();

        let events = command_line.all(&format!("events --organization {acme}"));
        let host: Vec<_> = events.iter().filter(|event| event["actor_kind"] == "host").collect();
        assert_eq!(host.len(), 12, "{host:#?}");
        assert!(host.iter().all(|event| event["actor"].is_null()), "{host:#?}");
        assert_eq!(host[0]["reason"], "ticket-4711");
        assert!(events.iter().all(|event| event["channel"] == "cli"), "{events:#?}");
    }

    fn history_shows_each_kind_of_actor(command_line) {
        let acme = command_line.organization();
        command_line.run(&format!("organization rename {acme} Beta --as ann")).done();
        let rename = format!("organization rename {acme} Gamma --as-host");
        let mut command = command_line.command(&rename);
        assert!(command.arg("the plan ended").status().unwrap().success());
        command_line.run(&format!("organization seats {acme} 5")).done();

        let events = command_line.all(&format!("events --organization {acme}"));
        let actors: Vec<_> = events[1..]
            .iter()
            .map(|event| (&event["actor"], &event["actor_kind"], &event["reason"]))
            .collect();
        assert_eq!(actors, [
            (&json!("ann"), &json!("member"), &json!(null)),
            (&json!(null), &json!("host"), &json!("the plan ended")),
            (&json!(null), &json!("host"), &json!("guestlist organization seats")),
        ]);
        let table = command_line.run(&format!("events --organization {acme}")).done().stdout;
        assert!(table.contains("ann") && table.contains("the host: the plan ended"), "{table}");
    }

    fn grant_of_the_host_rests_on_no_member(command_line) {
        let acme = command_line.organization();
        let invite = format!("invite bob@acme.example --organization {acme} --role agent");
        let bob = text(&command_line.one(&format!("{invite} --as-host billing"))["invitation"]);
        let link = text(&command_line.one(&format!("link {bob} --as-host billing"))["link"]);
        command_line.member(&acme, "eve", "owner");
        command_line.run(&format!("leave --organization {acme} --as ann")).done();
        command_line.run(&format!("accept {link} --user bob --email bob@acme.example")).done();
    }
}

/// Every command with an actor, complete but for the actor.
fn changes(acme: &str) -> Vec<String> {
    let invitation = acme;
    vec![
        format!("organization rename {acme} Beta"),
        format!("organization delete {acme}"),
        format!("invite bob@acme.example --organization {acme} --role agent"),
        format!("resend {invitation}"),
        format!("revoke {invitation}"),
        format!("link {invitation}"),
        format!("change-invitation-role {invitation} agent"),
        format!("change-role bob agent --organization {acme}"),
        format!("suspend bob --organization {acme}"),
        format!("reinstate bob --organization {acme}"),
        format!("remove bob --organization {acme}"),
        format!("transfer bob --organization {acme}"),
    ]
}

#[test]
fn exactly_one_actor_is_required() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    for line in changes(&acme) {
        for (actor, says) in [
            ("", "--as <USER>|--as-host <REASON>"),
            ("--as ann --as-host billing", "cannot be used with"),
        ] {
            let ran = command_line.run(&format!("{line} {actor} --json")).ended(2);
            assert_eq!(ran.object()["invalid"], "usage", "{line} {actor}");
            assert!(text(&ran.object()["message"]).contains(says), "{ran:?}");
            let ran = command_line.run(&format!("{line} {actor}")).ended(2);
            assert!(ran.stderr.contains(says), "{line} {actor}: {ran:?}");
        }
    }
    let leave = format!("leave --organization {acme} --as-host billing --json");
    assert_eq!(
        command_line.run(&leave).ended(2).object()["invalid"],
        "usage",
        "the host is no member that could leave"
    );
    assert_eq!(
        command_line
            .all(&format!("events --organization {acme}"))
            .len(),
        1
    );
}

#[test]
fn invalid_reason_changes_nothing() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    let rename = format!("organization rename {acme} Beta --json --as-host");
    for reason in ["", " ", "a\nb", "a\u{1b}[2Jb", "\u{202e}", &"x".repeat(201)] {
        let output = command_line.command(&rename).arg(reason).output().unwrap();
        let ran = crate::support::Ran::of(output).ended(2);
        assert_eq!(ran.object()["invalid"], "invalid_audit_text", "{reason:?}");
        assert_eq!(ran.object()["argument"], "--as-host <REASON>", "{reason:?}");
    }
    assert_eq!(command_line.one("organization list")["name"], "Acme");
    assert_eq!(
        command_line
            .all(&format!("events --organization {acme}"))
            .len(),
        1
    );
}

#[test]
fn help_explains_both_actors() {
    let command_line = CommandLine::on_sqlite();
    for line in changes("ID") {
        let words: Vec<_> = line.split(' ').collect();
        let command = match words[0] {
            "organization" => words[..2].join(" "),
            first => first.to_owned(),
        };
        let help = command_line.run(&format!("{command} --help")).done().stdout;
        for says in [
            "--as <USER>",
            "--as-host <REASON>",
            "Act as your application",
        ] {
            assert!(help.contains(says), "{command}: {help}");
        }
    }
}
