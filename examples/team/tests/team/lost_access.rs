//! Invitations and memberships that lose their effect: the inviter lost the right, no seat is free, the organization
//! was deleted, the member was suspended.

use guestlist::{Actor, OrganizationId, Role, User};

use crate::browser::Browser;
use crate::links::set_password;
use crate::site::{PASSWORD, Site, link_in};

/// An organization on a site of its own.
struct Team {
    site: Site,
    acme: OrganizationId,
}

impl Team {
    /// Creates the organization and returns the browser of its owner as well.
    async fn new() -> (Self, Browser) {
        let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
        let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
        let acme = site.create_organization(&mut olivia, "Acme").await;
        (Self { site, acme }, olivia)
    }

    fn path(&self, rest: &str) -> String {
        format!("/organizations/{}/{rest}", self.acme)
    }

    /// Creates an account and a membership, and returns the member's browser.
    async fn member(&self, name: &str, role: &str) -> Browser {
        let email = format!("{}@acme.example", name.to_lowercase());
        self.site.sign_up(name, &email).await;
        let owner = self.site.account("olivia@acme.example").await;
        let user = User::new(self.site.account(&email).await, email.parse().unwrap());
        let user = user.named(name.parse().unwrap());
        let role: Role = role.parse().unwrap();
        self.site.join(self.acme, &owner, user, &role).await;
        self.site.sign_in(&email).await
    }

    /// Invites an address and returns the link of the letter.
    async fn invite(&self, inviter: &mut Browser, email: &str) -> String {
        let fields = [("emails", email), ("role", "agent")];
        let path = self.path("settings/team/invitations");
        let page = inviter.force(&path, &fields).await;
        page.must_say(&format!("{email}: Invited."));
        link_in(&self.site.letter_to(email, "invited you to Acme").await)
    }

    /// Posts an action on a member.
    async fn act(&self, by: &mut Browser, email: &str, action: &str, fields: &[(&str, &str)]) {
        let member = self.site.account(email).await;
        let path = self.path(&format!("settings/team/members/{member}/{action}"));
        assert_eq!(by.force(&path, fields).await.status, 200);
    }

    async fn set_seats(&self, seats: Option<u32>) {
        let mut tx = self.site.database.begin().await.unwrap();
        let set = self
            .site
            .guestlist
            .act(guestlist::Actor::host("a test".parse().unwrap()))
            .in_organization(self.acme)
            .set_seats(&mut tx, seats)
            .await;
        set.unwrap();
        tx.commit().await.unwrap();
    }

    /// Checks that an address has no account with the password of the tests.
    async fn must_have_no_account(&self, email: &str) {
        let mut browser = self.site.browser();
        let page = browser.open("/sign-in").await;
        let typed = [("email", email), ("password", PASSWORD)];
        let page = browser.press(&page, "Sign in", &typed).await;
        page.must_say("password is wrong");
    }
}

#[tokio::test]
async fn an_inviter_without_the_right_admits_nobody() {
    let (team, mut olivia) = Team::new().await;
    for (name, action, fields) in [
        ("Ada", "role", vec![("role", "agent")]),
        ("Ben", "suspend", vec![]),
        ("Cleo", "remove", vec![]),
    ] {
        let inviter = format!("{}@acme.example", name.to_lowercase());
        let email = format!("guest-of-{inviter}");
        let mut browser = team.member(name, "admin").await;
        let link = team.invite(&mut browser, &email).await;
        let mut guest = team.site.browser();
        let before = guest.open(&link).await;
        before.must_say(&format!("{name} invites you to Acme as Agent"));

        team.act(&mut olivia, &inviter, action, &fields).await;
        let refused = [
            set_password(&mut guest, &before).await,
            guest.open(&link).await,
        ];
        for page in refused {
            assert_eq!(page.status, 409, "{action}");
            page.must_say("This invitation is no longer valid");
            page.must_say("Ask the organization for a new invitation.");
            assert!(!page.offers("Set password and accept"));
        }
        team.must_have_no_account(&email).await;

        let page = olivia.open(&team.path("settings/team")).await;
        let resend = format!("Resend to {email}");
        olivia.press(&page, &resend, &[]).await;
        let page = guest.open(&link).await;
        page.must_say("Olivia invites you to Acme as Agent");
        set_password(&mut guest, &page).await.must_say("Welcome!");
    }
}

