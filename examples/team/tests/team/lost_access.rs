//! Invitations and memberships whose ground is gone: who granted them, the room, the organization.

use guestlist::{OrganizationId, Role, User};

use crate::browser::Browser;
use crate::links::set_password;
use crate::site::{PASSWORD, Site, link_in};

/// An organization.
struct Team {
    site: Site,
    acme: OrganizationId,
}

impl Team {
    /// With the browser of its owner.
    async fn new() -> (Self, Browser) {
        let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
        let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
        let acme = site.found(&mut olivia, "Acme").await;
        (Self { site, acme }, olivia)
    }

    fn path(&self, rest: &str) -> String {
        format!("/organizations/{}/{rest}", self.acme)
    }

    /// Signs somebody up, makes them a member, and returns their browser.
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

    /// The link that an inviter has mailed to an address.
    async fn invite(&self, inviter: &mut Browser, email: &str) -> String {
        let fields = [("emails", email), ("role", "agent")];
        let path = self.path("settings/team/invitations");
        let page = inviter.force(&path, &fields).await;
        page.must_say(&format!("{email}: Invited."));
        link_in(&self.site.letter_to(email, "invited you to Acme").await)
    }

    /// Has somebody do something to a member.
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

    /// Sees that nobody can sign in with an address.
    async fn has_no_account(&self, email: &str) {
        let mut browser = self.site.browser();
        let page = browser.open("/sign-in").await;
        let typed = [("email", email), ("password", PASSWORD)];
        let page = browser.press(&page, "Sign in", &typed).await;
        page.must_say("do not go together");
    }
}

#[tokio::test]
async fn whoever_may_not_invite_any_more_admits_nobody_until_another_sends_it_again() {
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
            page.must_say("This invitation does not hold any more");
            page.must_say("Ask the organization for a new invitation.");
            assert!(!page.offers("Set password and accept"));
        }
        team.has_no_account(&email).await;

        let page = olivia.open(&team.path("settings/team")).await;
        let resend = format!("Resend to {email}");
        olivia.press(&page, &resend, &[]).await;
        let page = guest.open(&link).await;
        page.must_say("Olivia invites you to Acme as Agent");
        set_password(&mut guest, &page).await.must_say("Welcome!");
    }
}

#[tokio::test]
async fn without_a_seat_nobody_comes_in_until_there_is_one() {
    let (team, mut olivia) = Team::new().await;
    let link = team.invite(&mut olivia, "bob@acme.example").await;
    team.set_seats(Some(1)).await;

    let mut bob = team.site.browser();
    let page = bob.open(&link).await;
    let page = set_password(&mut bob, &page).await;
    assert_eq!(page.status, 409);
    page.must_say("There is no seat left");
    page.must_say("Ask who invited you to make some, then open the link again.");
    team.has_no_account("bob@acme.example").await;
    let mut signed_in = team.site.sign_up("Bob", "bob@acme.example").await;
    let page = signed_in.open(&link).await;
    let page = signed_in.press(&page, "Accept", &[]).await;
    page.must_say("There is no seat left");

    // The owner reads it where they invite.
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
async fn an_organization_that_is_gone_is_as_if_it_had_never_been() {
    let (team, mut olivia) = Team::new().await;
    // Her session is needed for another.
    team.site.found(&mut olivia, "Other").await;
    let link = team.invite(&mut olivia, "bob@acme.example").await;
    let mut bob = team.site.browser();
    let before = bob.open(&link).await;

    let owner = team.site.account("olivia@acme.example").await;
    let mut tx = team.site.database.begin().await.unwrap();
    let deleted = team
        .site
        .guestlist
        .act(&owner)
        .in_organization(team.acme)
        .delete(&mut tx)
        .await;
    deleted.unwrap();
    tx.commit().await.unwrap();

    for page in [set_password(&mut bob, &before).await, bob.open(&link).await] {
        assert!(page.status.is_client_error(), "{}", page.status);
        page.must_say("This link is not valid");
    }
    team.has_no_account("bob@acme.example").await;
    for page in ["inbox", "settings/team", "settings/history"] {
        let page = olivia.open(&team.path(page)).await;
        assert_eq!(page.status, 403);
        page.must_say("You have no access to this organization.");
    }
}

#[tokio::test]
async fn a_suspended_member_has_no_page_of_the_organization_until_they_are_reinstated() {
    let (team, mut olivia) = Team::new().await;
    let mut bob = team.member("Bob", "admin").await;
    let other = team.site.found(&mut bob, "Other").await;
    let pages = ["inbox", "settings/team", "settings/history"];
    team.act(&mut olivia, "bob@acme.example", "suspend", &[])
        .await;
    for page in pages {
        let page = bob.open(&team.path(page)).await;
        assert_eq!(page.status, 403);
        page.must_say("somebody removed or suspended you; ask one of its owners.");
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
