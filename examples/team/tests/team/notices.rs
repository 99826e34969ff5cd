//! What was done is said by the next page, once.

use crate::site::Site;

#[tokio::test]
async fn a_notice_waits_for_a_page_that_says_it_and_is_said_once() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let page = olivia.open("/organizations").await;
    olivia.press_and_go(&page, "Sign out").await;
    // Of a link that opens nothing there is only the reason.
    let page = olivia.open("/sign-up/finish").await;
    page.must_say("This link is over");
    assert!(!page.says("You are signed out."));
    let page = olivia.open("/sign-in").await;
    page.must_say("You are signed out.");
    let page = olivia.open("/sign-in").await;
    assert!(!page.says("You are signed out."));
}
