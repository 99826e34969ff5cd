//! Checks on every request: the CSRF token, the size of a form, its shape, and access to the page.

use std::str::FromStr;

use guestlist::Role;

use crate::deployment::{Deployment, in_both_deployments};
use crate::role_team::{Team, team_path};
use crate::site::PASSWORD;

in_both_deployments! {
    manager_pages_refuse_other_members
    get_of_a_post_route_is_not_found
    a_form_that_is_too_large_is_refused
    a_malformed_request_is_answered_with_a_page
    a_form_without_its_csrf_token_does_nothing
    a_form_of_an_ended_session_leads_to_sign_in
    another_organization_looks_as_if_it_did_not_exist
}

async fn manager_pages_refuse_other_members(deployment: Deployment) {
    let mut team = Team::with_roles("four-tier", deployment).await;
    let agent = Role::from_str("agent").unwrap();
    let target = team.member(&agent).await;
    let of_target = format!("settings/team/members/{target}");
    for (page, words) in [
        ("settings/history".to_owned(), "see this page"),
        (format!("{of_target}/remove"), "remove this member"),
        (format!("{of_target}/transfer"), "transfer the ownership"),
    ] {
        let path = format!("/organizations/{}/{page}", team.acme);
        let page = team.browser_of("agent").open(&path).await;
        assert_eq!(page.status, 403, "{path}");
        page.must_say(&format!("Your role may not {words}"));
        page.must_say("Ask an owner of the organization.");
        assert!(page.offers("Sign out"));
        assert!(!page.says("target"), "{}", page.text());
    }
}

async fn get_of_a_post_route_is_not_found(deployment: Deployment) {
    let mut team = Team::with_roles("two-role", deployment).await;
    let user = team.member(&Role::from_str("user").unwrap()).await;
    for rest in ["invitations".to_owned(), format!("members/{user}/suspend")] {
        let path = team.path(&rest);
        let page = team.actors[0].1.open(&path).await;
        assert_eq!(page.status, 404, "{path}");
        page.must_say("There is no page at this address.");
        assert_eq!(
            team.status_of(&user).await.map(|(_, suspended)| suspended),
            Some(false)
        );
    }
}

async fn a_form_that_is_too_large_is_refused(deployment: Deployment) {
    let mut team = Team::with_roles("two-role", deployment).await;
    let addresses = "somebody@acme.example\n".repeat(4_000);
    let fields = [("emails", addresses.as_str()), ("role", "user")];
    let path = team.path("invitations");
    let page = team.actors[0].1.force(&path, &fields).await;
    assert_eq!(page.status, 413);
    page.must_say("The form is too large.");
    assert!(page.offers("Sign out"), "the page has its frame");
}

async fn a_malformed_request_is_answered_with_a_page(deployment: Deployment) {
    let mut team = Team::with_roles("two-role", deployment).await;
    let owner = team.owner.clone();
    let acme = team.acme;
    let olivia = &mut team.actors[0].1;
    let team_page = team_path(acme, "");
    let team_page = team_page.trim_end_matches('/');
    let role = team_path(acme, &format!("members/{owner}/role"));
    let resend = team_path(acme, "invitations/none/resend");
    for page in [
        olivia
            .open(&format!("{team_page}?members=1&members=2"))
            .await,
        olivia.open("/mailbox/%ff").await,
        olivia.force(&role, &[]).await,
        olivia.force(&resend, &[]).await,
    ] {
        assert!(page.status.is_client_error(), "{}", page.path);
        page.must_say("The request is not one that our pages send.");
        assert!(page.offers("Sign out"), "the page has its frame");
    }
}

async fn a_form_without_its_csrf_token_does_nothing(deployment: Deployment) {
    let mut team = Team::with_roles("two-role", deployment).await;
    let target = team.member(&"user".parse().unwrap()).await;
    let foreign = team.site.browser().token().await;
    let path = team.path(&format!("members/{target}/remove"));
    for fields in [
        vec![],
        vec![("csrf", "")],
        vec![("csrf", "wrong")],
        vec![("csrf", foreign.as_str())],
    ] {
        let page = team.actors[0].1.post(&path, &fields).await;
        assert_eq!(page.status, 403);
        page.must_say("The form was too old");
    }
    assert!(team.status_of(&target).await.is_some());
    let mut guest = team.site.browser();
    guest.open("/sign-in").await;
    for path in [
        "/sign-in",
        "/sign-up",
        "/sign-out",
        "/organizations",
        "/invitation/accept",
        "/invitation/decline",
    ] {
        assert_eq!(guest.post(path, &[]).await.status, 403, "{path}");
    }
}

async fn a_form_of_an_ended_session_leads_to_sign_in(deployment: Deployment) {
    let mut team = Team::with_roles("two-role", deployment).await;
    let email = "user@acme.example";
    let token = team.actors[0].1.token().await;
    let mut guest = team.site.browser();
    let typed = [
        ("csrf", token.as_str()),
        ("email", email),
        ("password", PASSWORD),
    ];
    for path in ["/sign-in", "/sign-out", "/organizations"] {
        let page = guest.post(path, &typed).await;
        assert_eq!(
            (page.status.as_u16(), page.path.as_str()),
            (200, "/sign-in")
        );
        page.must_say("You are signed out. Sign in to continue.");
        assert!(!page.says(email), "{path} signs in");
        guest = team.site.browser();
    }
}

async fn another_organization_looks_as_if_it_did_not_exist(deployment: Deployment) {
    let team = Team::with_roles("four-tier", deployment).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    team.site.create_organization(&mut mallory, "Other").await;
    let inbox = |id: &str| format!("/organizations/{id}/inbox");
    let existing = mallory.open(&inbox(&team.acme.to_string())).await;
    let missing = mallory
        .open(&inbox(&uuid::Uuid::now_v7().to_string()))
        .await;
    assert_eq!(
        (existing.status, existing.text()),
        (missing.status, missing.text())
    );
}
