//! Many letters of one organization do not delay the single letter of another.

use chrono::TimeDelta;
use guestlist::{Invite, OrganizationId};
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::eventually;
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, member, name, person};

const MANY: usize = 4_000;

/// Far fewer letters than the queue can hold, and many more than are running or waiting for a slot.
const FEW: usize = 600;

async fn invite(team: &Team, organization: OrganizationId, emails: impl Iterator<Item = String>) {
    let invites = emails
        .map(|email| {
            let role = "agent".parse().unwrap();
            Invite::new(email.parse().unwrap(), role)
        })
        .collect();
    let all = async |tx: &mut _| {
        team.guestlist
            .act(member(OLIVIA))
            .in_organization(organization)
            .invite_all(tx, invites)
            .await
    };
    team.in_transaction(all).await.unwrap();
}

on_both_stacks! {
    async fn single_letter_leaves_soon_despite_anothers_many(harness: Harness) {
        let team = &harness.team;
        let crowd = (0..MANY).map(|number| format!("p{number}@example.com"));
        invite(team, team.organization.id, crowd).await;
        let create = async |tx: &mut _| team.guestlist.create(tx, name("Small"), &person(OLIVIA)).await;
        let other = team.in_transaction(create).await.unwrap();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.letters.len() >= 50).await;
        invite(team, other.id, ["bob@example.com".to_owned()].into_iter()).await;
        let before = harness.smtp.count();
        let seen = harness
            .smtp
            .until(|seen| seen.letters.iter().skip(before).any(|letter| letter.text().contains("To: bob@example.com")))
            .await;
        let place = seen.letters.iter().position(|letter| letter.text().contains("To: bob@example.com"));
        let ahead = place.unwrap() - before;
        assert!(ahead < FEW, "{ahead} letters went before it");
        worker.kill().await;
    }

    async fn unanswered_letters_of_one_organization_delay_no_other(harness: Harness) {
        let stalls = Rule::new(Stage::Rcpt, Action::Stall).to("@slow.example");
        let mut harness = harness.with_mail_server(Script::default().rule(stalls)).await;
        harness.settings.letters = 8;
        let team = &harness.team;
        // More than all jobs that run at once.
        let crowd = (0..50).map(|number| format!("p{number}@slow.example"));
        invite(team, team.organization.id, crowd).await;
        let create = async |tx: &mut _| team.guestlist.create(tx, name("Small"), &person(OLIVIA)).await;
        let other = team.in_transaction(create).await.unwrap();
        let worker = harness.start();
        eventually("letters are unanswered", async || harness.smtp.seen().heard("RCPT") == 7).await;
        let quick = (0..20).map(|number| format!("q{number}@example.com"));
        invite(team, other.id, quick).await;
        eventually("the letters of the other organization are sent", async || {
            team.advance_clock(TimeDelta::milliseconds(10));
            harness.smtp.count() == 20
        }).await;
        assert_eq!(harness.smtp.seen().heard("RCPT"), 27, "no more of the first organization are tried");
        harness.smtp.clear_rules();
        worker.kill().await;
    }
}
