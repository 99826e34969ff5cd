//! The delivery of letters in plain words on the team page.

use chrono::{TimeDelta, Utc};
use guestlist::{Bounce, BounceEffect, BounceKind, Database, InvitationId, worker};

use crate::browser::Browser;
use crate::site::{Site, wait_until_says};

/// Invites an address on a team page, and returns the invitation.
async fn invite(site: &Site, inviter: &mut Browser, team: &str, email: &str) -> InvitationId {
    let fields = [("emails", email), ("role", "agent")];
    let page = inviter.force(&format!("{team}/invitations"), &fields).await;
    page.must_say(&format!("{email}: Invited."));
    let Database::Sqlite(pool) = &site.database else {
        unreachable!("an embedded site is on SQLite");
    };
    const NEWEST: &str = "SELECT id FROM guestlist_invitations ORDER BY id DESC LIMIT 1";
    let (id,): (InvitationId,) = sqlx::query_as(NEWEST).fetch_one(pool).await.unwrap();
    id
}

#[tokio::test]
async fn paused_bounced_and_suppressed_letters_are_told_in_plain_words() {
    let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let team = async |name: &str, browser: &mut Browser| {
        let organization = site.create_organization(browser, name).await;
        format!("/organizations/{organization}/settings/team")
    };
    let acme = team("Acme", &mut olivia).await;
    let invitation = invite(&site, &mut olivia, &acme, "bob@acme.example").await;
    wait_until_says(&mut olivia, &acme, "E-mail sent").await;

    let sender = "bounces@acme.example".parse().unwrap();
    let sender = site
        .guestlist
        .envelope_sender(&sender, invitation, 1)
        .unwrap();
    let letter = site.guestlist.sent_letter(sender.as_str()).unwrap();
    let mut bounce = Bounce::new(BounceKind::Hard);
    bounce.diagnostic = Some("550 5.1.1 no such user".to_owned());
    let mut tx = site.database.begin().await.unwrap();
    let effect = site.guestlist.record_bounce(&mut tx, letter, &bounce).await;
    tx.commit().await.unwrap();
    assert_eq!(effect.unwrap(), BounceEffect::Suppressed);
    let page = olivia.open(&acme).await;
    page.must_say("E-mail came back: 550 5.1.1 no such user.");

    let other = team("Other", &mut olivia).await;
    invite(&site, &mut olivia, &other, "bob@acme.example").await;
    let told = "No e-mail sent: the address cannot be reached by mail; hand over the link.";
    let page = wait_until_says(&mut olivia, &other, told).await;
    assert!(
        !page.says("5.1.1"),
        "nothing of the other organization shows"
    );

    let Database::Sqlite(pool) = &site.database else {
        unreachable!("an embedded site is on SQLite");
    };
    let queue = "UPDATE guestlist_invitations SET delivery = 'queued', delivery_detail = NULL, bounced_at = NULL";
    sqlx::query(queue).execute(pool).await.unwrap();
    let now = Utc::now();
    let mut tx = site.database.begin().await.unwrap();
    let until = now + TimeDelta::minutes(1);
    worker::pause_mail(&mut tx, now, until, "worker-1", "421 later")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let page = olivia.open(&acme).await;
    page.must_say("E-mail waits, because sending is paused for everybody.");
}
