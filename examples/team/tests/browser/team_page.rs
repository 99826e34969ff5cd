//! The team page of a manager, and the history of its actions.

use serde_json::json;

use crate::fixture::page_of;
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Site};
use crate::window::Window;

/// A single word that is wider than the screen of a phone, and so is the address made from it.
const LONG: &str = "Wolfeschlegelsteinhausenbergerdorffwelchevoraltern";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_manages_the_team() {
    let site = Site::embedded(FOUR_TIER).await;
    let olivia = site.person("Olivia").await;
    let acme = site.organization("Acme", &olivia).await;
    for name in ["Ada", "Ben", LONG, "Dan", "Eve", "Finn", "Gus", "Hana"] {
        let member = site.person(name).await;
        site.join(acme, &olivia, &member, "agent").await;
    }
    let window = site.window_of(&olivia).await;
    window.press("Settings: Team").await;
    window.says("Team of Acme").await;
    check_page(&window, "team").await;
    actions_are_at_the_end_of_each_row(&window).await;

    a_role_changes_in_place(&window).await;
    a_removal_is_confirmed(&window).await;
    let link = addresses_are_invited(&site, &window).await;
    invitations_are_managed(&site, &window, &link).await;
    expired_invitations_are_marked(&site, &window).await;
    a_member_is_suspended(&window).await;
    history_is_readable(&site, &window).await;

    window.open(&page_of(acme, "settings/team")).await;
    window.press("Sign out").await;
    window.must_have_no_console_errors().await;
}

/// The page resets the selector and says that the server did not respond.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_change_is_reset_without_a_response() {
    let site = Site::embedded(FOUR_TIER).await;
    let (olivia, gus) = (site.person("Olivia").await, site.person("Gus").await);
    let acme = site.organization("Acme", &olivia).await;
    site.join(acme, &olivia, &gus, "agent").await;
    let window = site.window_of(&olivia).await;
    window.press("Settings: Team").await;
    let network = |offline| json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    const NETWORK: &str = "Network.emulateNetworkConditions";
    window.devtools("Network.enable", json!({})).await;
    window.devtools(NETWORK, network(true)).await;
    window.choose("Role of Gus", "Manager").await;
    window.says("The server did not respond").await;
    assert_eq!(window.value("Role of Gus").await, "agent");
    let errors = window.console_errors().await;
    let is_from_htmx = |error: &String| error.contains("htmx:sendError");
    assert!(errors.iter().any(is_from_htmx), "{errors:?}");
    check_page(&window, "team-unanswered").await;
    window.devtools(NETWORK, network(false)).await;
    window.choose("Role of Gus", "Manager").await;
    window.says("The role of Gus is now Manager.").await;
    window.says_nothing_of("The server did not respond").await;
}

/// Checks that the actions are at the end of each row, even next to a long name.
async fn actions_are_at_the_end_of_each_row(window: &Window) {
    const ELSEWHERE: &str = "
        const box = (element) => element.getBoundingClientRect();
        const stands = (row) => {
            const [who, actions] = [box(row.querySelector('.who')), box(row.querySelector('.actions'))];
            return actions.top < who.bottom && Math.abs(actions.right - box(row).right) < 1;
        };
        return [...document.querySelectorAll('.rows > li')].filter((row) => !stands(row)).map((row) => row.innerText);";
    assert_eq!(window.execute(ELSEWHERE, vec![]).await, json!([]));
}

/// Changes a role, and checks that the page does not scroll and that the selector keeps the focus.
async fn a_role_changes_in_place(window: &Window) {
    const MARK: &str = "
        window.isTheSamePage = true;
        document.querySelectorAll('main select')[6].scrollIntoView({ block: 'center' });
        addEventListener('change', () => { window.place = scrollY; }, { once: true });";
    const SEEN: &str = "
        const name = document.activeElement.labels?.[0].textContent;
        return { same: window.isTheSamePage, before: window.place, after: scrollY, focus: name };";
    window.choose("Role of Gus", "Manager").await;
    window.says("The role of Gus is now Manager.").await;
    window.execute(MARK, vec![]).await;
    let path = window.path().await;
    window.choose("Role of Gus", "Admin").await;
    window.says("The role of Gus is now Admin.").await;
    let seen = window.execute(SEEN, vec![]).await;
    let place = &seen["before"];
    let kept = json!({ "same": true, "before": place, "after": place, "focus": "Role of Gus" });
    assert_eq!(seen, kept);
    assert!(
        place.as_f64().unwrap() > 100.0,
        "the page is scrolled: {seen}"
    );
    assert_eq!(window.path().await, path);
    window.reload().await;
    assert_eq!(window.value("Role of Gus").await, "admin");
}

async fn a_removal_is_confirmed(window: &Window) {
    window.press("Remove Finn").await;
    window.says("loses access to Acme at once").await;
    check_page(window, "remove").await;
    window.press("Keep Finn").await;
    window.says("Team of Acme").await;
    assert!(window.entry("finn@").await.starts_with("Finn"));
    window.press("Remove Finn").await;
    window.says("loses access to Acme at once").await;
    window.press("Remove Finn").await;
    window.says("Finn was removed").await;
    window.says_nothing_of("finn@").await;
}

