//! The main story, from sign-up to the end of a membership, with both role models in each deployment.

use crate::browser::{Browser, Page};
use crate::site::{PASSWORD, Site, link_in};

/// The role names of a role model that the story uses.
struct Roles {
    preset: &'static str,
    low: (&'static str, &'static str),
    high: (&'static str, &'static str),
}

const FOUR_TIER: Roles = Roles {
    preset: "four-tier",
    low: ("agent", "Agent"),
    high: ("admin", "Admin"),
};

const TWO_ROLE: Roles = Roles {
    preset: "two-role",
    low: ("user", "User"),
    high: ("admin", "Admin"),
};

#[tokio::test]
async fn four_tiers_in_a_single_process() {
    let site = Site::embedded(&[("GUESTLIST_ROLES", FOUR_TIER.preset)]).await;
    story(&site, &FOUR_TIER).await;
}

#[tokio::test]
async fn two_roles_in_a_single_process() {
    let site = Site::embedded(&[("GUESTLIST_ROLES", TWO_ROLE.preset)]).await;
    story(&site, &TWO_ROLE).await;
}

#[tokio::test]
async fn four_tiers_with_a_separate_worker() {
    let site = Site::distributed(&[("GUESTLIST_ROLES", FOUR_TIER.preset)]).await;
    story(&site, &FOUR_TIER).await;
}

#[tokio::test]
async fn four_tiers_on_postgres_without_redis() {
    let site = Site::without_redis(&[("GUESTLIST_ROLES", FOUR_TIER.preset)]).await;
    story(&site, &FOUR_TIER).await;
}

#[tokio::test]
async fn two_roles_with_a_separate_worker() {
    let site = Site::distributed(&[("GUESTLIST_ROLES", TWO_ROLE.preset)]).await;
    story(&site, &TWO_ROLE).await;
}

