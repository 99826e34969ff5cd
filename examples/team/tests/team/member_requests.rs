//! Requests about members that no page offers: the server checks each one.

use crate::deployment::{Deployment, in_both_deployments};
use crate::role_team::{Team, team_path};

in_both_deployments! {
    four_tiers_change_members_as_allowed
    two_roles_change_members_as_allowed
    last_owner_stays_whatever_is_posted
    a_removed_members_cookie_does_nothing
    a_removed_member_keeps_their_other_organization
    members_of_another_organization_are_not_found
}

async fn four_tiers_change_members_as_allowed(deployment: Deployment) {
    check_members(Team::with_roles("four-tier", deployment).await).await;
}

async fn two_roles_change_members_as_allowed(deployment: Deployment) {
    check_members(Team::with_roles("two-role", deployment).await).await;
}

async fn check_members(mut team: Team) {
    for actor in 0..team.actors.len() {
        let by = team.actors[actor].0.clone();
        for role in team.roles_of_targets() {
            let may_remove = team.model.may_remove(&by, &role);
            for to in team.roles().into_iter().filter(|to| *to != role) {
                let target = team.member(&role).await;
                let may = team.model.may_change(&by, &role, &to);
                let rest = format!("members/{target}/role");
                team.force(actor, &rest, &[("role", to.as_str())], may)
                    .await;
                let expected = if may { to } else { role.clone() };
                assert_eq!(team.status_of(&target).await, Some((expected, false)));
            }
            let target = team.member(&role).await;
            let confirmation = team.path(&format!("members/{target}/remove"));
            let page = team.actors[actor].1.open(&confirmation).await;
            assert_eq!(
                page.status == 200,
                may_remove,
                "{by} may confirm the removal of a {role}"
            );
            team.force(actor, &format!("members/{target}/suspend"), &[], may_remove)
                .await;
            assert_eq!(
                team.status_of(&target).await,
                Some((role.clone(), may_remove))
            );
            team.force(
                actor,
                &format!("members/{target}/reinstate"),
                &[],
                may_remove,
            )
            .await;
            assert_eq!(team.status_of(&target).await, Some((role.clone(), false)));
            team.force(actor, &format!("members/{target}/remove"), &[], may_remove)
                .await;
            assert_eq!(team.status_of(&target).await.is_none(), may_remove);
        }
        if by != *team.model.keeps() {
            let owner = team.owner.clone();
            let member = team.member(&team.roles()[0]).await;
            team.force(actor, &format!("members/{member}/transfer"), &[], false)
                .await;
            for action in ["remove", "suspend"] {
                let is_refused = !team.model.may_remove(&by, team.model.keeps());
                assert!(is_refused, "no lower role may remove an owner");
                team.force(actor, &format!("members/{owner}/{action}"), &[], false)
                    .await;
            }
            assert_eq!(
                team.status_of(&owner).await,
                Some((team.model.keeps().clone(), false))
            );
        }
    }
}

async fn last_owner_stays_whatever_is_posted(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let owner = team.owner.clone();
    for (rest, fields) in [
        ("leave".to_owned(), vec![]),
        (format!("members/{owner}/remove"), vec![]),
        (format!("members/{owner}/suspend"), vec![]),
        (format!("members/{owner}/role"), vec![("role", "agent")]),
    ] {
        let path = team.path(&rest);
        let page = team.actors[0].1.force(&path, &fields).await;
        assert_eq!(page.status, 409, "{rest}");
        page.must_say("needs at least one owner");
    }
    assert_eq!(
        team.status_of(&owner).await,
        Some((team.model.keeps().clone(), false))
    );
}

async fn a_removed_members_cookie_does_nothing(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let target = team.member(&"agent".parse().unwrap()).await;
    let admin = team.site.account("admin@acme.example").await;
    let token = team.browser_of("admin").token().await;
    let path = team.path(&format!("members/{admin}/remove"));
    assert_eq!(team.actors[0].1.force(&path, &[]).await.status, 200);

    // Posts a form that was opened before the removal, with the cookie and CSRF token from then.
    let path = team.path(&format!("members/{target}/remove"));
    let page = team
        .browser_of("admin")
        .post(&path, &[("csrf", &token)])
        .await;
    assert_eq!(page.path, "/sign-in");
    page.must_say("You are signed out. Sign in to continue.");
    let page = team.browser_of("admin").force(&path, &[]).await;
    page.must_say("You are signed out. Sign in to continue.");
    assert!(team.status_of(&target).await.is_some());
}

async fn a_removed_member_keeps_their_other_organization(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let acme = team.acme;
    let mut admins = team
        .actors
        .iter_mut()
        .filter(|(role, _)| role.as_str() == "admin");
    let (_, browser) = admins.next().unwrap();
    let other = team.site.create_organization(browser, "Other").await;
    let (owner, admin) = (
        team.owner.clone(),
        team.site.account("admin@acme.example").await,
    );
    let path = team.path(&format!("members/{admin}/remove"));
    assert_eq!(team.actors[0].1.force(&path, &[]).await.status, 200);
    let fields = [("emails", "eve@acme.example"), ("role", "agent")];
    let page = team
        .browser_of("admin")
        .force(&team_path(acme, "invitations"), &fields)
        .await;
    assert_eq!(page.status, 403);
    page.must_say("You have no access to this organization.");
    let page = team
        .browser_of("admin")
        .force(&team_path(other, "invitations"), &fields)
        .await;
    assert_eq!(page.status, 200);
    assert!(team.status_of(&owner).await.is_some());
}

async fn members_of_another_organization_are_not_found(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    let other = team.site.create_organization(&mut mallory, "Other").await;
    let target = team.member(&"agent".parse().unwrap()).await;

    for action in ["remove", "suspend", "reinstate", "transfer"] {
        let rest = format!("members/{target}/{action}");
        let through_own = mallory.force(&team_path(other, &rest), &[]).await;
        assert_eq!(through_own.status, 404, "{action}");
        let through_acme = mallory.force(&team_path(team.acme, &rest), &[]).await;
        assert_eq!(through_acme.status, 403, "{action}");
    }
    assert_eq!(
        team.status_of(&target).await,
        Some(("agent".parse().unwrap(), false))
    );
}
