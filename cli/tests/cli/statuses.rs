//! The exit statuses and the JSON object that explains each.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::support::{CommandLine, text};

stories! {
    fn last_owner_can_neither_leave_nor_be_removed_nor_demoted(command_line) {
        let acme = command_line.organization();
        for command in ["leave", "remove ann", "suspend ann", "change-role ann agent"] {
            let refused = command_line.run(&format!("{command} --organization {acme} --as ann --json")).ended(3);
            let expected = json!({
                "refused": "last_owner",
                "role": "owner",
                "organizations": [acme],
                "message": "the organization would be left without a member whose role is owner; nothing was \
                            changed; transfer the ownership to another member first (`guestlist transfer`)",
            });
            assert_eq!(refused.object(), expected, "{command}");
        }
        command_line.member(&acme, "bob", "owner");
        command_line.run(&format!("leave --organization {acme} --as ann --json")).done();
    }

    fn refusal_has_data_for_programs(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "agent");
        let invited = command_line.one(&format!("invite eve@acme.example --organization {acme} --role agent --as ann"));
        let eve = text(&invited["invitation"]);
        let refused = |line: &str| command_line.run(&format!("{line} --json")).ended(3).object();

        let pending = refused(&format!("invite EVE@acme.example --organization {acme} --role agent --as ann"));
        assert_eq!((&pending["outcome"], &pending["refused"]), (&json!("already_pending"), &json!("already_pending")));
        assert_eq!(pending["invitation"], eve);
        let anew = command_line.one(&format!("invite eve@acme.example --supersede --organization {acme} --role manager --as ann"));
        assert_eq!(anew["outcome"], "invited");
        assert_eq!(command_line.all(&format!("invitations --organization {acme} --status revoked"))[0]["invitation"], eve);
        let (eve, link) = (text(&anew["invitation"]), text(&command_line.one(&format!("link {} --as ann", text(&anew["invitation"])))["link"]));
        let member = refused(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        assert_eq!((&member["outcome"], &member["user"]), (&json!("already_member"), &json!("bob")));
        let forbidden = refused(&format!("invite x@acme.example --organization {acme} --role agent --as bob"));
        assert_eq!((&forbidden["outcome"], &forbidden["refused"]), (&json!("refused"), &json!("forbidden")));
        assert_eq!(forbidden["role"], "agent");
        let unknown = refused(&format!("invite x@acme.example --organization {acme} --role king --as ann"));
        assert_eq!(unknown["refused"], "unknown_role");
        assert_eq!(unknown["known"], json!(["agent", "manager", "admin", "owner"]));
        let unknown = refused(&format!("change-role bob king --organization {acme} --as ann"));
        assert_eq!(unknown["refused"], "unknown_role");
        let stranger = refused(&format!("accept {link} --user x --email x@acme.example"));
        assert_eq!((&stranger["refused"], &stranger["invited"]), (&json!("wrong_account"), &json!("e…@acme.example")));
        assert_eq!(refused("decline nonsense")["refused"], "invalid_token");
        assert_eq!(refused(&format!("resend {eve} --as ann"))["limit"], "invitation");
        command_line.run(&format!("revoke {eve} --as ann")).done();
        let closed = refused(&format!("accept {link} --user eve --email eve@acme.example"));
        assert_eq!((&closed["refused"], &closed["status"]), (&json!("invitation_closed"), &json!("revoked")));
    }

    fn list_of_an_unknown_organization_is_refused(command_line) {
        let nowhere = "01a206f3-c0d9-7145-a1bc-2971c8b37363";
        for command in ["members", "invitations", "events", "session list", "leave --as ann", "remove bob --as ann"] {
            let refused = command_line.run(&format!("{command} --organization {nowhere} --json")).ended(3);
            assert_eq!(refused.object()["refused"], "not_found", "{command}");
        }
    }

    fn what_was_not_found_is_named(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "admin");
        command_line.member(&acme, "eve", "admin");
        command_line.run(&format!("suspend eve --organization {acme} --as ann")).done();
        let invited = command_line.one(&format!("invite zoe@acme.example --organization {acme} --role agent --as ann"));
        let zoe = text(&invited["invitation"]);
        let nowhere = "01a206f3-c0d9-7145-a1bc-2971c8b37363";
        for (line, says) in [
            (format!("remove bob --organization {nowhere} --as ann"), format!("there is no organization {nowhere}")),
            (format!("members --organization {nowhere}"), format!("there is no organization {nowhere}")),
            (format!("organization seats {nowhere} 5"), format!("there is no organization {nowhere}")),
            (format!("revoke {nowhere} --as ann"), format!("there is no invitation {nowhere}")),
            (format!("revoke {zoe} --as dan"), format!("dan is no member of the organization {acme}")),
            (format!("remove dan --organization {acme} --as ann"), format!("dan is no member of the organization {acme}")),
            (format!("remove bob --organization {acme} --as dan"), format!("dan is no member of the organization {acme}")),
            (format!("remove bob --organization {acme} --as eve"), format!("eve is suspended in the organization {acme}")),
            (format!("organization rename {acme} Other --as dan"), format!("dan is no member of the organization {acme}")),
            (format!("session record s1 --user eve --organization {acme}"), format!("eve is suspended in the organization {acme}")),
            (format!("session list --user dan --organization {acme}"), format!("dan is no member of the organization {acme}")),
            (format!("invite y@acme.example --organization {acme} --role agent --as dan"), format!("dan is no member of the organization {acme}")),
        ] {
            let refused = command_line.run(&format!("{line} --json")).ended(3).object();
            assert_eq!(refused["refused"], "not_found", "{line}");
            assert!(text(&refused["message"]).starts_with(&says), "{line}: {refused}");
        }
    }

    fn full_organization_names_its_seats_and_a_remedy(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "agent");
        assert_eq!(command_line.one("organization list")["seats"], json!(null));
        assert_eq!(command_line.one(&format!("organization seats {acme} 2"))["seats"], 2);
        let table = command_line.run("organization list").done().stdout;
        assert!(table.lines().next().unwrap().contains("SEATS"), "{table}");
        let invite = format!("invite eve@acme.example --organization {acme} --role agent --as ann --json");
        let refused = command_line.run(&invite).ended(3).object();
        assert_eq!((&refused["refused"], &refused["seats"]), (&json!("no_seat"), &json!(2)));
        for says in ["all 2 seats of the organization are taken", "nothing was changed", "guestlist organization seats"] {
            assert!(text(&refused["message"]).contains(says), "{refused}");
        }
        command_line.run(&format!("suspend bob --organization {acme} --as ann")).done();
        command_line.member(&acme, "eve", "agent");
        let refused = command_line.run(&format!("reinstate bob --organization {acme} --as ann --json")).ended(3);
        assert_eq!(refused.object()["refused"], "no_seat");
        assert_eq!(command_line.one(&format!("organization seats {acme} default"))["seats"], json!(null));
        command_line.run(&format!("reinstate bob --organization {acme} --as ann")).done();
        let command_line = command_line.with("GUESTLIST_SEATS", "3");
        let refused = command_line.run(&invite.replace("eve@", "zoe@")).ended(3).object();
        assert_eq!((&refused["refused"], &refused["seats"]), (&json!("no_seat"), &json!(3)));
        let command_line = command_line.with("GUESTLIST_SEATS", "4");
        command_line.run(&invite.replace("eve@", "zoe@")).done();
        let refused = command_line.run(&invite.replace("eve@", "yan@")).ended(3).object();
        assert_eq!(refused["seats"], 4);
        let command_line = command_line.with("GUESTLIST_SEATS", "4,members");
        command_line.run(&invite.replace("eve@", "yan@")).done();
    }

    fn suspended_member_accepting_learns_the_remedy(command_line) {
        let acme = command_line.organization();
        let invite = |address: &str| {
            let invited = command_line.one(&format!("invite {address} --organization {acme} --role manager --as ann"));
            text(&command_line.one(&format!("link {} --as ann", text(&invited["invitation"])))["link"])
        };
        command_line.member(&acme, "bob", "agent");
        let link = invite("robert@acme.example");
        command_line.run(&format!("suspend bob --organization {acme} --as ann")).done();
        let accept = format!("accept {link} --user bob --email robert@acme.example");
        let refused = command_line.run(&format!("{accept} --json")).ended(3).object();
        assert_eq!(refused["refused"], "suspended");
        assert!(text(&refused["message"]).contains("guestlist reinstate"), "{refused}");
    }

    fn each_address_has_its_own_outcome(command_line) {
        let acme = command_line.organization();
        let invite = format!("invite --organization {acme} --role agent --as ann --json");
        let mixed = command_line.run(&format!("{invite} a@acme.example nonsense ann@acme.example")).ended(3).json();
        let outcomes: Vec<_> = mixed.iter().map(|outcome| text(&outcome["outcome"])).collect();
        assert_eq!(outcomes, ["invited", "invalid", "already_member"]);
        let invalid = command_line.run(&format!("{invite} b@acme.example nonsense")).ended(2).json();
        assert_eq!(invalid[1]["invalid"], "invalid_email_address");
        command_line.run(&format!("{invite} c@acme.example d@acme.example")).done();
        let undone = command_line.run(&format!("{invite} e@acme.example --dry-run")).done().object();
        assert_eq!((&undone["outcome"], &undone["dry_run"]), (&json!("invited"), &json!(true)));
        let listed = command_line.all(&format!("invitations --organization {acme}"));
        let emails: Vec<_> = listed.iter().map(|invitation| text(&invitation["email"])).collect();
        assert_eq!(emails, ["a@acme.example", "b@acme.example", "c@acme.example", "d@acme.example"]);
    }

    fn limit_names_the_time_until_the_next_letter(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "actor=1/1d");
        let acme = command_line.organization();
        let line = format!("invite a@acme.example b@acme.example --organization {acme} --role agent --as ann --json");
        let outcomes = command_line.run(&line).ended(3).json();
        assert_eq!(outcomes[0]["outcome"], "invited");
        assert_eq!((&outcomes[1]["refused"], &outcomes[1]["limit"]), (&json!("throttled"), &json!("actor")));
        assert!((86_300..=86_401).contains(&outcomes[1]["retry_after"].as_u64().unwrap()), "{outcomes:?}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_an_explanation() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    for (line, invalid) in [
        (
            "organization create Acme --owner ann --email nonsense",
            "invalid_email_address",
        ),
        (
            "organization create www.evil.example --owner ann --email a@acme.example",
            "invalid_name",
        ),
        ("members --organization nonsense", "invalid_id"),
        ("revoke nonsense --as ann", "invalid_id"),
        (
            &format!("change-role bob King! --organization {acme} --as ann"),
            "invalid_role",
        ),
        (
            &format!("invite a@b.co --role agent --organization {acme} --as ann --locale x"),
            "invalid_locale",
        ),
        (
            &format!("leave --organization {acme} --as {}", "x".repeat(256)),
            "invalid_user_id",
        ),
        (&format!("leave --organization {acme}"), "usage"),
        (
            &format!("invitations --organization {acme} --status new"),
            "usage",
        ),
        ("jobs retry", "usage"),
        ("nonsense", "usage"),
        (
            &format!("invite --file missing.csv --organization {acme} --as ann"),
            "file",
        ),
        ("roles check missing.toml", "role_model"),
    ] {
        let ran = command_line.run(&format!("{line} --json")).ended(2);
        assert_eq!(ran.object()["invalid"], invalid, "{line}");
        assert!(!text(&ran.object()["message"]).is_empty(), "{line}");
        let ran = command_line.run(line).ended(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.starts_with("error: "),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn help_and_version_end_with_0() {
    let command_line = CommandLine::on_sqlite();
    for line in [
        "--help",
        "--version",
        "help variables",
        "variables",
        "help invite",
        "jobs retry --help",
        "work --help",
    ] {
        assert!(!command_line.run(line).done().stdout.is_empty(), "{line}");
    }
    assert_eq!(
        command_line.folder().read_dir().unwrap().count(),
        0,
        "nothing was made"
    );
}

#[test]
fn invalid_id_is_answered_with_an_example() {
    let command_line = CommandLine::on_sqlite();
    for (line, kind, shown_by) in [
        (
            "members --organization nonsense",
            "an organization",
            "guestlist organization list",
        ),
        (
            "organization delete Acme --as ann",
            "an organization",
            "guestlist organization list",
        ),
        (
            "revoke bob@acme.example --as ann",
            "an invitation",
            "guestlist invitations",
        ),
        ("jobs discard 12", "a job", "guestlist jobs"),
    ] {
        let ran = command_line
            .run(&format!("{line} --json"))
            .ended(2)
            .object();
        assert_eq!(ran["invalid"], "invalid_id", "{line}");
        let message = text(&ran["message"]);
        assert!(
            message.contains(&format!("not the id of {kind}; an id looks like ")),
            "{message}"
        );
        assert!(message.contains(shown_by), "{message}");
        assert!(!message.contains("character"), "{message}");
    }
}
