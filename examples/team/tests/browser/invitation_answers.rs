//! The page behind the link of a letter, for whoever follows it.

use crate::fixture::PASSWORD;
use crate::screen::look;
use crate::site::{FOUR_TIER, Site, TWO_ROLE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_accepted_by_who_is_signed_in_or_not_and_declined() {
    let site = Site::embedded(FOUR_TIER).await;
    let olivia = site.person("Olivia").await;
    let acme = site.organization("Acme", &olivia).await;
    let window = site.window().await;

    // New: the letter is in the mailbox, and its link leads to a password.
    let nina = site.address("nina");
    site.invite(acme, &olivia, &nina, "manager").await;
    site.letters.link_to(&nina, "invited you to Acme").await;
    window.open("/mailbox").await;
    look(&window, "mailbox-of-invitations").await;
    window.press("Olivia invited you to Acme").await;
    window.says(&nina).await;
    look(&window, "letter-of-an-invitation").await;
    window.press_in_frame("View invitation").await;
    window.is_at("/invitation").await;
    let words = format!("Olivia invites you to Acme as Manager. The invitation is for {nina}.");
    window.says(&words).await;
    look(&window, "invitation").await;
    window.introduce("Nina", "short, short").await;
    window
        .write("The same password again", "short, longer")
        .await;
    window.press("Set password and accept").await;
    window.says("The two passwords are not the same.").await;
    look(&window, "invitation-refused").await;
    window.introduce("Nina", PASSWORD).await;
    window.press("Set password and accept").await;
    window.says("Welcome! You are Manager here.").await;
    window.says("Inbox of Acme").await;

    // Somebody else is signed in: switches, and signs in to accept.
    let omar = site.person("Omar").await;
    let invited = site
        .invite(acme, &olivia, omar.email.as_str(), "agent")
        .await;
    window.open(&site.link(&invited)).await;
    window.says(&format!("You are signed in as {nina}")).await;
    assert_eq!(window.controls().await, ["Switch account", "Decline"]);
    look(&window, "invitation-of-another").await;
    window.press("Switch account").await;
    window.says("I have an account").await;
    window.is_at("/invitation").await;
    window.write("Your password", "not my password").await;
    window.press("Sign in to accept").await;
    window.says("do not go together").await;
    window.write("Your password", PASSWORD).await;
    window.press("Sign in to accept").await;
    window.says("Welcome! You are Agent here.").await;

    // Signed in already: one button.
    let umbrella = site.organization("Umbrella", &olivia).await;
    let invited = site
        .invite(umbrella, &olivia, omar.email.as_str(), "admin")
        .await;
    window.open(&site.link(&invited)).await;
    window.says("Join Umbrella").await;
    assert_eq!(window.controls().await, ["Accept", "Decline"]);
    look(&window, "invitation-of-ones-own").await;
    window.press("Accept").await;
    window.says("Welcome! You are Admin here.").await;
    window.says("Inbox of Umbrella").await;

    // No, thank you: needs no account, and the owner can read it.
    window.press("Sign out").await;
    let invited = site
        .invite(acme, &olivia, &site.address("pat"), "agent")
        .await;
    window.open(&site.link(&invited)).await;
    window.press("Decline").await;
    window.says("You declined the invitation.").await;
    look(&window, "declined").await;
    window.has_no_complaint().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_the_worker_is_answered_where_sessions_are_in_redis() {
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
    window.comes_to_say("Letter sent").await;

    let link = site.letters.link_to(&nina, "invited you to Acme").await;
    let other = site.window().await;
    other.open(&link).await;
    other.is_at("/invitation").await;
    other.introduce("Nina", PASSWORD).await;
    other.press("Set password and accept").await;
    other.says("Welcome! You are User here.").await;
    other.says_nothing_of("Mailbox").await;
    other.open("/mailbox").await;
    other.says("There is no page at this address.").await;
    other.has_no_complaint().await;
}
