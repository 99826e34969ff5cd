//! Invitation links that are no longer valid.

use crate::fixture::PASSWORD;
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Site};
use guestlist::Actor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_link_says_what_to_do_next() {
    let site = Site::embedded(FOUR_TIER).await;
    let olivia = site.person("Olivia").await;
    let acme = site.organization("Acme", &olivia).await;
    let mut links = Vec::new();
    for name in ["expired", "cancelled", "replaced", "declined", "used"] {
        let invited = site
            .invite(acme, &olivia, &site.address(name), "agent")
            .await;
        links.push((invited.id, site.link(&invited)));
    }
    let [expired, cancelled, replaced, declined, used] = &links[..] else {
        unreachable!("five");
    };

    for name in ["expired", "replaced"] {
        site.expire(&site.address(name)).await;
    }
    let mut tx = site.begin().await;
    let guestlist = &site.guestlist;
    let done = guestlist
        .act(Actor::member(&olivia.id))
        .revoke(&mut tx, cancelled.0)
        .await;
    done.unwrap();
    let done = guestlist
        .act(Actor::member(&olivia.id))
        .resend(&mut tx, replaced.0)
        .await;
    done.unwrap();
    let token = declined.1.rsplit('/').next().unwrap();
    guestlist.decline(&mut tx, token).await.unwrap();
    tx.commit().await.unwrap();
    let window = site.window().await;
    window.open(&used.1).await;
    window.write_account("Uma", PASSWORD).await;
    window.press("Set password and accept").await;
    window.says("Welcome!").await;
    window.press("Sign out").await;
    window.says("You are signed out.").await;

    let unknown = format!("{}/invitations/nonsense", site.url);
    for (name, link, title, next) in [
        (
            "expired",
            &expired.1,
            "has expired",
            "Ask the person who invited you to send it again.",
        ),
        (
            "cancelled",
            &cancelled.1,
            "was cancelled",
            "Ask the organization",
        ),
        (
            "replaced",
            &replaced.1,
            "was replaced",
            "Look for it in your mailbox.",
        ),
        (
            "declined",
            &declined.1,
            "was declined",
            "ask the person who invited you for a new one",
        ),
        ("used", &used.1, "was accepted", "sign in to continue"),
        (
            "unknown",
            &unknown,
            "is not valid",
            "ask the person who invited you for a new invitation",
        ),
    ] {
        window.open(link).await;
        window.says(title).await;
        window.says(next).await;
        // The URL does not contain the token.
        assert_eq!(window.path().await, "/invitation", "{name}");
        assert_eq!(window.controls().await, ["Sign in"], "{name}");
        check_page(&window, &format!("link-{name}")).await;
    }

    // A link that was shown to a member is valid but does not prove the address.
    let email = site.address("shown");
    let shown = site.invite(acme, &olivia, &email, "agent").await;
    site.show_link(&shown).await;
    window.open(&site.link(&shown)).await;
    window
        .says("does not prove that the address is yours.")
        .await;
    let offered = ["Sign up", "E-mail address", "Your password"];
    let offered = [&offered[..], &["Sign in to accept", "Decline"]].concat();
    assert_eq!(window.controls().await, offered);
    check_page(&window, "link-shown").await;
}
