//! The worker and the clock.
#![allow(clippy::unwrap_used)]

use guestlist::{Actor, Clock, Database, Guestlist, Invite, Key, KeyRing, Organization, User};
use guestlist_testkit::smtp::{Script, Stage};
use guestlist_testkit::{ManualClock, SmtpServer, TestWorker};
use tempfile::TempDir;

/// An application on SQLite, whose clock the test moves.
struct Application {
    database: Database,
    guestlist: Guestlist,
    clock: ManualClock,
    owner: User,
    acme: Organization,
    _folder: TempDir,
}

impl Application {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "sqlite://{}?mode=rwc",
            folder.path().join("app.db").display()
        );
        let database = Database::connect(&url, 4).await.unwrap();
        guestlist::migrate(&database).await.unwrap();
        let clock = ManualClock::starting_at(chrono::Utc::now());
        let guestlist = Guestlist::builder()
            .key_ring(KeyRing::of(Key::generate()))
            .clock(Clock::from(&clock))
            .build();
        let owner = User::new(
            "olivia".parse().unwrap(),
            "olivia@acme.example".parse().unwrap(),
        );
        let mut tx = database.begin().await.unwrap();
        let acme = guestlist.create(&mut tx, "Acme".parse().unwrap(), &owner);
        let acme = acme.await.unwrap();
        tx.commit().await.unwrap();
        Self {
            database,
            guestlist,
            clock,
            owner,
            acme,
            _folder: folder,
        }
    }

    async fn invite(&self, address: &str) {
        let mut tx = self.database.begin().await.unwrap();
        let invite = Invite::new(address.parse().unwrap(), "agent".parse().unwrap());
        let acting = self.guestlist.act(Actor::member(&self.owner.id));
        acting
            .in_organization(self.acme.id)
            .invite(&mut tx, invite)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn worker_runs_again_and_again_and_follows_the_clock() {
    let app = Application::new().await;
    let mail = SmtpServer::start().await.unwrap();
    let worker = TestWorker::new(&app.database, &app.guestlist, &mail);
    worker.run_until_idle().await.unwrap();
    assert_eq!(mail.count(), 0);
    for address in ["bob@acme.example", "ann@acme.example"] {
        app.invite(address).await;
        assert_eq!(mail.mailbox().last_to(address), None, "not before it runs");
        worker.run_until_idle().await.unwrap();
        let letter = mail.mailbox().last_to(address).unwrap();
        let link = letter.link().unwrap();
        assert!(link.starts_with("https://app.example/join/"), "{link}");
    }
    app.clock.advance(chrono::TimeDelta::days(8));
    worker.run_until_idle().await.unwrap();
    let told = mail.mailbox().last_to("olivia@acme.example").unwrap();
    assert!(told.subject.contains("expired"), "{told:?}");
}

#[tokio::test]
async fn refused_recipient_leaves_the_worker_idle() {
    let app = Application::new().await;
    let script = Script::default().on(Stage::Rcpt, "550 5.1.1 no such user");
    let mail = script.start().await.unwrap();
    app.invite("bob@acme.example").await;
    let worker = TestWorker::new(&app.database, &app.guestlist, &mail);
    worker.run_until_idle().await.unwrap();
    assert_eq!(mail.mailbox().last_to("bob@acme.example"), None);
    // The refusal has to be confirmed, since the server has accepted no other letter.
    app.clock.advance(chrono::TimeDelta::minutes(1));
    worker.run_until_idle().await.unwrap();
    mail.mailbox().last_to("bob@acme.example").unwrap();
}