async fn story(site: &Site, roles: &Roles) {
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let team = format!("/organizations/{acme}/settings/team");

    let outcomes = invite(
        &mut olivia,
        &team,
        "bob@acme.example, eve@acme.example\nnonsense",
        roles.low.0,
    )
    .await;
    outcomes.must_say("bob@acme.example: Invited.");
    outcomes.must_say("eve@acme.example: Invited.");
    outcomes.must_say("nonsense: This is not an e-mail address");
    outcomes.must_say(&format!(
        "bob@acme.example {}, invited by Olivia",
        roles.low.1
    ));
    outcomes.must_say("Expires in 7 days.");
    crate::site::wait_until_says(&mut olivia, &team, "E-mail sent").await;

    // New people choose a password on the page of the link.
    let mut bob = site.browser();
    let page = bob
        .open(&invitation_of(site, "bob@acme.example").await)
        .await;
    assert_eq!(page.path, "/invitation", "the token is not in the URL");
    page.must_say(&format!("Olivia invites you to Acme as {}", roles.low.1));
    page.must_say("12 to 200 characters");
    let refused = set_password(&mut bob, &page, "Bob", "short").await;
    refused.must_say("The password is too short");
    let page = set_password(&mut bob, &refused, "Bob", PASSWORD).await;
    page.must_say(&format!("Welcome! Your role is {}.", roles.low.1));
    let inbox = page.path.clone();
    bob.press(&page, "Write the note", &[("text", "Bob was <b>here</b>")])
        .await;

    // The page offers only the actions that his role allows.
    let page = bob.open(&team).await;
    page.must_say("Your role is");
    for control in [
        "Send the invitations",
        "Settings: History",
        "Remove Olivia",
        "Suspend Olivia",
    ] {
        assert!(!page.offers(control), "{control}");
    }
    assert!(page.offers("Leave"));

    // Eve declines, is invited again with a higher role, and accepts.
    let mut eve = site.browser();
    let page = eve
        .open(&invitation_of(site, "eve@acme.example").await)
        .await;
    eve.press(&page, "Decline", &[])
        .await
        .must_say("You declined");
    invite(&mut olivia, &team, "eve@acme.example", roles.high.0)
        .await
        .must_say("Invited.");
    let page = eve
        .open(&nth_invitation_of(site, "eve@acme.example", 2).await)
        .await;
    let page = set_password(&mut eve, &page, "Eve", PASSWORD).await;
    page.must_say(&format!("Welcome! Your role is {}.", roles.high.1));

    // A change of role takes effect at once.
    let page = olivia.open(&team).await;
    let choice = format!("role-{}", site.account("bob@acme.example").await);
    assert!(
        page.choices(&choice)
            .iter()
            .any(|role| role == roles.high.0)
    );
    let his = bob.open(&team).await;
    assert!(his.choices(&choice).is_empty());
    // A member that may not change roles sees the last owner's role as plain text.
    assert!(!his.html.contains("<select"), "{}", his.html);
    assert!(!his.says("last owner"));
    let page = olivia
        .press(&page, "Change the role of Bob", &[("role", roles.high.0)])
        .await;
    page.must_say(&format!("The role of Bob is now {}.", roles.high.1));
    bob.open(&inbox)
        .await
        .must_say(&format!("Your role is {}.", roles.high.1));

    // Bob has an organization of his own and switches to it.
    let other = site.create_organization(&mut bob, "Other").await;
    let page = bob.open(&inbox).await;
    bob.follow(&page, "Other").await.must_say("Inbox of Other");

    // Bob is removed while his browser is open.
    let page = olivia.open(&team).await;
    let page = olivia.follow(&page, "Remove Bob").await;
    page.must_say("What they wrote stays, with their name.");
    let page = olivia.press(&page, "Remove Bob", &[]).await;
    page.must_say("Bob was removed");
    assert!(!page.says("bob@acme.example"));
    let page = bob.open(&inbox).await;
    assert_eq!(page.status, 403);
    page.must_say("You have no access to this organization.");
    assert!(page.offers("Sign out"));
    assert!(!page.offers("Acme"));
    let page = bob.follow(&page, "Other").await;
    assert_eq!(page.path, format!("/organizations/{other}/inbox"));
    page.must_say("Inbox of Other");
    let page = olivia.open(&inbox).await;
    page.must_say("Bob was <b>here</b>");
    page.must_say("Bob,");

    // Eve is in no other organization, so her session is deleted before the response.
    let session = eve.cookie("team_session").unwrap().to_owned();
    assert!(site.has_session(&session).await);
    let page = olivia.open(&team).await;
    let page = olivia.follow(&page, "Remove Eve").await;
    olivia
        .press(&page, "Remove Eve", &[])
        .await
        .must_say("Eve was removed");
    assert!(!site.has_session(&session).await);
    eve.open(&inbox).await.must_say("You are signed out.");

    // Bob returns with a new invitation and his old account, and becomes the owner.
    olivia_stays_owner(&mut olivia, &team).await;
    invite(&mut olivia, &team, "bob@acme.example", roles.high.0)
        .await
        .must_say("Invited.");
    let page = bob
        .open(&nth_invitation_of(site, "bob@acme.example", 2).await)
        .await;
    bob.press(&page, "Accept", &[]).await.must_say("Welcome!");
    let page = olivia.open(&team).await;
    let page = olivia
        .follow(&page, "Make owner: transfer the ownership to Bob")
        .await;
    page.must_say("Bob (bob@acme.example) becomes Owner of Acme, and you become Admin.");
    olivia
        .press(&page, "Transfer the ownership", &[])
        .await
        .must_say("Bob is now the owner.");
    let page = olivia.open(&team).await;
    let page = olivia.follow(&page, "Leave").await;
    olivia.press(&page, "Leave Acme", &[]).await;
    assert!(!olivia.open(&inbox).await.says("Inbox of Acme"));

    let page = bob
        .open(&format!("/organizations/{acme}/settings/history"))
        .await;
    for words in [
        "Olivia created Acme.",
        &format!("Olivia invited bob@acme.example as {}.", roles.low.1),
        "eve@acme.example declined the invitation.",
        &format!("Bob accepted the invitation as {}.", roles.low.1),
        &format!(
            "Olivia changed Bob from {} to {}.",
            roles.low.1, roles.high.1
        ),
        &format!("Olivia removed Bob, who was {}.", roles.high.1),
        "Olivia transferred ownership to Bob.",
        "Olivia became Admin.",
        "Olivia left.",
    ] {
        page.must_say(words);
    }
}

/// Checks that the last owner cannot leave, and that the page says why.
async fn olivia_stays_owner(olivia: &mut Browser, team: &str) {
    let page = olivia.open(team).await;
    page.must_say(
        "You are the last owner. The last owner cannot be removed, leave or get another role.",
    );
    assert!(!page.offers("Leave"));
    assert!(!page.offers("Change the role of Olivia"));
    assert!(page.html.contains("disabled aria-describedby=\"why-"));
    olivia
        .open(&format!("{team}/leave"))
        .await
        .must_say("Transfer the ownership");
    let page = olivia.force(&format!("{team}/leave"), &[]).await;
    assert_eq!(page.status, 409);
    page.must_say("An organization needs at least one owner");
}

async fn invite(browser: &mut Browser, team: &str, emails: &str, role: &str) -> Page {
    let page = browser.open(team).await;
    let typed = [
        ("emails", emails),
        ("role", role),
        ("locale", "en"),
        ("message", ""),
    ];
    browser.press(&page, "Send the invitations", &typed).await
}

async fn set_password(browser: &mut Browser, page: &Page, name: &str, password: &str) -> Page {
    let typed = [("name", name), ("password", password), ("again", password)];
    browser.press(page, "Set password and accept", &typed).await
}

async fn invitation_of(site: &Site, email: &str) -> String {
    link_in(&site.letter_to(email, "invited you to Acme").await)
}

/// Waits for the nth letter to an address and returns its link.
async fn nth_invitation_of(site: &Site, email: &str, count: usize) -> String {
    link_in(
        &site
            .nth_letter_to(email, "invited you to Acme", count)
            .await,
    )
}
