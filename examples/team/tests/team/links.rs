//! The page of an invitation link, for each visitor and each state of the invitation.

use guestlist::{Database, InvitationId, OrganizationId, Paging};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use std::io;
use std::sync::{Arc, Mutex};

use crate::browser::{Browser, Page};
use crate::site::{PASSWORD, Site, link_in, wait_until_says};

/// An organization with its owner's browser.
struct Team {
    site: Site,
    olivia: Browser,
    acme: OrganizationId,
    path: String,
}

impl Team {
    async fn on(variables: &[(&str, &str)]) -> Self {
        let site = Site::embedded(variables).await;
        let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
        let acme = site.create_organization(&mut olivia, "Acme").await;
        Self {
            site,
            olivia,
            acme,
            path: format!("/organizations/{acme}/settings/team"),
        }
    }

    /// Invites an address with the lowest role and returns the link of the letter.
    async fn invite(&mut self, email: &str) -> String {
        let before = self.site.letters_to(email, "invited you").len();
        let page = self.olivia.open(&self.path).await;
        let typed = [
            ("emails", email),
            ("role", "agent"),
            ("locale", "en"),
            ("message", ""),
        ];
        let page = self
            .olivia
            .press(&page, "Send the invitations", &typed)
            .await;
        page.must_say(&format!("{email}: Invited."));
        link_in(
            &self
                .site
                .nth_letter_to(email, "invited you", before + 1)
                .await,
        )
    }

    async fn pending(&self) -> Vec<InvitationId> {
        let mut connection = self.site.database.acquire().await.unwrap();
        let paging = Paging::default();
        let page = self
            .site
            .guestlist
            .pending(&mut connection, self.acme, &paging)
            .await
            .unwrap();
        page.items.iter().map(|invitation| invitation.id).collect()
    }
}

