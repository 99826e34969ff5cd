//! An organization always keeps an owner.

use guestlist::{OrganizationId, User};

use crate::fixture::page_of;
use crate::site::{FOUR_TIER, Site};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_owner_stays_in_a_single_process() {
    story(&Site::embedded(FOUR_TIER).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_owner_stays_with_a_separate_worker() {
    story(&Site::distributed(FOUR_TIER).await).await;
}

async fn story(site: &Site) {
    let (olivia, bob) = (site.person("Olivia").await, site.person("Bob").await);
    let acme = site.organization("Acme", &olivia).await;
    site.join(acme, &olivia, &bob, "admin").await;
    let windows = tokio::join!(site.window_of(&olivia), site.window_of(&bob));
    let (hers, his) = (&windows.0, &windows.1);

    must_explain_last_owner(hers, acme).await;
    hers.press("Make owner: transfer the ownership to Bob")
        .await;
    hers.press("Transfer the ownership").await;
    hers.says("Bob is now the owner.").await;
    hers.says("Your role is Admin.").await;
    assert_eq!(site.owners(acme).await, std::slice::from_ref(&bob.id));

    his.open(&page_of(acme, "settings/team")).await;
    his.choose("Role of Olivia", "Owner").await;
    his.says("The role of Olivia is now Owner.").await;
    demote_each_other(site, acme, (hers, &olivia), (his, &bob)).await;
    remove_each_other(site, acme, (hers, &olivia), (his, &bob)).await;
}

/// Checks that the page shows the reason instead of controls that would be refused.
async fn must_explain_last_owner(window: &Window, acme: OrganizationId) {
    window.press("Settings: Team").await;
    window.says("Team of Acme").await;
    let why = "You are the last owner. The last owner cannot be removed, leave or get another role. Choose “Make owner”";
    const DESCRIPTION: &str = "
        const labels = [...document.querySelectorAll('label')];
        const control = labels.find((label) => label.textContent === 'Role of Olivia').control;
        return control.disabled && document.getElementById(control.getAttribute('aria-describedby'))?.textContent;";
    let description = window.execute(DESCRIPTION, vec![]).await;
    let is_explained = description
        .as_str()
        .is_some_and(|words| words.starts_with(why));
    assert!(is_explained, "{description}");
    let controls = window.controls().await;
    for absent in ["Leave", "Remove Olivia", "Suspend Olivia", "Role of Olivia"] {
        assert!(!controls.iter().any(|name| name == absent), "{absent}");
    }
    window.open(&page_of(acme, "settings/team/leave")).await;
    window
        .says("Transfer the ownership to another member first.")
        .await;
    window.press("Transfer the ownership").await;
    window.says("Team of Acme").await;
}

/// Lets two owners make each other an admin at the same moment.
async fn demote_each_other(
    site: &Site,
    acme: OrganizationId,
    (hers, olivia): (&Window, &User),
    (his, bob): (&Window, &User),
) {
    let team = page_of(acme, "settings/team");
    tokio::join!(hers.open(&team), his.open(&team));
    assert_eq!(site.owners(acme).await.len(), 2);
    tokio::join!(
        hers.choose("Role of Bob", "Admin"),
        his.choose("Role of Olivia", "Admin"),
    );
    tokio::join!(wait_for_response(hers), wait_for_response(his));
    let owners = site.owners(acme).await;
    assert_eq!(owners.len(), 1, "{owners:?}");
    assert_eq!(site.members(acme).await.len(), 2);

    // The remaining owner makes the other an owner again.
    let (owner, other) = if owners[0] == olivia.id {
        (hers, bob)
    } else {
        (his, olivia)
    };
    let name = other.name.as_ref().unwrap().as_str();
    owner.open(&team).await;
    owner.choose(&format!("Role of {name}"), "Owner").await;
    owner
        .says(&format!("The role of {name} is now Owner."))
        .await;
}

/// Lets two owners remove each other at the same moment.
async fn remove_each_other(
    site: &Site,
    acme: OrganizationId,
    (hers, olivia): (&Window, &User),
    (his, bob): (&Window, &User),
) {
    let of_bob = page_of(acme, &format!("settings/team/members/{}/remove", bob.id));
    let of_olivia = page_of(acme, &format!("settings/team/members/{}/remove", olivia.id));
    tokio::join!(hers.open(&of_bob), his.open(&of_olivia));
    tokio::join!(hers.press("Remove Bob"), his.press("Remove Olivia"));
    let owners = site.owners(acme).await;
    assert_eq!(owners.len(), 1, "{owners:?}");
    assert_eq!(site.members(acme).await.len(), 1);

    let (owner, removed) = if owners[0] == olivia.id {
        (hers, his)
    } else {
        (his, hers)
    };
    let team = page_of(acme, "settings/team");
    owner.open(&team).await;
    owner.says("Your role is Owner.").await;
    removed.open(&team).await;
    removed.says_nothing_of("Team of Acme").await;
}

/// Waits for the response to a change of role, whether it succeeded or not.
async fn wait_for_response(window: &Window) {
    const ANSWERED: &str = "
        const words = document.body.innerText;
        return / is now Admin\\./.test(words) || /That was not done|No access/.test(words);";
    let began = std::time::Instant::now();
    while window.execute(ANSWERED, vec![]).await != true {
        assert!(began.elapsed() < crate::site::TIMEOUT, "no response");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}
