//! One organization's many letters do not hold up another's single one.

use guestlist::{Invite, OrganizationId};

use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, name, person, user};

const MANY: usize = 4_000;

/// Far fewer than the queue could hold, and many more than are at work or wait for a slot.
const FEW: usize = 600;

async fn invite(team: &Team, organization: OrganizationId, emails: impl Iterator<Item = String>) {
    let invites = emails
        .map(|email| {
            let role = "agent".parse().unwrap();
            Invite::new(organization, email.parse().unwrap(), role)
        })
        .collect();
    let all = async |tx: &mut _| team.guestlist.invite_all(tx, &user(OLIVIA), invites).await;
    team.in_transaction(all).await.unwrap();
}

on_both_stacks! {
    async fn a_single_letter_leaves_soon_behind_anothers_many(bench: Workbench) {
        let team = &bench.team;
        let crowd = (0..MANY).map(|number| format!("p{number}@example.com"));
        invite(team, team.organization.id, crowd).await;
        let create = async |tx: &mut _| team.guestlist.create(tx, name("Small"), &person(OLIVIA)).await;
        let other = team.in_transaction(create).await.unwrap();
        let worker = bench.start();
        bench.smtp.until(|seen| seen.letters.len() >= 50).await;
        invite(team, other.id, ["bob@example.com".to_owned()].into_iter()).await;
        let before = bench.smtp.count();
        let seen = bench
            .smtp
            .until(|seen| seen.letters.iter().skip(before).any(|letter| letter.contains("To: bob@example.com")))
            .await;
        let place = seen.letters.iter().position(|letter| letter.contains("To: bob@example.com"));
        let ahead = place.unwrap() - before;
        assert!(ahead < FEW, "{ahead} letters went before it");
        worker.kill().await;
    }
}
