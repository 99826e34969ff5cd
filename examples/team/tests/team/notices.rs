//! Notices: shown once, by the next page.

use crate::site::Site;

#[tokio::test]
async fn a_notice_is_shown_once_by_the_next_page() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let page = olivia.open("/organizations").await;
    olivia.press_and_close(&page, "Sign out").await;
    // The page of a problem does not show the notice.
    let page = olivia.open("/sign-up/finish").await;
    page.must_say("This link has expired or was already used.");
    assert!(!page.says("You are signed out."));
    let page = olivia.open("/sign-in").await;
    page.must_say("You are signed out.");
    let page = olivia.open("/sign-in").await;
    assert!(!page.says("You are signed out."));
}
