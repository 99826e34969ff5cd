//! A database that does not answer.

use std::time::{Duration, Instant};

use guestlist::Transaction;

use crate::deployment::{Setting, in_both_settings};

in_both_settings! {
    a_request_whose_database_does_not_answer_is_given_up_and_does_nothing
}

/// Before people, or a router in front, give up.
const SOON: Duration = Duration::from_secs(20);

async fn a_request_whose_database_does_not_answer_is_given_up_and_does_nothing(setting: Setting) {
    let site = setting.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.found(&mut olivia, "Acme").await;
    let inbox = format!("/organizations/{acme}/inbox");
    let page = olivia.open(&inbox).await;

    let mut lock = site.database.begin().await.unwrap();
    match &mut lock {
        Transaction::Postgres(tx) => {
            let lock = sqlx::query("LOCK TABLE team_notes");
            lock.execute(&mut **tx).await.unwrap();
        }
        // It has the whole database.
        Transaction::Sqlite(_) => {}
    }
    let began = Instant::now();
    let late = olivia
        .press(&page, "Write the note", &[("text", "Was anybody here?")])
        .await;
    assert_eq!(late.status, 503, "{}", late.text());
    assert!(
        began.elapsed() < SOON,
        "given up after {:?}",
        began.elapsed()
    );
    late.must_say("the database does not answer in time");
    drop(lock);

    let page = olivia
        .press(&page, "Write the note", &[("text", "Now it answers")])
        .await;
    page.must_say("Now it answers");
    assert!(!page.says("Was anybody here?"));
}