/// Invites several addresses: each has its own outcome, and refused ones stay in the form to be corrected.
async fn addresses_are_invited(site: &Site, window: &Window) -> String {
    let (nina, oleg, hana) = (
        site.address("nina"),
        site.address("oleg"),
        site.address("hana"),
    );
    let addresses = format!("{nina}, {oleg}\nnonsense\n{hana}; {LONG}@other.example");
    window.write("E-mail addresses", &addresses).await;
    window.choose("Role", "Manager").await;
    window
        .write("Personal message (optional)", "See you on Monday")
        .await;
    window.press("Send the invitations").await;
    window.says("Result for each address").await;
    window.says(&format!("{nina}: Invited.")).await;
    window.says(&format!("{oleg}: Invited.")).await;
    window.says("nonsense: This is not an e-mail address").await;
    window
        .says(&format!("{hana}: This person is already a member."))
        .await;
    window
        .says(&format!("{LONG}@other.example: Invited."))
        .await;
    let left = window.value("E-mail addresses").await;
    assert_eq!(left, format!("nonsense\n{hana}"));
    check_page(window, "team-invited").await;

    window.press("Settings: Team").await;
    window.says_after_reload("E-mail sent").await;
    site.letters.link_to(&nina, "invited you to Acme").await
}

async fn invitations_are_managed(site: &Site, window: &Window, link: &str) {
    let (nina, oleg) = (site.address("nina"), site.address("oleg"));
    let row = window.entry(&nina).await;
    let said = format!("{nina} Manager, invited by Olivia Expires in 7 days. E-mail sent.");
    assert!(row.starts_with(&said), "{row}");

    window.press(&format!("Copy link for {nina}")).await;
    window
        .says("a person without an account must confirm that address first")
        .await;
    check_page(window, "link").await;
    assert_eq!(window.value("Link").await, link);
    window.press("Copy the link").await;
    window.says("Copied.").await;
    let read = json!({ "permissions": ["clipboardReadWrite"] });
    window.devtools("Browser.grantPermissions", read).await;
    const CLIPBOARD: &str = "navigator.clipboard.readText().then(arguments[arguments.length - 1]);";
    assert_eq!(window.execute_async(CLIPBOARD).await, link);

    window.press("Back to the team").await;
    window.press(&format!("Resend to {nina}")).await;
    window
        .says(&format!("Another e-mail is on its way to {nina}."))
        .await;
    // The letter has the same link, because the invitation was still pending.
    site.letters.arrive(&nina, "invited you to Acme", 2).await;
    assert_eq!(
        site.letters.link_to(&nina, "invited you to Acme").await,
        link
    );

    window
        .press(&format!("Cancel the invitation for {oleg}"))
        .await;
    window
        .says(&format!("The invitation for {oleg} is cancelled."))
        .await;
    window.press("Settings: Team").await;
    window.says(&nina).await;
    window.says_nothing_of(&oleg).await;
}

async fn expired_invitations_are_marked(site: &Site, window: &Window) {
    let nina = site.address("nina");
    site.expire(&nina).await;
    window.reload().await;
    window.says("Expired on").await;
    let row = window.entry(&nina).await;
    let said = format!("{nina} Expired Manager, invited by Olivia Expired on ");
    assert!(row.starts_with(&said), "{row}");
    check_page(window, "team-expired").await;
    window.press(&format!("Resend to {nina}")).await;
    window
        .says(&format!("Another e-mail is on its way to {nina}."))
        .await;
    let row = window.entry(&nina).await;
    assert!(row.contains("Expires in 7 days."), "{row}");
}

async fn a_member_is_suspended(window: &Window) {
    window.press("Suspend Hana").await;
    window
        .says("Hana is suspended and has no access for now.")
        .await;
    let row = window.entry("hana@").await;
    assert!(row.starts_with("Hana Suspended"), "{row}");
    check_page(window, "team-suspended").await;
    window.press("Reinstate Hana").await;
    window.says("Hana has access again.").await;
    window.says_nothing_of("Suspended").await;
}

async fn history_is_readable(site: &Site, window: &Window) {
    let (nina, oleg) = (site.address("nina"), site.address("oleg"));
    window.press("Settings: History").await;
    window.says("History of Acme").await;
    for words in [
        "Olivia created Acme.",
        "Ada accepted the invitation as Agent.",
        "Olivia changed Gus from Agent to Manager.",
        "Olivia changed Gus from Manager to Admin.",
        "Olivia removed Finn, who was Agent.",
        "Olivia suspended Hana.",
        "Olivia reinstated Hana.",
        &format!("Olivia invited {nina} as Manager."),
        &format!("Olivia viewed the invitation link for {nina}."),
        &format!("Olivia resent the invitation to {nina}."),
        &format!("Olivia cancelled the invitation for {oleg}."),
    ] {
        window.says(words).await;
    }
    window.says_nothing_of("someone").await;
    check_page(window, "history").await;
}
