//! The page of an invitation link: accepting and declining.

use crate::fixture::PASSWORD;
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Site, TWO_ROLE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_and_known_visitors_answer_an_invitation() {
    let site = Site::embedded(FOUR_TIER).await;
    let olivia = site.person("Olivia").await;
    let acme = site.organization("Acme", &olivia).await;
    let window = site.window().await;

    // A new visitor follows the link in the letter and chooses a password.
    let nina = site.address("nina");
    site.invite(acme, &olivia, &nina, "manager").await;
    site.letters.link_to(&nina, "invited you to Acme").await;
    window.open("/mailbox").await;
    check_page(&window, "mailbox-of-invitations").await;
    window.press("Olivia invited you to Acme").await;
    window.says(&nina).await;
    check_page(&window, "letter-of-an-invitation").await;
    window.press_in_frame("View invitation").await;
    window.is_at("/invitation").await;
    let words = format!("Olivia invites you to Acme as Manager. The invitation is for {nina}.");
    window.says(&words).await;
    check_page(&window, "invitation").await;
    window.write_account("Nina", "short, short").await;
    window.write("Repeat the password", "short, longer").await;
    window.press("Set password and accept").await;
    window.says("The two passwords are not the same.").await;
    check_page(&window, "invitation-refused").await;
    window.write_account("Nina", PASSWORD).await;
    window.press("Set password and accept").await;
    window.says("Welcome! Your role is Manager.").await;
    window.says("Inbox of Acme").await;

    // Another account is signed in: the visitor switches and signs in to accept.
    let omar = site.person("Omar").await;
    let invited = site
        .invite(acme, &olivia, omar.email.as_str(), "agent")
        .await;
    window.open(&site.link(&invited)).await;
    window.says(&format!("You are signed in as {nina}")).await;
    assert_eq!(window.controls().await, ["Switch account", "Decline"]);
    check_page(&window, "invitation-of-another").await;
    window.press("Switch account").await;
    window.says("I have an account").await;
    window.is_at("/invitation").await;
    window.write("Your password", "not my password").await;
    window.press("Sign in to accept").await;
    window.says("password is wrong").await;
    window.write("Your password", PASSWORD).await;
    window.press("Sign in to accept").await;
    window.says("Welcome! Your role is Agent.").await;

    // The invited account is signed in and accepts with one button.
    let umbrella = site.organization("Umbrella", &olivia).await;
    let invited = site
        .invite(umbrella, &olivia, omar.email.as_str(), "admin")
        .await;
    window.open(&site.link(&invited)).await;
    window.says("Join Umbrella").await;
    assert_eq!(window.controls().await, ["Accept", "Decline"]);
    check_page(&window, "invitation-of-ones-own").await;
    window.press("Accept").await;
    window.says("Welcome! Your role is Admin.").await;
    window.says("Inbox of Umbrella").await;

    // Declining needs no account.
    window.press("Sign out").await;
    let invited = site
        .invite(acme, &olivia, &site.address("pat"), "agent")
        .await;
    window.open(&site.link(&invited)).await;
    window.press("Decline").await;
    window.says("You declined the invitation.").await;
    check_page(&window, "declined").await;
    window.must_have_no_console_errors().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_accepted_with_a_separate_worker() {
    let site = Site::distributed(TWO_ROLE).await;
    let olivia = site.person("Olivia").await;
    site.organization("Acme", &olivia).await;
    let window = site.window_of(&olivia).await;
    let nina = site.address("nina");
    window.press("Settings: Team").await;
    window.write("E-mail addresses", &nina).await;
    window.choose("Role", "User").await;
    window.press("Send the invitations").await;
    window.says(&format!("{nina}: Invited.")).await;
    window.says_after_reload("E-mail sent").await;

    let link = site.letters.link_to(&nina, "invited you to Acme").await;
    let other = site.window().await;
    other.open(&link).await;
    other.is_at("/invitation").await;
    other.write_account("Nina", PASSWORD).await;
    other.press("Set password and accept").await;
    other.says("Welcome! Your role is User.").await;
    other.says_nothing_of("Mailbox").await;
    other.open("/mailbox").await;
    other.says("There is no page at this address.").await;
    other.must_have_no_console_errors().await;
}
