//! Reports of mail servers on stdin: facts of Postfix, Exim, Exchange and Gmail in the forms that their
//! documents and RFC 3464 describe.

#![allow(clippy::unwrap_used)]

use guestlist::{Guestlist, Key, KeyRing};
use serde_json::{Value as Json, json};

use crate::support::{CommandLine, text};

macro_rules! report {
    ($name:literal) => {
        include_str!(concat!("../data/bounces/", $name, ".eml"))
    };
}

/// An invitation of bob, and the commands with a key of their own.
struct Bounced {
    command_line: CommandLine,
    acme: String,
    invitation: String,
    sender: String,
}

impl Bounced {
    fn new(command_line: CommandLine) -> Self {
        let key = Key::generate();
        let command_line = command_line.with("GUESTLIST_KEYS", &key.expose());
        let acme = command_line.organization();
        let invite = format!("invite bob@acme.example --organization {acme} --role agent --as ann");
        let invitation = text(&command_line.one(&invite)["invitation"]);
        let sender = Guestlist::builder()
            .key_ring(KeyRing::of(key))
            .audience("guestlist")
            .build()
            .envelope_sender(
                &"bounces@team.example".parse().unwrap(),
                invitation.parse().unwrap(),
                1,
            )
            .unwrap()
            .to_string();
        Self {
            command_line,
            acme,
            invitation,
            sender,
        }
    }

    /// Records a report that names the letter.
    fn record(&self, report: &str) -> Json {
        let report = report
            .replace("{sender}", &self.sender)
            .replace("{SENDER}", &self.sender.to_uppercase());
        self.command_line
            .run_with_stdin("bounce --json", &report)
            .done()
            .object()
    }

    fn listed(&self) -> Json {
        self.command_line
            .one(&format!("invitations --organization {}", self.acme))
    }
}

stories! {
    fn reports_of_a_missing_mailbox_suppress(command_line) {
        let bounced = Bounced::new(command_line);
        for (report, status, words) in [
            (report!("postfix"), "5.1.1", "User unknown in virtual mailbox table"),
            (report!("exim"), "5.0.0", "No Such User Here"),
            (report!("exchange"), "5.1.10", "RESOLVER.ADR.RecipientNotFound"),
            (report!("gmail"), "5.1.1", "does not exist"),
        ] {
            let told = bounced.record(report);
            let fields = (&told["effect"], &told["kind"], &told["status"], &told["letter"]);
            assert_eq!(fields, (&json!("suppressed"), &json!("hard"), &json!(status), &json!(1)), "{told}");
            assert_eq!(told["invitation"], bounced.invitation.as_str());
            assert!(text(&told["diagnostic"]).contains(words), "{told}");
            let listed = bounced.listed();
            assert_eq!(listed["delivery"], "bounced");
            assert!(text(&listed["delivery_detail"]).contains(words) && listed["bounced_at"].is_string(), "{listed}");
            assert_eq!(bounced.record(report)["effect"], "repeated");
            assert_eq!(bounced.command_line.one("suppressions lift bob@acme.example")["lifted"], true);
            bounced.command_line.sql("UPDATE guestlist_invitations SET delivery = 'sent', delivery_detail = NULL, bounced_at = NULL");
        }
    }

    fn report_with_an_upper_case_sender_is_found_in_the_returned_headers(command_line) {
        let bounced = Bounced::new(command_line);
        let told = bounced.record(report!("returned_headers"));
        assert_eq!((&told["effect"], &told["status"], &told["diagnostic"]), (&json!("suppressed"), &json!("5.1.1"), &Json::Null));
    }

    fn full_mailbox_bounces_and_is_not_suppressed(command_line) {
        let bounced = Bounced::new(command_line);
        assert_eq!(bounced.record(report!("quota"))["effect"], "bounced");
        assert!(bounced.command_line.all("suppressions list").is_empty());
        let events = bounced.command_line.all(&format!("events --organization {}", bounced.acme));
        assert_eq!(events.last().unwrap()["kind"], "invitation_bounced");
    }

    fn delayed_letter_and_partly_delivered_alias_change_nothing(command_line) {
        let bounced = Bounced::new(command_line);
        for report in [report!("delayed"), report!("alias")] {
            let told = bounced.record(report);
            assert_eq!((&told["effect"], &told["kind"]), (&json!("delayed"), &json!("soft")), "{told}");
            assert_eq!(bounced.listed()["delivery"], "queued");
        }
    }

    fn report_without_a_genuine_sender_is_unproved(command_line) {
        let bounced = Bounced::new(command_line);
        let mut forged = bounced.sender.clone();
        let last = forged.find('@').unwrap() - 1;
        let other = if &forged[last..=last] == "a" { "b" } else { "a" };
        forged.replace_range(last..=last, other);
        for sender in ["bounces@team.example", &forged] {
            let report = report!("postfix").replace("{sender}", sender);
            let told = bounced.command_line.run_with_stdin("bounce --json", &report).done().object();
            assert_eq!(told, json!({ "effect": "unproved" }));
            let told = bounced.command_line.run_with_stdin("bounce", &report).done().stdout;
            assert!(told.starts_with("Changed nothing: "), "{told}");
        }
        assert_eq!(bounced.listed()["delivery"], "queued");
    }

    fn mail_that_is_no_report_is_malformed(command_line) {
        let bounced = Bounced::new(command_line);
        let away = format!("To: {}\nSubject: Out of office\n\nI am away.\n", bounced.sender);
        let nobody = report!("delayed").replace("Final-Recipient", "X-Recipient");
        for junk in ["", "\u{0}\n\u{7f}--b1\n", &away, &nobody] {
            let refused = bounced.command_line.run_with_stdin("bounce --json", junk).ended(2).object();
            assert_eq!(refused["invalid"], "not_a_report", "{junk:?}");
        }
        let told = bounced.command_line.run_with_stdin("bounce", &away).ended(2).stderr;
        assert!(told.contains("no delivery status notification"), "{told}");
        assert_eq!(bounced.listed()["delivery"], "queued");
    }

    fn sentences_name_the_letter_and_the_effect(command_line) {
        let bounced = Bounced::new(command_line);
        let report = report!("quota").replace("{sender}", &bounced.sender);
        let told = bounced.command_line.run_with_stdin("bounce", &report).done().stdout;
        assert_eq!(told, format!("Letter 1 of the invitation {} bounced; the inviter is told.\n", bounced.invitation));
    }
}
