//! Signing up, signing in and out, and switching organizations.

use crate::fixture::PASSWORD;
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Site};

/// A single word that is wider than the screen of a phone.
const LONG: &str = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_up_create_organizations_and_switch() {
    let site = Site::embedded(FOUR_TIER).await;
    let window = site.window().await;
    let olivia = site.address("olivia");

    window.open("/").await;
    check_page(&window, "welcome").await;
    window.press("Sign up").await;
    check_page(&window, "sign-up").await;
    window.write("Your e-mail address", "olivia@acme").await;
    window.press("Send me an e-mail").await;
    window.says("This is not an e-mail address").await;
    check_page(&window, "sign-up-refused").await;
    window.write("Your e-mail address", &olivia).await;
    window.press("Send me an e-mail").await;
    window
        .says(&format!("We are sending an e-mail to {olivia}."))
        .await;
    check_page(&window, "sign-up-sent").await;

    // The letter is on the mailbox page.
    site.letters.link_to(&olivia, "Your account").await;
    window.press("Mailbox").await;
    window.says(&olivia).await;
    check_page(&window, "mailbox").await;
    window.press("Your account").await;
    window.says("Open this link within an hour").await;
    check_page(&window, "letter-of-an-account").await;
    let link = site.letters.link_to(&olivia, "Your account").await;
    window.press(&link).await;
    window.is_at("/sign-up/finish").await;
    check_page(&window, "sign-up-finish").await;

    window.write_account("Olivia Okafor", "olivia, 4711!").await;
    window.write("Repeat the password", "olivia, 4712!").await;
    window.press("Create the account").await;
    window.says("The two passwords are not the same.").await;
    check_page(&window, "sign-up-finish-refused").await;
    assert_eq!(window.value("Your name").await, "Olivia Okafor");
    window.write_account("Olivia Okafor", PASSWORD).await;
    window.press("Create the account").await;
    window.says("Welcome, Olivia Okafor.").await;
    window
        .says("You are not a member of any organization.")
        .await;
    check_page(&window, "organizations-none").await;

    window.write("Name", "Acme").await;
    window.press("Create the organization").await;
    window.says("You created Acme.").await;
    check_page(&window, "inbox-empty").await;
    window
        .write("A note for everyone", "Only for <b>Acme</b>")
        .await;
    window.press("Write the note").await;
    window.says("Only for <b>Acme</b> Olivia Okafor, ").await;
    check_page(&window, "inbox").await;

    window.press("Acme, switch organization").await;
    check_page(&window, "switcher").await;
    window.press("All organizations").await;
    check_page(&window, "organizations").await;
    window.write("Name", LONG).await;
    window.press("Create the organization").await;
    window.says(&format!("You created {LONG}.")).await;
    window.says(&format!("Inbox of {LONG}")).await;
    window.says_nothing_of("Only for").await;
    check_page(&window, "inbox-of-a-long-name").await;
    window.press(&format!("{LONG}, switch organization")).await;
    check_page(&window, "switcher-of-a-long-name").await;
    window.press("Acme").await;
    window.says("Inbox of Acme").await;
    window.says("Only for <b>Acme</b>").await;

    let inbox = window.path().await;
    window.press("Sign out").await;
    window.says("You are signed out.").await;
    window.open(&inbox).await;
    window.says("Sign in to continue.").await;
    check_page(&window, "sign-in").await;
    window.write("E-mail address", &olivia).await;
    window.write("Password", "a wrong password").await;
    window.press("Sign in").await;
    window.says("password is wrong").await;
    check_page(&window, "sign-in-refused").await;
    window.sign_in(&olivia).await;
    window.says("Your organizations").await;

    window.open("/nowhere").await;
    window.says("There is no page at this address.").await;
    check_page(&window, "no-such-page").await;
    must_block_inline_scripts(&window).await;
}

/// Checks that the Content Security Policy blocks an inline script.
async fn must_block_inline_scripts(window: &crate::window::Window) {
    const INJECT: &str = "
        const script = document.createElement('script');
        script.textContent = 'window.wasRun = true';
        document.body.append(script);
        return window.wasRun === true;";
    assert_eq!(window.execute(INJECT, vec![]).await, false);
    let errors = window.console_errors().await;
    let is_from_policy = |words: &String| words.contains("Content Security Policy");
    assert!(errors.iter().any(is_from_policy), "{errors:?}");
}
