//! Requests while the database does not respond.

use std::time::{Duration, Instant};

use guestlist::Transaction;

use crate::deployment::{Deployment, in_both_deployments};

in_both_deployments! {
    a_request_times_out_when_the_database_does_not_respond
}

/// Shorter than people, or a router in front, wait.
const LIMIT: Duration = Duration::from_secs(20);

async fn a_request_times_out_when_the_database_does_not_respond(deployment: Deployment) {
    let site = deployment.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let inbox = format!("/organizations/{acme}/inbox");
    let page = olivia.open(&inbox).await;

    let mut lock = site.database.begin().await.unwrap();
    match &mut lock {
        Transaction::Postgres(tx) => {
            let lock = sqlx::query("LOCK TABLE team_notes");
            lock.execute(&mut **tx).await.unwrap();
        }
        // An SQLite transaction locks the whole database.
        Transaction::Sqlite(_) => {}
        _ => unreachable!("neither Postgres nor SQLite"),
    }
    let began = Instant::now();
    let late = olivia
        .press(&page, "Write the note", &[("text", "Was anybody here?")])
        .await;
    assert_eq!(late.status, 503, "{}", late.text());
    assert!(
        began.elapsed() < LIMIT,
        "timed out after {:?}",
        began.elapsed()
    );
    late.must_say("database did not respond in time");
    drop(lock);

    let page = olivia
        .press(&page, "Write the note", &[("text", "Now it answers")])
        .await;
    page.must_say("Now it answers");
    assert!(!page.says("Was anybody here?"));
}
