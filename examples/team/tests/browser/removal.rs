//! A member is removed while their browser is open.

use crate::fixture::{PASSWORD, page_of};
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Roles, Site, TWO_ROLE};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_access_in_a_single_process() {
    let site = Site::embedded(FOUR_TIER).await;
    let his = story(&site, FOUR_TIER).await;
    check_page(&his, "no-access").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_access_with_a_separate_worker() {
    story(&Site::distributed(TWO_ROLE).await, TWO_ROLE).await;
}

/// A member without another organization loses the session too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_from_the_only_organization_signs_out() {
    let site = Site::embedded(FOUR_TIER).await;
    let (olivia, eve) = (site.person("Olivia").await, site.person("Eve").await);
    let acme = site.organization("Acme", &olivia).await;
    site.join(acme, &olivia, &eve, "agent").await;
    let (hers, theirs) = tokio::join!(site.window_of(&olivia), site.window_of(&eve));
    theirs.open(&page_of(acme, "inbox")).await;
    theirs.write("A note for everyone", "Am I here?").await;
    hers.press("Settings: Team").await;
    hers.press("Remove Eve").await;
    hers.says("loses access to Acme at once").await;
    hers.press("Remove Eve").await;
    hers.says("Eve was removed").await;

    theirs.press("Write the note").await;
    theirs
        .says("You are signed out. Sign in to continue.")
        .await;
    theirs.says_nothing_of("Sign out").await;
    theirs.says_nothing_of("Acme").await;
    check_page(&theirs, "signed-out-by-a-removal").await;
    theirs.write("E-mail address", eve.email.as_str()).await;
    theirs.write("Password", PASSWORD).await;
    theirs.press("Sign in").await;
    theirs
        .says("You are not a member of any organization.")
        .await;
    hers.open(&page_of(acme, "inbox")).await;
    hers.says("There are no notes yet.").await;
}

/// Removes Bob and returns his browser, which shows that he has no access.
async fn story(site: &Site, roles: Roles) -> Window {
    let (olivia, bob) = (site.person("Olivia").await, site.person("Bob").await);
    let acme = site.organization("Acme", &olivia).await;
    let umbrella = site.organization("Umbrella", &bob).await;
    site.join(acme, &olivia, &bob, roles.low.0).await;
    let (hers, his) = tokio::join!(site.window_of(&olivia), site.window_of(&bob));
    let inbox = page_of(acme, "inbox");
    his.open(&inbox).await;
    his.write("A note for everyone", "Bob was here").await;
    his.press("Write the note").await;
    his.says("Bob was here Bob,").await;
    his.write("A note for everyone", "and Bob is still here")
        .await;

    hers.press("Settings: Team").await;
    hers.press("Remove Bob").await;
    hers.says("What they wrote stays, with their name.").await;
    hers.press("Remove Bob").await;
    hers.says("Bob was removed and no longer has access.").await;

    // The note that he was writing is refused, and the page is no longer accessible.
    his.press("Write the note").await;
    his.says("You have no access to this organization.").await;
    his.says_nothing_of("Bob was here").await;
    his.says_nothing_of("Acme").await;

    // His other organization is not affected.
    his.press("Back to the start").await;
    his.says("Inbox of Umbrella").await;
    his.says_nothing_of("Acme").await;
    his.write("A note for everyone", "Mine").await;
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
    hers.must_have_no_console_errors().await;
    his
}
