//! Somebody is removed while their browser is open.

use crate::people::page_of;
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

    hers.open(&inbox).await;
    hers.says("Bob was here Bob,").await;
    hers.says_nothing_of("still here").await;
    hers.has_no_complaint().await;
    his
}
