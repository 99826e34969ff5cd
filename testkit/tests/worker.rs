//! The mail server, its mailbox and the worker.
#![allow(clippy::unwrap_used)]

use guestlist::{Actor, Clock, Database, Guestlist, Invite, Key, KeyRing, Organization, User};
use guestlist_testkit::smtp::{Action, Script};
use guestlist_testkit::{ManualClock, SmtpServer, TestWorker};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A client that sends lines and reads replies of one line.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &SmtpServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        Self(BufReader::new(stream.unwrap()))
    }

    async fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    async fn say(&mut self, line: &str) -> String {
        let line = format!("{line}\r\n");
        self.0.write_all(line.as_bytes()).await.unwrap();
        self.reply().await
    }

    /// Sends a letter and returns the reply to its final dot.
    async fn send(&mut self, to: &str, text: &str) -> String {
        self.say("MAIL FROM:<team@acme.example>").await;
        self.say(&format!("RCPT TO:<{to}>")).await;
        self.say("DATA").await;
        self.say(&format!("{text}\r\n.")).await
    }
}

#[tokio::test]
async fn scripted_replies_are_sent_in_order_and_then_the_correct_ones() {
    let server = Script::default()
        .on("RCPT", Action::Reply("550 5.1.1 no such user"))
        .on("RCPT", Action::Reply("450 4.2.1 later"))
        .on("RSET", Action::ReplyAndHangUp("421 4.3.2 closing"))
        .start()
        .await
        .unwrap();
    let mut client = Client::connect(&server).await;
    assert_eq!(client.reply().await, "220 test ESMTP");
    let mut replies = Vec::new();
    for _ in 0..3 {
        client.say("MAIL FROM:<team@acme.example>").await;
        replies.push(client.say("RCPT TO:<bob@acme.example>").await);
    }
    assert_eq!(
        replies,
        ["550 5.1.1 no such user", "450 4.2.1 later", "250 2.1.5 Ok"]
    );
    assert_eq!(client.say("RSET").await, "421 4.3.2 closing");
    assert_eq!(client.reply().await, "", "the connection is closed");
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!((seen.connections, seen.heard("RCPT TO:<bob@")), (1, 3));
}

#[tokio::test]
async fn mailbox_holds_accepted_letters_by_recipient() {
    let script = Script::default().on("END", Action::Reply("554 5.6.0 malformed"));
    let server = script.start().await.unwrap();
    let mut client = Client::connect(&server).await;
    client.reply().await;
    let letter = |n: u8| format!("Subject: {n}\r\n\r\nhttps://acme.example/{n}\r\n..dot");
    assert_eq!(
        client.send("bob@acme.example", &letter(1)).await,
        "554 5.6.0 malformed"
    );
    for (n, to) in [
        (2, "bob@acme.example"),
        (3, "ann@acme.example"),
        (4, "bob@acme.example"),
    ] {
        assert!(client.send(to, &letter(n)).await.starts_with("250"));
    }
    let mailbox = server.mailbox();
    let subjects = |to| {
        mailbox
            .letters_to(to)
            .into_iter()
            .map(|letter| letter.subject)
    };
    assert_eq!(subjects("BOB@acme.example").collect::<Vec<_>>(), ["2", "4"]);
    let last = mailbox.wait_for("bob@acme.example").await;
    assert_eq!(last.link(), Some("https://acme.example/4"));
    assert!(last.text.contains("\n.dot"), "{last:?}");
    assert_eq!(mailbox.last_to("eve@acme.example"), None);
    assert_eq!(server.count(), 4, "the refused one was received too");
}

#[tokio::test]
async fn held_reply_waits_for_its_release() {
    let script = Script::default().on("CONNECT", Action::Hold);
    let server = script.start().await.unwrap();
    let mut client = Client::connect(&server).await;
    server.until(|seen| seen.connections == 1).await;
    server.release();
    assert_eq!(client.reply().await, "220 test ESMTP");
}

#[tokio::test]
async fn two_servers_do_not_collide_and_a_dropped_one_is_gone() {
    let (one, other) = (
        SmtpServer::start().await.unwrap(),
        SmtpServer::start().await.unwrap(),
    );
    assert_ne!(one.port(), other.port());
    let mut client = Client::connect(&one).await;
    client.reply().await;
    let taken = Script::default().start_on(one.port()).await.unwrap_err();
    assert!(
        taken.to_string().contains(&one.port().to_string()),
        "{taken}"
    );
    let port = one.port();
    drop(one);
    let mut rest = Vec::new();
    let end = client.0.read_to_end(&mut rest).await;
    assert_eq!(end.unwrap_or(0), 0, "an open connection ends too");
    TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
    Client::connect(&other).await.reply().await;
}

#[test]
#[should_panic(expected = "RCTP is none of")]
fn misspelt_command_is_refused() {
    let _ = Script::default().on("RCTP", Action::HangUp);
}

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
    let script = Script::default().on("RCPT", Action::Reply("550 5.1.1 no such user"));
    let mail = script.start().await.unwrap();
    app.invite("bob@acme.example").await;
    let worker = TestWorker::new(&app.database, &app.guestlist, &mail);
    worker.run_until_idle().await.unwrap();
    assert_eq!(mail.mailbox().last_to("bob@acme.example"), None);
    mail.mailbox().last_to("olivia@acme.example").unwrap();
}
