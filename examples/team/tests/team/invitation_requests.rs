//! Requests about invitations that no page offers: the server checks each one.

use crate::deployment::{Deployment, in_both_deployments};
use crate::role_team::{Team, team_path};
use crate::site::link_in;

in_both_deployments! {
    four_tiers_change_invitations_as_allowed
    two_roles_change_invitations_as_allowed
    posted_fields_change_neither_organization_nor_role
    invitations_of_another_organization_are_not_found
}

async fn four_tiers_change_invitations_as_allowed(deployment: Deployment) {
    check_invitations(Team::with_roles("four-tier", deployment).await).await;
}

async fn two_roles_change_invitations_as_allowed(deployment: Deployment) {
    check_invitations(Team::with_roles("two-role", deployment).await).await;
}

async fn check_invitations(mut team: Team) {
    for actor in 0..team.actors.len() {
        let by = team.actors[actor].0.clone();
        for role in team.roles() {
            let may = team.model.may_invite(&by, &role);
            let email = team.new_address();
            let fields = [("emails", email.as_str()), ("role", role.as_str())];
            team.force(actor, "invitations", &fields, may).await;
        }
        for role in team.roles_of_targets() {
            let may = team.model.may_invite(&by, &role);
            for action in ["resend", "link", "cancel"] {
                let id = team.invitation(&role).await;
                team.force(actor, &format!("invitations/{id}/{action}"), &[], may)
                    .await;
            }
        }
        let history = format!("/organizations/{}/settings/history", team.acme);
        let manages = team
            .roles()
            .iter()
            .any(|role| team.model.may_invite(&by, role));
        let page = team.actors[actor].1.open(&history).await;
        assert_eq!(page.status == 200, manages, "{by} may see the history");
    }
}

async fn posted_fields_change_neither_organization_nor_role(deployment: Deployment) {
    let team = Team::with_roles("four-tier", deployment).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    let other = team.site.create_organization(&mut mallory, "Other").await;
    let mut bob = team.site.sign_up("Bob", "bob@acme.example").await;
    let fields = [("emails", "bob@acme.example"), ("role", "agent")];
    mallory
        .force(&team_path(other, "invitations"), &fields)
        .await;
    let letter = team.site.letter_to("bob@acme.example", "invited you").await;
    bob.open(&link_in(&letter)).await.must_say("Join Other");
    let acme = team.acme.to_string();
    let fields = [("organization", acme.as_str()), ("role", "owner")];
    bob.force("/invitation/accept", &fields)
        .await
        .must_say("Welcome! Your role is Agent.");
    let bob = team.site.account("bob@acme.example").await;
    assert_eq!(team.status_of(&bob).await, None);
}

async fn invitations_of_another_organization_are_not_found(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    let other = team.site.create_organization(&mut mallory, "Other").await;
    let invitation = team.invitation(&"agent".parse().unwrap()).await;

    for action in ["resend", "cancel", "link"] {
        let rest = format!("invitations/{invitation}/{action}");
        let through_own = mallory.force(&team_path(other, &rest), &[]).await;
        assert_eq!(through_own.status, 404, "{action}");
        let through_acme = mallory.force(&team_path(team.acme, &rest), &[]).await;
        assert_eq!(through_acme.status, 403, "{action}");
    }
}
