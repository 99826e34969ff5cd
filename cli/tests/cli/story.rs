//! The commands of an operator, from the first to the last.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::support::{CommandLine, text};

stories! {
    fn organization_is_created_and_members_join_and_leave(command_line) {
        let created = command_line.one("organization create Acme --owner ann --email ann@acme.example --name Ann");
        let acme = text(&created["organization"]);
        assert_eq!(command_line.one("organization list")["name"], "Acme");
        assert_eq!(command_line.one(&format!("organization rename {acme} Acme2 --as ann"))["name"], "Acme2");

        let line = format!("invite bob@acme.example Eve@ACME.example --organization {acme} --role agent --as ann --locale de");
        let invited = command_line.all(&line);
        assert_eq!(invited[0]["email"], "bob@acme.example");
        assert_eq!(invited[1]["email"], "Eve@acme.example");
        assert!(invited.iter().all(|outcome| outcome["outcome"] == "invited"));

        let listed = command_line.all(&format!("invitations --organization {acme} --status pending"));
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0]["invitation"], invited[0]["invitation"]);
        for (field, value) in [("role", "agent"), ("status", "pending"), ("delivery", "queued"), ("locale", "de")] {
            assert_eq!(listed[0][field], value);
        }
        assert!(text(&listed[0]["expires_at"]) > text(&listed[0]["created_at"]));

        let bob = text(&invited[0]["invitation"]);
        let link = text(&command_line.one(&format!("link {bob} --as ann"))["link"]);
        assert!(link.starts_with("http://localhost:3000/invitations/"), "{link}");
        let accept = "accept - --user bob --email BOB@acme.example --name Bob --json";
        let member = command_line.run_with_stdin(accept, &format!("{link}\n")).done().object();
        assert_eq!((member["user"].clone(), member["role"].clone()), (json!("bob"), json!("agent")));

        let eve = text(&invited[1]["invitation"]);
        let link = text(&command_line.one(&format!("link {eve} --as ann"))["link"]);
        let token = link.rsplit('/').next().unwrap();
        assert_eq!(command_line.one(&format!("decline {token}"))["status"], "declined");

        let members = command_line.all(&format!("members --organization {acme}"));
        assert_eq!(members.iter().map(|member| text(&member["user"])).collect::<Vec<_>>(), ["ann", "bob"]);
        assert_eq!((&members[1]["email"], &members[1]["name"]), (&json!("BOB@acme.example"), &json!("Bob")));
        assert!(members[1]["joined_at"].is_string());

        let changed = command_line.one(&format!("change-role bob admin --organization {acme} --as ann"));
        assert_eq!(changed["role"], "admin");
        command_line.run(&format!("transfer bob --organization {acme} --as ann")).done();
        let roles: Vec<_> = command_line.all(&format!("members --organization {acme}"));
        assert_eq!((&roles[0]["role"], &roles[1]["role"]), (&json!("admin"), &json!("owner")));
        command_line.run(&format!("leave --organization {acme} --as ann")).done();

        command_line.run(&format!("organization delete {acme} --as bob")).done();
        assert!(command_line.all("organization list").is_empty());
        let events = command_line.all(&format!("events --organization {acme}"));
        let kinds: Vec<_> = events.iter().map(|event| text(&event["kind"])).collect();
        assert_eq!(kinds.first().unwrap(), "organization_created");
        assert_eq!(kinds.last().unwrap(), "organization_deleted");
        assert!(kinds.contains(&"invitation_link_shown".to_owned()), "{kinds:?}");
    }

    fn invitation_is_resent_and_revoked(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let acme = command_line.organization();
        let invited = command_line.one(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        let bob = text(&invited["invitation"]);
        let resent = command_line.one(&format!("resend {bob} --as ann"));
        assert_eq!(resent["letters"], 2);
        assert!(text(&resent["expires_at"]) > text(&invited["expires_at"]));
        assert_eq!(command_line.one(&format!("revoke {bob} --as ann"))["status"], "revoked");
        let revoked = command_line.one(&format!("invitations --organization {acme} --status revoked"));
        assert_eq!(revoked["invitation"], bob);
        assert!(command_line.all(&format!("invitations --organization {acme} --status pending")).is_empty());
    }

    fn sessions_end_with_the_membership(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "agent");
        for session in ["s1", "s2"] {
            command_line.run(&format!("session record {session} --user bob --organization {acme}")).done();
        }
        let list = format!("session list --organization {acme}");
        assert_eq!(command_line.all(&list), command_line.all(&format!("{list} --user bob")));
        assert_eq!(command_line.all(&list)[0], json!({ "session": "s1", "user": "bob" }));
        command_line.run(&format!("session forget s1 --user bob --organization {acme}")).done();
        assert_eq!(command_line.one(&list)["session"], "s2");
        command_line.run(&format!("remove bob --organization {acme} --as ann")).done();
        let gone = command_line.run(&format!("{list} --user bob --json")).ended(3);
        assert_eq!(gone.object()["refused"], "not_found");
        assert_eq!(command_line.run(&list).done().stdout.trim(), "There are no recorded sessions.");
        let record = format!("session record s3 --user bob --organization {acme} --json");
        assert_eq!(command_line.run(&record).ended(3).object()["refused"], "not_found");
    }

    fn member_is_suspended_and_reinstated(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "agent");
        command_line.run(&format!("session record s1 --user bob --organization {acme}")).done();
        let suspended = command_line.one(&format!("suspend bob --organization {acme} --as ann"));
        assert!(suspended["suspended_at"].is_string());
        assert!(command_line.all(&format!("session list --user bob --organization {acme}")).is_empty());
        let members = command_line.all(&format!("members --organization {acme}"));
        assert_eq!((&members[0]["suspended_at"], &members[1]["suspended_at"]), (&json!(null), &suspended["suspended_at"]));
        let table = command_line.run(&format!("members --organization {acme}")).done().stdout;
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].ends_with("SUSPENDED") && lines[1].ends_with('-') && !lines[2].ends_with('-'), "{table}");
        let reinstated = command_line.one(&format!("reinstate bob --organization {acme} --as ann"));
        assert_eq!((&reinstated["suspended_at"], &reinstated["role"]), (&json!(null), &json!("agent")));
        let again = command_line.run(&format!("reinstate bob --organization {acme} --as ann")).done().stdout;
        assert_eq!(again.trim(), "bob has access again, as agent.");
    }

    fn role_of_an_open_invitation_is_changed(command_line) {
        let acme = command_line.organization();
        let invited = command_line.one(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        let bob = text(&invited["invitation"]);
        let link = text(&command_line.one(&format!("link {bob} --as ann"))["link"]);
        assert_eq!(command_line.one(&format!("change-invitation-role {bob} manager --as ann"))["role"], "manager");
        let member = command_line.one(&format!("accept {link} --user bob --email bob@acme.example"));
        assert_eq!((&member["role"], &member["role_kept"]), (&json!("manager"), &json!(false)));
        let closed = command_line.run(&format!("change-invitation-role {bob} agent --as ann --json")).ended(3);
        assert_eq!(closed.object()["refused"], "invitation_closed");
    }

    fn second_acceptance_reports_that_the_role_was_kept(command_line) {
        let acme = command_line.organization();
        command_line.member(&acme, "bob", "admin");
        let invited = command_line.one(&format!("invite robert@acme.example --organization {acme} --role agent --as ann"));
        let link = text(&command_line.one(&format!("link {} --as ann", text(&invited["invitation"])))["link"]);
        let accept = format!("accept {link} --user bob --email robert@acme.example");
        let said = command_line.run(&accept).done().stdout;
        assert_eq!(
            said.trim(),
            format!("bob is a member of {acme} as admin. They were already a member and keep that role; the invitation was to agent.")
        );
    }

    fn user_is_forgotten_everywhere_or_nowhere(command_line) {
        let acme = command_line.organization();
        let other = text(&command_line.one("organization create Beta --owner ann --email ann@acme.example")["organization"]);
        command_line.member(&acme, "bob", "agent");
        command_line.member(&other, "bob", "agent");
        let third = text(&command_line.one("organization create Gamma --owner ann --email ann@acme.example")["organization"]);
        let invited = command_line.one(&format!("invite bob@acme.example --organization {third} --role agent --as ann"));
        let refused = command_line.run("forget ann --email ann@acme.example --json").ended(3).object();
        assert_eq!((&refused["refused"], &refused["organizations"]), (&json!("last_owner"), &json!([acme, other, third])));
        let said = command_line.run("forget ann --email ann@acme.example").ended(3).stderr;
        assert!(said.contains(&format!("in Acme ({acme}), Beta ({other}), Gamma ({third}); nothing was changed")), "{said}");
        let forgotten = command_line.one("forget bob --email bob@acme.example");
        assert_eq!(
            forgotten,
            json!({
                "user": "bob",
                "forgotten": true,
                "organizations": [acme, other],
                "names": ["Acme", "Beta"],
                "revoked": [invited["invitation"]],
            })
        );
        for organization in [&acme, &other] {
            assert_eq!(command_line.all(&format!("members --organization {organization}")).len(), 1);
        }
        let again = command_line.run("forget bob --email bob@acme.example").done().stdout;
        assert!(again.starts_with("Forgot bob: they were a member of no organization; no invitation to them was open."), "{again}");
    }

    fn jobs_are_counted_listed_retried_and_discarded(command_line) {
        let acme = command_line.organization();
        command_line.run(&format!("invite a@acme.example b@acme.example --organization {acme} --role agent --as ann")).done();
        let counted = command_line.one("jobs");
        assert_eq!((&counted["kind"], &counted["state"], &counted["count"]), (&json!("send_invitation"), &json!("ready"), &json!(2)));
        assert!(counted["oldest_at"].is_string());

        let rows = command_line.all("jobs --state ready");
        assert_eq!((rows.len(), &rows[0]["organization"]), (2, &json!(acme)));
        assert_eq!(command_line.all("jobs --state ready --limit 1"), rows[..1]);
        let job = text(&rows[0]["job"]);
        command_line.run(&format!("jobs discard {job}")).done();
        assert_eq!(command_line.run(&format!("jobs retry {job} --json")).ended(3).object()["refused"], "not_found");

        command_line.sql("UPDATE guestlist_outbox SET dead_at = run_at, last_error = 'why'");
        assert_eq!(command_line.one("jobs --state dead")["last_error"], "why");
        assert_eq!(command_line.one("jobs retry --all-dead")["retried"], 1);
        assert!(command_line.all("jobs --state dead").is_empty());
        command_line.run(&format!("jobs retry {}", text(&rows[1]["job"]))).done();
    }

    fn suppressed_addresses_are_listed_and_lifted(command_line) {
        command_line.organization();
        assert!(command_line.run("suppressions list").done().stdout.contains("There are no suppressed addresses."));
        for (address, at) in [("eve@acme.example", "2020-01-01T00:00:00.000000Z"), ("bob@acme.example", "2999-01-01T00:00:00.000000Z"), ("ada@acme.example", "2999-01-01T00:00:00.000000Z")] {
            command_line.sql(&format!("INSERT INTO guestlist_suppressions (email_key, reason, at) VALUES ('{address}', '550 5.1.1 no such user', '{at}')"));
        }
        let rows = command_line.all("suppressions list");
        assert_eq!(rows.iter().map(|row| &row["email"]).collect::<Vec<_>>(), ["ada@acme.example", "bob@acme.example"]);
        assert_eq!((&rows[0]["reason"], &rows[0]["expires_at"]), (&json!("550 5.1.1 no such user"), &json!("2999-01-31T00:00:00Z")));
        assert_eq!(command_line.all("suppressions list --limit 1"), rows[..1]);
        let table = command_line.run("suppressions list").done().stdout;
        assert!(table.starts_with("ADDRESS ") && table.contains("550 5.1.1 no such user"), "{table}");
        assert_eq!(command_line.one("suppressions lift Bob@acme.example"), json!({ "email": "Bob@acme.example", "lifted": true }));
        let refused = command_line.run("suppressions lift bob@acme.example --json").ended(3).object();
        assert_eq!((&refused["refused"], &refused["email"]), (&json!("not_found"), &json!("bob@acme.example")));
        assert_eq!(command_line.run("suppressions lift nonsense --json").ended(2).object()["invalid"], "invalid_email_address");
        let sentence = command_line.run("suppressions lift ada@acme.example").done().stdout;
        assert_eq!(sentence, "Lifted the suppression of ada@acme.example; later letters are sent again.\n");
    }

    fn pause_of_sending_is_told_in_plain_words(command_line) {
        let acme = command_line.organization();
        command_line.run(&format!("invite a@acme.example --organization {acme} --role agent --as ann")).done();
        let list = format!("invitations --organization {acme}");
        assert_eq!(command_line.one(&list)["delivery"], "queued");
        assert_eq!(command_line.run("jobs").done().stderr, "");
        command_line.sql("INSERT INTO guestlist_mail_pause (id, since, reason, worker, until)
            VALUES (1, '2020-01-01T00:00:00.000000Z', '535 5.7.8 bad credentials', 'w1', '2999-01-01T00:00:00.000000Z')");
        assert_eq!(command_line.one(&list)["delivery"], "paused");
        for command in [list.as_str(), "jobs"] {
            let told = command_line.run(command).done().stderr;
            assert_eq!(told, "A worker has paused sending since 2020-01-01 00:00:00: 535 5.7.8 bad credentials. The worker w1 tries again at 2999-01-01 00:00:00.\n");
        }
    }

    fn terminal_output_is_tables_and_sentences(command_line) {
        let acme = command_line.organization();
        let invite = format!("invite bob@acme.example nonsense --organization {acme} --role agent --as ann");
        let invited = command_line.run(&invite).ended(2).stdout;
        assert!(invited.contains("bob@acme.example") && invited.contains("invalid: an e-mail address"), "{invited}");
        let table = command_line.run(&format!("members --organization {acme}")).done().stdout;
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("USER  EMAIL             NAME"), "{table}");
        assert!(lines[1].starts_with("ann   ann@acme.example  Ann "), "{table}");
        let refused = command_line.run(&format!("leave --organization {acme} --as ann")).ended(3);
        assert_eq!(refused.stdout, "");
        assert_eq!(
            refused.stderr.lines().last().unwrap(),
            "refused: the organization would be left without a member whose role is owner; nothing was \
             changed; transfer the ownership to another member first (`guestlist transfer`)"
        );
    }
}

#[test]
fn truncated_list_says_so() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = command_line.organization();
    command_line.write_people(2100);
    command_line
        .run(&format!(
            "invite --file people.csv --role agent --organization {acme} --as ann"
        ))
        .done();
    let list = format!("invitations --organization {acme}");
    assert_eq!(command_line.all(&list).len(), 2100);
    assert_eq!(
        command_line.all(&format!("{list} --limit 1500")).len(),
        1500
    );
    assert_eq!(command_line.all("jobs --state ready").len(), 2100);
    assert_eq!(
        command_line
            .all(&format!("events --organization {acme}"))
            .len(),
        2101
    );
}