#[tokio::test]
async fn accepting_needs_a_free_seat() {
    let (team, mut olivia) = Team::new().await;
    let link = team.invite(&mut olivia, "bob@acme.example").await;
    team.set_seats(Some(1)).await;

    let mut bob = team.site.browser();
    let page = bob.open(&link).await;
    let page = set_password(&mut bob, &page).await;
    assert_eq!(page.status, 409);
    page.must_say("There is no seat left");
    page.must_say("Ask the person who invited you to free one, then open the link again.");
    team.must_have_no_account("bob@acme.example").await;
    let mut signed_in = team.site.sign_up("Bob", "bob@acme.example").await;
    let page = signed_in.open(&link).await;
    let page = signed_in.press(&page, "Accept", &[]).await;
    page.must_say("There is no seat left");

    // The owner sees the same reason when inviting.
    let fields = [("emails", "eve@acme.example"), ("role", "agent")];
    let invite = team.path("settings/team/invitations");
    let page = olivia.force(&invite, &fields).await;
    page.must_say("eve@acme.example: The only seat is taken.");

    team.set_seats(None).await;
    let page = signed_in.open(&link).await;
    signed_in
        .press(&page, "Accept", &[])
        .await
        .must_say("Welcome!");
}

#[tokio::test]
async fn a_deleted_organization_is_not_accessible() {
    let (team, mut olivia) = Team::new().await;
    // Keeps her session alive after the deletion.
    team.site.create_organization(&mut olivia, "Other").await;
    let link = team.invite(&mut olivia, "bob@acme.example").await;
    let mut bob = team.site.browser();
    let before = bob.open(&link).await;

    let owner = team.site.account("olivia@acme.example").await;
    let mut tx = team.site.database.begin().await.unwrap();
    let deleted = team
        .site
        .guestlist
        .act(Actor::member(&owner))
        .in_organization(team.acme)
        .delete(&mut tx)
        .await;
    deleted.unwrap();
    tx.commit().await.unwrap();

    for page in [set_password(&mut bob, &before).await, bob.open(&link).await] {
        assert!(page.status.is_client_error(), "{}", page.status);
        page.must_say("This link is not valid");
    }
    team.must_have_no_account("bob@acme.example").await;
    for page in ["inbox", "settings/team", "settings/history"] {
        let page = olivia.open(&team.path(page)).await;
        assert_eq!(page.status, 403);
        page.must_say("You have no access to this organization.");
    }
}

#[tokio::test]
async fn a_suspended_member_has_no_access_until_reinstated() {
    let (team, mut olivia) = Team::new().await;
    let mut bob = team.member("Bob", "admin").await;
    let other = team.site.create_organization(&mut bob, "Other").await;
    let pages = ["inbox", "settings/team", "settings/history"];
    team.act(&mut olivia, "bob@acme.example", "suspend", &[])
        .await;
    for page in pages {
        let page = bob.open(&team.path(page)).await;
        assert_eq!(page.status, 403);
        page.must_say("you may have been removed or suspended. Ask one of its owners.");
        assert!(page.offers("Other") && page.offers("Sign out"));
        assert!(
            !page.says("Acme") && !page.says("olivia@"),
            "{}",
            page.text()
        );
    }
    let page = bob.open(&format!("/organizations/{other}/inbox")).await;
    page.must_say("Inbox of Other");

    let page = olivia.open(&team.path("settings/team")).await;
    page.must_say("Bob Suspended bob@acme.example");
    team.act(&mut olivia, "bob@acme.example", "reinstate", &[])
        .await;
    for page in pages {
        assert_eq!(bob.open(&team.path(page)).await.status, 200);
    }
}