/// Creates an account on the page of an invitation.
pub(crate) async fn set_password(browser: &mut Browser, page: &Page) -> Page {
    let typed = [
        ("name", "Guest"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    browser.press(page, "Set password and accept", &typed).await
}

#[tokio::test]
async fn opening_a_link_changes_nothing() {
    let mut team = Team::on(&[]).await;
    let link = team.invite("bob@acme.example").await;
    let before = team.pending().await;
    for _ in 0..3 {
        let page = team.site.browser().open(&link).await;
        page.must_say("Olivia invites you to Acme as Agent");
        assert!(
            !page.html.contains(token_of(&link)),
            "the token is in the page"
        );
        reqwest::Client::new().head(&link).send().await.unwrap();
    }
    assert_eq!(team.pending().await, before);
    assert_eq!(before.len(), 1);
}

fn token_of(link: &str) -> &str {
    link.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_used_link_leads_to_sign_in() {
    let mut team = Team::on(&[]).await;
    let link = team.invite("bob@acme.example").await;
    let mut bob = team.site.browser();
    let page = bob.open(&link).await;
    set_password(&mut bob, &page).await.must_say("Welcome!");
    let page = team.site.browser().open(&link).await;
    assert_eq!(page.status, 409);
    page.must_say("This invitation was accepted");
    assert!(page.offers("Sign in"));
    bob.open(&link)
        .await
        .must_say("This invitation was accepted");
}

#[tokio::test]
async fn a_closed_or_unknown_link_says_what_to_do() {
    let mut team = Team::on(&[("GUESTLIST_LIMITS", "none")]).await;
    let cancelled = team.invite("bob@acme.example").await;
    let page = team.olivia.open(&team.path.clone()).await;
    let page = team
        .olivia
        .press(&page, "Cancel the invitation for bob@acme.example", &[])
        .await;
    page.must_say("Its link no longer works.");
    let page = team.site.browser().open(&cancelled).await;
    page.must_say("This invitation was cancelled");

    let declined = team.invite("eve@acme.example").await;
    let mut eve = team.site.browser();
    let page = eve.open(&declined).await;
    eve.press(&page, "Decline", &[])
        .await
        .must_say("You declined");
    let page = eve.open(&declined).await;
    page.must_say("This invitation was declined");
    page.must_say("ask the person who invited you for a new one");

    for unknown in ["AAAA", &"x".repeat(5_000)] {
        let page = team
            .site
            .browser()
            .open(&format!("/invitations/{unknown}"))
            .await;
        page.must_say("This link is not valid");
        page.must_say("Open it again from the e-mail");
    }
}

#[tokio::test]
async fn a_resent_invitation_replaces_an_expired_link() {
    let mut team = Team::on(&[("GUESTLIST_TTL", "3s"), ("GUESTLIST_LIMITS", "none")]).await;
    let old = team.invite("bob@acme.example").await;
    let mut bob = team.site.browser();
    wait_until_says(&mut bob, &old, "This invitation has expired").await;
    let page = team.olivia.open(&team.path.clone()).await;
    page.must_say("bob@acme.example Expired Agent, invited by Olivia");
    team.olivia
        .press(&page, "Resend to bob@acme.example", &[])
        .await
        .must_say("Another e-mail");
    bob.open(&old).await.must_say("There is a newer e-mail");
}

#[tokio::test]
async fn a_copied_link_is_recorded_in_the_history() {
    let mut team = Team::on(&[]).await;
    let link = team.invite("bob@acme.example").await;
    let page = team.olivia.open(&team.path.clone()).await;
    let page = team
        .olivia
        .press(&page, "Copy link for bob@acme.example", &[])
        .await;
    assert!(page.html.contains(token_of(&link)));
    let page = team
        .olivia
        .open(&format!("/organizations/{}/settings/history", team.acme))
        .await;
    page.must_say("Olivia viewed the invitation link for bob@acme.example.");
}

#[tokio::test]
async fn a_copied_link_creates_no_account() {
    let mut team = Team::on(&[]).await;
    let link = team.invite("bob@acme.example").await;
    let mut early = team.site.browser();
    let before = early.open(&link).await;
    assert!(before.offers("Set password and accept"));
    let page = team.olivia.open(&team.path.clone()).await;
    let copy = "Copy link for bob@acme.example";
    let page = team.olivia.press(&page, copy, &[]).await;
    page.must_say("a person without an account must confirm that address first");

    // Another visitor with the same link, for example Olivia in another browser.
    let mut guest = team.site.browser();
    let page = guest.open(&link).await;
    page.must_say("it does not prove that the address is yours");
    assert!(!page.offers("Set password and accept"));
    let page = set_password(&mut early, &before).await;
    assert_eq!(page.status, 422);
    page.must_say("This link does not prove that the address is yours.");
    let page = guest.open("/sign-in").await;
    let typed = [("email", "bob@acme.example"), ("password", PASSWORD)];
    let page = guest.press(&page, "Sign in", &typed).await;
    page.must_say("password is wrong");

    // Bob proves the address by signing up.
    let mut bob = team.site.sign_up("Bob", "bob@acme.example").await;
    let page = bob.open(&link).await;
    bob.press(&page, "Accept", &[]).await.must_say("Welcome!");
}

#[tokio::test]
async fn another_account_switches_and_signs_in_to_accept() {
    let mut team = Team::on(&[]).await;
    team.site.sign_up("Bob", "bob@acme.example").await;
    let link = team.invite("Bob@ACME.example").await;
    let page = team.olivia.open(&link).await;
    page.must_say("You are signed in as olivia@acme.example");
    assert!(!page.offers("Accept"));
    let page = team.olivia.press(&page, "Switch account", &[]).await;
    assert_eq!(page.path, "/invitation");
    let page = team
        .olivia
        .press(
            &page,
            "Sign in to accept",
            &[("password", "wrong password")],
        )
        .await;
    page.must_say("password is wrong");
    let page = team
        .olivia
        .press(&page, "Sign in to accept", &[("password", PASSWORD)])
        .await;
    page.must_say("Welcome! Your role is Agent.");
    page.must_say("Bob bob@acme.example");
}

#[tokio::test]
async fn an_invitation_does_not_replace_a_password() {
    let mut team = Team::on(&[]).await;
    team.site.sign_up("Bob", "bob@acme.example").await;
    let link = team.invite("bob@acme.example").await;
    let mut guest = team.site.browser();
    let page = guest.open(&link).await;
    let typed = [
        ("name", "Mallory"),
        ("password", "another password"),
        ("again", "another password"),
    ];
    let page = guest.press(&page, "Set password and accept", &typed).await;
    assert_eq!(page.status, 422);
    let page = guest
        .press(
            &page,
            "Sign in to accept",
            &[("password", "another password")],
        )
        .await;
    page.must_say("password is wrong");
    let page = guest
        .press(&page, "Sign in to accept", &[("password", PASSWORD)])
        .await;
    page.must_say("Welcome!");
}

#[tokio::test]
async fn sign_up_and_sign_in_reveal_no_accounts() {
    let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
    site.sign_up("Bob", "bob@acme.example").await;
    let mut pages = Vec::new();
    for email in ["bob@acme.example", "eve@acme.example"] {
        let mut guest = site.browser();
        let page = guest.open("/sign-up").await;
        let asked = guest
            .press(&page, "Send me an e-mail", &[("email", email)])
            .await;
        let page = guest.open("/sign-in").await;
        let typed = [("email", email), ("password", "wrong password")];
        let refused = guest.press(&page, "Sign in", &typed).await;
        let texts = [asked, refused].map(|page| (page.status, page.text().replace(email, "…")));
        pages.push(texts);
    }
    assert_eq!(pages[0], pages[1]);
    site.letter_to("eve@acme.example", "Your account").await;
}

#[tokio::test]
async fn a_link_of_another_installation_is_not_valid() {
    let mut here = Team::on(&[]).await;
    let there = Team::on(&[]).await;
    let link = here.invite("bob@acme.example").await;
    let link = link.replace(&here.site.url, &there.site.url);
    there
        .site
        .browser()
        .open(&link)
        .await
        .must_say("This link is not valid");
}

#[tokio::test]
async fn a_mailbox_gets_one_sign_up_letter_a_minute() {
    let site = Site::embedded(&[]).await;
    let mut guest = site.browser();
    for email in [
        "eve@acme.example",
        "Eve@acme.example",
        "e.ve+1@acme.example",
    ] {
        let page = guest.open("/sign-up").await;
        let page = guest
            .press(&page, "Send me an e-mail", &[("email", email)])
            .await;
        page.must_say("Check your e-mail");
    }
    let asked = "SELECT count(*) FROM team_confirmations";
    let (asked,): (i64,) = match &site.database {
        Database::Postgres(pool) => sqlx::query_as(asked).fetch_one(pool).await,
        Database::Sqlite(pool) => sqlx::query_as(asked).fetch_one(pool).await,
        _ => unreachable!("neither Postgres nor SQLite"),
    }
    .unwrap();
    assert_eq!(asked, 1);
}

/// The response deletes the cookie even though browsers do not send it to this path.
#[tokio::test]
async fn an_invalid_token_deletes_the_cookie() {
    let site = Site::embedded(&[]).await;
    let long = "a".repeat(2000);
    for (link, name, path) in [
        ("/invitations", "team_invitation", "/invitation"),
        ("/sign-up", "team_sign_up", "/sign-up"),
    ] {
        for token in [
            "a%3B%20Domain=acme.example",
            "a%20b",
            "a%0Ab",
            "%C3%A9",
            &long,
        ] {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            let address = format!("{}{link}/{token}", site.url);
            let answer = client.build().unwrap().get(address).send().await.unwrap();
            let cookies = answer.headers().get_all("set-cookie").iter();
            let cookies: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
            let over = format!("{name}=; Path={path}; Max-Age=0");
            let is_over = |cookie: &&str| cookie.starts_with(&over);
            assert!(cookies.iter().all(is_over), "{token}: {cookies:?}");
            assert_eq!(cookies.len(), 1, "{token}: {cookies:?}");
        }
    }
}

/// A log writer whose output a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_token_and_no_password_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_env_filter(EnvFilter::new(
            "info,team=trace,tower_http=trace,tower_sessions=debug",
        ));
    let _default = tracing::subscriber::set_default(subscriber.finish());
    let mut team = Team::on(&[]).await;
    let link = team.invite("bob@acme.example").await;
    let mut bob = team.site.browser();
    let page = bob.open(&link).await;
    set_password(&mut bob, &page).await.must_say("Welcome!");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("/invitations/{token}"),
        "the requests are logged: {log}"
    );
    let confirmation = link_in(
        &team
            .site
            .letter_to("olivia@acme.example", "Your account")
            .await,
    );
    for secret in [token_of(&link), token_of(&confirmation), PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
