//! Somebody is removed while their browser is open.

use crate::fixture::{PASSWORD, page_of};
use crate::screen::look;
use crate::site::{FOUR_TIER, Roles, Site, TWO_ROLE};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_out_with_the_next_request_in_one_process() {
    let site = Site::embedded(FOUR_TIER).await;
    let his = story(&site, FOUR_TIER).await;
    look(&his, "no-access").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_out_with_the_next_request_where_sessions_are_in_redis() {
    story(&Site::distributed(TWO_ROLE).await, TWO_ROLE).await;
}

/// Who is in no other organization has no session either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_removed_from_their_only_organization_is_signed_out_by_what_they_send() {
    let site = Site::embedded(FOUR_TIER).await;
    let (olivia, eve) = (site.person("Olivia").await, site.person("Eve").await);
    let acme = site.organization("Acme", &olivia).await;
    site.join(acme, &olivia, &eve, "agent").await;
    let (hers, theirs) = tokio::join!(site.window_of(&olivia), site.window_of(&eve));
    theirs.open(&page_of(acme, "inbox")).await;
    theirs.write("A note for everybody", "Am I here?").await;
    hers.press("Settings: Team").await;
    hers.press("Remove Eve").await;
    hers.says("loses access to Acme at once").await;
    hers.press("Remove Eve").await;
    hers.says("Eve was removed").await;

    theirs.press("Write the note").await;
    theirs.says("You are signed out. Sign in to go on.").await;
    theirs.says_nothing_of("Sign out").await;
    theirs.says_nothing_of("Acme").await;
    look(&theirs, "signed-out-by-a-removal").await;
    theirs.write("E-mail address", eve.email.as_str()).await;
    theirs.write("Password", PASSWORD).await;
    theirs.press("Sign in").await;
    theirs.says("You are a member of none.").await;
    hers.open(&page_of(acme, "inbox")).await;
    hers.says("Nobody wrote anything yet.").await;
}

/// Returns the browser of who was removed, where he is told so.
async fn story(site: &Site, roles: Roles) -> Window {
    let (olivia, bob) = (site.person("Olivia").await, site.person("Bob").await);
    let acme = site.organization("Acme", &olivia).await;
    let umbrella = site.organization("Umbrella", &bob).await;
    site.join(acme, &olivia, &bob, roles.low.0).await;
    let (hers, his) = tokio::join!(site.window_of(&olivia), site.window_of(&bob));
    let inbox = page_of(acme, "inbox");
    his.open(&inbox).await;
    his.write("A note for everybody", "Bob was here").await;
    his.press("Write the note").await;
    his.says("Bob was here Bob,").await;
    his.write("A note for everybody", "and Bob is still here")
        .await;

    hers.press("Settings: Team").await;
    hers.press("Remove Bob").await;
    hers.says("What they wrote stays, with their name.").await;
    hers.press("Remove Bob").await;
    hers.says("Bob was removed and has no access any more.")
        .await;

    // What he had begun to write is not taken, and the page is gone.
    his.press("Write the note").await;
    his.says("You have no access to this organization.").await;
    his.says_nothing_of("Bob was here").await;
    his.says_nothing_of("Acme").await;

    // Elsewhere he goes on as if nothing had been.
    his.press("Back to the start").await;
    his.says("Inbox of Umbrella").await;
    his.says_nothing_of("Acme").await;
    his.write("A note for everybody", "Mine").await;
    his.press("Write the note").await;
    his.says("Mine Bob,").await;
    his.open(&page_of(umbrella, "settings/team")).await;
    his.says("Team of Umbrella").await;
    for page in ["inbox", "settings/team", "settings/history"] {
        his.open(&page_of(acme, page)).await;
        his.says("You have no access to this organization.").await;
        assert_eq!(his.controls().await, ["Back to the start"]);
    }
    his.press("Organizations").await;
    his.press("Umbrella").await;
    his.says("Inbox of Umbrella").await;
    his.open(&inbox).await;
    his.says("You have no access to this organization.").await;

    hers.open(&inbox).await;
    hers.says("Bob was here Bob,").await;
    hers.says_nothing_of("still here").await;
    hers.has_no_complaint().await;
    his
}
