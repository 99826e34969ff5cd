//! Signing up, in and out, and organizations.

use crate::fixture::PASSWORD;
use crate::screen::look;
use crate::site::{FOUR_TIER, Site};

/// Wider than a telephone, in one word.
const LONG: &str = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_up_founds_two_organizations_and_switches_between_them() {
    let site = Site::embedded(FOUR_TIER).await;
    let window = site.window().await;
    let olivia = site.address("olivia");

    window.open("/").await;
    look(&window, "welcome").await;
    window.press("Sign up").await;
    look(&window, "sign-up").await;
    window.write("Your e-mail address", "olivia@acme").await;
    window.press("Send me a letter").await;
    window.says("That is no e-mail address").await;
    look(&window, "sign-up-refused").await;
    window.write("Your e-mail address", &olivia).await;
    window.press("Send me a letter").await;
    window.says(&format!("A letter goes to {olivia}.")).await;
    look(&window, "sign-up-sent").await;

    // The letter is in the mailbox of who tries the application.
    site.letters.link_to(&olivia, "Your account").await;
    window.press("Mailbox").await;
    window.says(&olivia).await;
    look(&window, "mailbox").await;
    window.press("Your account").await;
    window.says("Open this link within an hour").await;
    look(&window, "letter-of-an-account").await;
    let link = site.letters.link_to(&olivia, "Your account").await;
    window.press(&link).await;
    window.is_at("/sign-up/finish").await;
    look(&window, "sign-up-finish").await;

    window.introduce("Olivia Okafor", "olivia, 4711!").await;
    window
        .write("The same password again", "olivia, 4712!")
        .await;
    window.press("Create the account").await;
    window.says("The two passwords are not the same.").await;
    look(&window, "sign-up-finish-refused").await;
    assert_eq!(window.value("Your name").await, "Olivia Okafor");
    window.introduce("Olivia Okafor", PASSWORD).await;
    window.press("Create the account").await;
    window.says("Welcome, Olivia Okafor.").await;
    window.says("You are a member of none.").await;
    look(&window, "organizations-none").await;

    window.write("Name", "Acme").await;
    window.press("Create the organization").await;
    window.says("Acme is yours.").await;
    look(&window, "inbox-empty").await;
    window
        .write("A note for everybody", "Only for <b>Acme</b>")
        .await;
    window.press("Write the note").await;
    window.says("Only for <b>Acme</b> Olivia Okafor, ").await;
    look(&window, "inbox").await;

    window.press("Acme, switch organization").await;
    look(&window, "switcher").await;
    window.press("All organizations").await;
    look(&window, "organizations").await;
    window.write("Name", LONG).await;
    window.press("Create the organization").await;
    window.says(&format!("{LONG} is yours.")).await;
    window.says(&format!("Inbox of {LONG}")).await;
    window.says_nothing_of("Only for").await;
    look(&window, "inbox-of-a-long-name").await;
    window.press(&format!("{LONG}, switch organization")).await;
    look(&window, "switcher-of-a-long-name").await;
    window.press("Acme").await;
    window.says("Inbox of Acme").await;
    window.says("Only for <b>Acme</b>").await;

    let inbox = window.path().await;
    window.press("Sign out").await;
    window.says("You are signed out.").await;
    window.open(&inbox).await;
    window.says("Sign in to go on.").await;
    look(&window, "sign-in").await;
    window.write("E-mail address", &olivia).await;
    window.write("Password", "a wrong password").await;
    window.press("Sign in").await;
    window.says("do not go together").await;
    look(&window, "sign-in-refused").await;
    window.sign_in(&olivia).await;
    window.says("Your organizations").await;

    window.open("/nowhere").await;
    window.says("There is no page at this address.").await;
    look(&window, "no-such-page").await;
    keeps_to_its_policy(&window).await;
}

/// Sees that a page runs no script that somebody brought into it.
async fn keeps_to_its_policy(window: &crate::window::Window) {
    const BRING: &str = "
        const script = document.createElement('script');
        script.textContent = 'window.wasBrought = true';
        document.body.append(script);
        return window.wasBrought === true;";
    assert_eq!(window.execute(BRING, vec![]).await, false);
    let complaints = window.complaints().await;
    let is_told = |words: &String| words.contains("Content Security Policy");
    assert!(complaints.iter().any(is_told), "{complaints:?}");
}
