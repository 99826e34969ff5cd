//! Limits on password attempts.

use crate::browser::{Browser, Page};
use crate::site::{PASSWORD, Site, link_in};

async fn sign_in(browser: &mut Browser, email: &str, password: &str) -> Page {
    let page = browser.open("/sign-in").await;
    let typed = [("email", email), ("password", password)];
    browser.press(&page, "Sign in", &typed).await
}

/// Checks that a page says when to try again, and returns the rest of its text.
fn must_say_wait(page: &Page) -> String {
    assert_eq!(page.status, 429, "{}", page.text());
    let seconds = page.retry_after.as_deref().unwrap();
    assert!((1..=60).contains(&seconds.parse().unwrap()), "{seconds}");
    let words = match seconds {
        "1" => "Try again in a second.".to_owned(),
        more => format!("Try again in {more} seconds."),
    };
    page.must_say(&words);
    page.text().replace(&words, "")
}

#[tokio::test]
async fn any_address_is_blocked_after_ten_attempts() {
    let site = Site::embedded(&[]).await;
    site.sign_up("Bob", "bob@acme.example").await;
    let mut answers = Vec::new();
    for email in ["bob@acme.example", "eve@acme.example"] {
        for _ in 0..10 {
            let page = sign_in(&mut site.browser(), email, "not the password").await;
            assert_eq!(page.status, 422);
        }
        // The limit ignores case, and blocks the right password too.
        let page = sign_in(&mut site.browser(), &email.to_uppercase(), PASSWORD).await;
        answers.push(must_say_wait(&page));
    }
    assert_eq!(answers[0], answers[1]);
    site.sign_up("Olivia", "olivia@acme.example").await;
    site.sign_in("olivia@acme.example").await;
}

#[tokio::test]
async fn attempts_on_the_invitation_page_count_as_well() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    site.sign_up("Bob", "bob@acme.example").await;
    let invite = format!("/organizations/{acme}/settings/team/invitations");
    let fields = [("emails", "bob@acme.example"), ("role", "agent")];
    olivia.force(&invite, &fields).await;
    let link = link_in(&site.letter_to("bob@acme.example", "invited you").await);
    let mut bob = site.browser();
    let invitation = bob.open(&link).await;
    let wrong = [("password", "not the password")];
    for _ in 0..10 {
        let page = bob.press(&invitation, "Sign in to accept", &wrong).await;
        page.must_say("password is wrong");
    }
    let right = [("password", PASSWORD)];
    must_say_wait(&bob.press(&invitation, "Sign in to accept", &right).await);
    must_say_wait(&sign_in(&mut site.browser(), "bob@acme.example", PASSWORD).await);
}

#[tokio::test]
async fn a_client_is_known_by_the_entry_of_the_proxy() {
    let site = Site::embedded(&[("TEAM_CLIENT_HEADER", "X-Forwarded-For")]).await;
    let mut guest = site.browser();
    // More than the burst of a hundred, since attempts are added again while the test runs.
    for attempt in 0..150 {
        guest.forward_for(&format!("203.0.113.{attempt}, 198.51.100.1"));
        let email = format!("person-{attempt}@acme.example");
        let page = sign_in(&mut guest, &email, "not the password").await;
        if attempt < 100 {
            assert_eq!(page.status, 422, "{attempt}: {}", page.text());
        } else if page.status == 429 {
            break;
        }
    }
    guest.forward_for("203.0.113.1, 198.51.100.1");
    must_say_wait(&sign_in(&mut guest, "ada@acme.example", "not the password").await);
    let email = "bob@acme.example";
    guest.forward_for("198.51.100.1, 198.51.100.2");
    let page = sign_in(&mut guest, email, "not the password").await;
    assert_eq!(page.status, 422);
}
