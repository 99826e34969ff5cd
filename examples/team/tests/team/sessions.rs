//! The life of sessions, and sessions of one person in several browsers.

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::Database;

use crate::browser::Browser;
use crate::deployment::{Deployment, in_both_deployments};
use crate::site::{Site, link_in, stored_id};

#[tokio::test]
async fn use_extends_a_session() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let session = stored_id(olivia.cookie("team_session").unwrap());
    let Database::Sqlite(pool) = &site.database else {
        unreachable!("the site is on SQLite");
    };
    // Makes the session look unused for a long time.
    let today = Utc::now().date_naive().to_string();
    let begun = "UPDATE team_sessions SET expires_at = $1, record = replace(record, $2, '2000-01-01') WHERE id = $3";
    let begun = sqlx::query(begun).bind(Utc::now() + TimeDelta::hours(1));
    let begun = begun.bind(today).bind(&session).execute(pool);
    assert_eq!(begun.await.unwrap().rows_affected(), 1);
    olivia.open("/organizations").await;
    let (ends,): (DateTime<Utc>,) =
        sqlx::query_as("SELECT expires_at FROM team_sessions WHERE id = $1")
            .bind(&session)
            .fetch_one(pool)
            .await
            .unwrap();
    assert!(
        ends > Utc::now() + TimeDelta::days(13),
        "it expires at {ends}"
    );
}

in_both_deployments! {
    removal_signs_out_every_browser_of_the_member
    nothing_stored_works_as_a_cookie
}

async fn nothing_stored_works_as_a_cookie(deployment: Deployment) {
    let site = deployment.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    site.create_organization(&mut olivia, "Acme").await;
    let cookie = olivia.cookie("team_session").unwrap().to_owned();
    let mut stored = site.stored_sessions().await;
    assert!(stored.contains(&stored_id(&cookie)), "{stored:?}");
    let recorded = site.texts("SELECT session FROM guestlist_sessions").await;
    assert_eq!(recorded, [stored_id(&cookie)]);
    stored.extend(recorded);
    stored.extend(site.texts("SELECT record FROM team_sessions").await);
    assert!(
        !stored.iter().any(|text| text.contains(&cookie)),
        "{stored:?}"
    );
    for text in stored {
        let mut thief = Browser::new(&site.url);
        thief.set_cookie(
            "team_session",
            &text.replace(|sign: char| sign.is_control() || sign == ';', ""),
        );
        thief.open("/organizations").await.must_say("Sign in");
    }
    olivia.open("/organizations").await.must_say("Acme");
}

async fn removal_signs_out_every_browser_of_the_member(deployment: Deployment) {
    let site = deployment.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    // Bob is signed in on his computer and accepts on his phone.
    let mut desk = site.sign_up("Bob", "bob@acme.example").await;
    let mut telephone = site.sign_in("bob@acme.example").await;
    let path = |rest: &str| format!("/organizations/{acme}/{rest}");
    let fields = [("emails", "bob@acme.example"), ("role", "agent")];
    olivia
        .force(&path("settings/team/invitations"), &fields)
        .await
        .must_say("Invited.");
    let letter = site.letter_to("bob@acme.example", "invited you").await;
    let page = telephone.open(&link_in(&letter)).await;
    telephone
        .press(&page, "Accept", &[])
        .await
        .must_say("Welcome!");
    desk.open(&path("inbox")).await.must_say("Inbox of Acme");

    let bob = site.account("bob@acme.example").await;
    let remove = path(&format!("settings/team/members/{bob}/remove"));
    olivia.force(&remove, &[]).await.must_say("Bob was removed");
    for browser in [&mut telephone, &mut desk] {
        let session = browser.cookie("team_session").unwrap().to_owned();
        assert!(!site.has_session(&session).await);
        browser
            .open(&path("inbox"))
            .await
            .must_say("You are signed out.");
    }
}
