//! What operators do, from the first command to the last.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::support::{Guestlist, text};

stories! {
    fn an_organization_is_made_and_its_people_come_and_go(guestlist) {
        let created = guestlist.one("organization create Acme --owner ann --email ann@acme.example --name Ann");
        let acme = text(&created["organization"]);
        assert_eq!(guestlist.one("organization list")["name"], "Acme");
        assert_eq!(guestlist.one(&format!("organization rename {acme} Acme2 --as ann"))["name"], "Acme2");

        let line = format!("invite bob@acme.example Eve@ACME.example --organization {acme} --role agent --as ann --locale de");
        let invited = guestlist.all(&line);
        assert_eq!(invited[0]["email"], "bob@acme.example");
        assert_eq!(invited[1]["email"], "Eve@acme.example");
        assert!(invited.iter().all(|outcome| outcome["outcome"] == "invited"));

        let listed = guestlist.all(&format!("invitations --organization {acme} --status pending"));
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0]["invitation"], invited[0]["invitation"]);
        for (field, value) in [("role", "agent"), ("status", "pending"), ("delivery", "queued"), ("locale", "de")] {
            assert_eq!(listed[0][field], value);
        }
        assert!(text(&listed[0]["expires_at"]) > text(&listed[0]["created_at"]));

        let bob = text(&invited[0]["invitation"]);
        let link = text(&guestlist.one(&format!("link {bob} --as ann"))["link"]);
        assert!(link.starts_with("http://localhost:3000/invitations/"), "{link}");
        let accept = "accept - --user bob --email BOB@acme.example --name Bob --json";
        let member = guestlist.run_with_stdin(accept, &format!("{link}\n")).done().object();
        assert_eq!((member["user"].clone(), member["role"].clone()), (json!("bob"), json!("agent")));

        let eve = text(&invited[1]["invitation"]);
        let link = text(&guestlist.one(&format!("link {eve} --as ann"))["link"]);
        let token = link.rsplit('/').next().unwrap();
        assert_eq!(guestlist.one(&format!("decline {token}"))["status"], "declined");

        let members = guestlist.all(&format!("members --organization {acme}"));
        assert_eq!(members.iter().map(|member| text(&member["user"])).collect::<Vec<_>>(), ["ann", "bob"]);
        assert_eq!((&members[1]["email"], &members[1]["name"]), (&json!("BOB@acme.example"), &json!("Bob")));
        assert!(members[1]["joined_at"].is_string());

        let changed = guestlist.one(&format!("change-role bob admin --organization {acme} --as ann"));
        assert_eq!(changed["role"], "admin");
        guestlist.run(&format!("transfer bob --organization {acme} --as ann")).done();
        let roles: Vec<_> = guestlist.all(&format!("members --organization {acme}"));
        assert_eq!((&roles[0]["role"], &roles[1]["role"]), (&json!("admin"), &json!("owner")));
        guestlist.run(&format!("leave --organization {acme} --as ann")).done();

        guestlist.run(&format!("organization delete {acme} --as bob")).done();
        assert!(guestlist.all("organization list").is_empty());
        let events = guestlist.all(&format!("events --organization {acme}"));
        let kinds: Vec<_> = events.iter().map(|event| text(&event["kind"])).collect();
        assert_eq!(kinds.first().unwrap(), "organization_created");
        assert_eq!(kinds.last().unwrap(), "organization_deleted");
        assert!(kinds.contains(&"invitation_link_shown".to_owned()), "{kinds:?}");
    }

    fn an_invitation_is_sent_again_and_withdrawn(guestlist) {
        let guestlist = guestlist.with("GUESTLIST_LIMITS", "none");
        let acme = guestlist.organization();
        let invited = guestlist.one(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        let bob = text(&invited["invitation"]);
        let resent = guestlist.one(&format!("resend {bob} --as ann"));
        assert_eq!(resent["letters"], 2);
        assert!(text(&resent["expires_at"]) > text(&invited["expires_at"]));
        assert_eq!(guestlist.one(&format!("revoke {bob} --as ann"))["status"], "revoked");
        let revoked = guestlist.one(&format!("invitations --organization {acme} --status revoked"));
        assert_eq!(revoked["invitation"], bob);
        assert!(guestlist.all(&format!("invitations --organization {acme} --status pending")).is_empty());
    }

    fn sessions_are_recorded_and_end_with_the_membership(guestlist) {
        let acme = guestlist.organization();
        guestlist.member(&acme, "bob", "agent");
        for session in ["s1", "s2"] {
            guestlist.run(&format!("session record {session} --user bob --organization {acme}")).done();
        }
        let list = format!("session list --organization {acme}");
        assert_eq!(guestlist.all(&list), guestlist.all(&format!("{list} --user bob")));
        assert_eq!(guestlist.all(&list)[0], json!({ "session": "s1", "user": "bob" }));
        guestlist.run(&format!("session forget s1 --user bob --organization {acme}")).done();
        assert_eq!(guestlist.one(&list)["session"], "s2");
        guestlist.run(&format!("remove bob --organization {acme} --as ann")).done();
        assert!(guestlist.all(&format!("{list} --user bob")).is_empty());
        let record = format!("session record s3 --user bob --organization {acme} --json");
        assert_eq!(guestlist.run(&record).ended(3).object()["refused"], "not_found");
    }

    fn jobs_are_counted_listed_retried_and_discarded(guestlist) {
        let acme = guestlist.organization();
        guestlist.run(&format!("invite a@acme.example b@acme.example --organization {acme} --role agent --as ann")).done();
        let counted = guestlist.one("jobs");
        assert_eq!((&counted["kind"], &counted["state"], &counted["count"]), (&json!("send_invitation"), &json!("ready"), &json!(2)));
        assert!(counted["oldest_at"].is_string());

        let rows = guestlist.all("jobs --state ready");
        assert_eq!((rows.len(), &rows[0]["organization"]), (2, &json!(acme)));
        assert_eq!(guestlist.all("jobs --state ready --limit 1"), rows[..1]);
        let job = text(&rows[0]["job"]);
        guestlist.run(&format!("jobs discard {job}")).done();
        assert_eq!(guestlist.run(&format!("jobs retry {job} --json")).ended(3).object()["refused"], "not_found");

        guestlist.sql("UPDATE guestlist_outbox SET dead_at = run_at, last_error = 'why'");
        assert_eq!(guestlist.one("jobs --state dead")["last_error"], "why");
        assert_eq!(guestlist.one("jobs retry --all-dead")["retried"], 1);
        assert!(guestlist.all("jobs --state dead").is_empty());
        guestlist.run(&format!("jobs retry {}", text(&rows[1]["job"]))).done();
    }

    fn people_read_tables_and_sentences(guestlist) {
        let acme = guestlist.organization();
        let invite = format!("invite bob@acme.example nonsense --organization {acme} --role agent --as ann");
        let invited = guestlist.run(&invite).ended(2).stdout;
        assert!(invited.contains("bob@acme.example") && invited.contains("invalid: an e-mail address"), "{invited}");
        let table = guestlist.run(&format!("members --organization {acme}")).done().stdout;
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("USER  EMAIL             NAME"), "{table}");
        assert!(lines[1].starts_with("ann   ann@acme.example  Ann "), "{table}");
        let refused = guestlist.run(&format!("leave --organization {acme} --as ann")).ended(3);
        assert_eq!(refused.stdout, "");
        assert_eq!(
            refused.stderr.lines().last().unwrap(),
            "refused: the organization would be left without a member whose role is owner"
        );
    }
}

#[test]
fn a_list_is_never_cut_silently() {
    let guestlist = Guestlist::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = guestlist.organization();
    let rows: String = (0..2100).map(|n| format!("p{n}@acme.example\n")).collect();
    guestlist.write("people.csv", format!("email\n{rows}"));
    guestlist
        .run(&format!(
            "invite --file people.csv --role agent --organization {acme} --as ann"
        ))
        .done();
    let list = format!("invitations --organization {acme}");
    assert_eq!(guestlist.all(&list).len(), 2100);
    assert_eq!(guestlist.all(&format!("{list} --limit 1500")).len(), 1500);
    assert_eq!(guestlist.all("jobs --state ready").len(), 2100);
    assert_eq!(
        guestlist
            .all(&format!("events --organization {acme}"))
            .len(),
        2101
    );
}
