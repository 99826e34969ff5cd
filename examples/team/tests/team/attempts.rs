//! Passwords are not tried for ever.

use crate::browser::{Browser, Page};
use crate::site::{PASSWORD, Site, link_in};

async fn sign_in(browser: &mut Browser, email: &str, password: &str) -> Page {
    let page = browser.open("/sign-in").await;
    let typed = [("email", email), ("password", password)];
    browser.press(&page, "Sign in", &typed).await
}

/// Sees that a page says when to try again, and returns what it says besides.
fn waits(page: &Page) -> String {
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
async fn an_address_is_refused_after_ten_attempts_with_an_account_or_without() {
    let site = Site::embedded(&[]).await;
    site.sign_up("Bob", "bob@acme.example").await;
    let mut answers = Vec::new();
    for email in ["bob@acme.example", "eve@acme.example"] {
        for _ in 0..10 {
            let page = sign_in(&mut site.browser(), email, "not the password").await;
            assert_eq!(page.status, 422);
        }
        // In whichever case it is written, and with the right password.
        let page = sign_in(&mut site.browser(), &email.to_uppercase(), PASSWORD).await;
        answers.push(waits(&page));
    }
    assert_eq!(answers[0], answers[1]);
    site.sign_up("Olivia", "olivia@acme.example").await;
    site.sign_in("olivia@acme.example").await;
}

#[tokio::test]
async fn attempts_at_an_invitation_count_with_those_at_sign_in() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.found(&mut olivia, "Acme").await;
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
        page.must_say("do not go together");
    }
    let right = [("password", PASSWORD)];
    waits(&bob.press(&invitation, "Sign in to accept", &right).await);
    waits(&sign_in(&mut site.browser(), "bob@acme.example", PASSWORD).await);
}

#[tokio::test]
async fn a_client_is_known_by_what_the_proxy_in_front_adds() {
    let site = Site::embedded(&[("TEAM_CLIENT_HEADER", "X-Forwarded-For")]).await;
    let mut guest = site.browser();
    // Some more than the hundred, for the time that passes meanwhile.
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
    waits(&sign_in(&mut guest, "ada@acme.example", "not the password").await);
    let email = "bob@acme.example";
    guest.forward_for("198.51.100.1, 198.51.100.2");
    let page = sign_in(&mut guest, email, "not the password").await;
    assert_eq!(page.status, 422);
}
