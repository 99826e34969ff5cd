//! The scripted mail server and its mailbox.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use guestlist_testkit::SmtpServer;
use guestlist_testkit::smtp::{Action, Certificate, Decision, Rule, Script, Stage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A client that sends lines and reads replies.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &SmtpServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        Self(BufReader::new(stream.unwrap()))
    }

    /// Connects and reads the greeting.
    async fn greeted(server: &SmtpServer) -> Self {
        let mut client = Self::connect(server).await;
        assert_eq!(client.reply().await, "220 test ESMTP");
        client
    }

    /// Reads a reply, whose lines are joined by `|`; an empty one is the end of the connection.
    async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let _ = self.0.read_line(&mut line).await;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if is_last {
                return lines.join("|");
            }
        }
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
        .on(Stage::Rcpt, "550 5.1.1 no such user")
        .on(Stage::Rcpt, "450 4.2.1 later")
        .on(Stage::Rset, Action::reply_and_hang_up("421 4.3.2 closing"))
        .start()
        .await
        .unwrap();
    let mut client = Client::greeted(&server).await;
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
    let script = Script::default().on(Stage::End, "554 5.6.0 malformed");
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
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
    let script = Script::default().on(Stage::Connect, Action::Hold);
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
    let mut client = Client::greeted(&one).await;
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
    Client::greeted(&other).await;
}

#[tokio::test]
async fn commands_behind_a_held_reply_are_seen() {
    let script = Script::default().on(Stage::Mail, Action::Hold);
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    let group = "MAIL FROM:<team@acme.example>\r\nRCPT TO:<bob@acme.example>\r\nDATA\r\n";
    client.0.write_all(group.as_bytes()).await.unwrap();
    let seen = server.until(|seen| seen.commands.len() == 3).await;
    assert_eq!(seen.commands[2], "DATA");
    server.release();
    for reply in ["250 2.1.0 Ok", "250 2.1.5 Ok", "354 go on"] {
        assert_eq!(client.reply().await, reply);
    }
    assert_eq!(server.seen().commands.len(), 3, "none is counted twice");
}

#[tokio::test]
async fn rules_come_and_go_while_the_server_runs() {
    let script = Script::default().rule(Rule::new(Stage::Rcpt, "550 5.1.1 gone").to("gone"));
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    server.add_rule(Rule::new(Stage::End, "452-4.3.1 disk\r\n452 4.3.1 full"));
    client.say("MAIL FROM:<team@acme.example>").await;
    assert_eq!(
        client.say("RCPT TO:<gone@acme.example>").await,
        "550 5.1.1 gone"
    );
    assert_eq!(client.say("DATA").await, "554 5.5.1 no valid recipients");
    let refused = client.send("bob@gone.example", "Subject: 1\r\n").await;
    assert_eq!(refused, "452-4.3.1 disk|452 4.3.1 full");
    server.clear_rules();
    assert!(
        client
            .send("gone@acme.example", "")
            .await
            .starts_with("250")
    );
}

#[tokio::test]
async fn every_third_connection_is_not_greeted() {
    let rule = Rule::new(Stage::Connect, Action::Stall).every(3);
    let server = Script::default().rule(rule).start().await.unwrap();
    Client::greeted(&server).await;
    Client::greeted(&server).await;
    let mut third = Client::connect(&server).await;
    server.until(|seen| seen.connections == 3).await;
    Client::greeted(&server).await;
    third.0.write_all(b"QUIT\r\n").await.unwrap();
    third.0.get_mut().shutdown().await.unwrap();
    assert_eq!(third.reply().await, "", "not even an answer to QUIT");
}

#[tokio::test]
async fn surplus_connection_is_refused_until_one_ends() {
    let refusal = Action::reply_and_hang_up("421 4.7.0 too many connections");
    let rule = Rule::new(Stage::Connect, refusal).above_connections(2);
    let server = Script::default().rule(rule).start().await.unwrap();
    let (_one, two) = (
        Client::greeted(&server).await,
        Client::greeted(&server).await,
    );
    let mut three = Client::connect(&server).await;
    assert_eq!(three.reply().await, "421 4.7.0 too many connections");
    assert_eq!(three.reply().await, "");
    drop(two);
    server.until(|seen| seen.closed == 2).await;
    Client::greeted(&server).await;
}

#[tokio::test]
async fn letters_above_the_rate_get_its_reply() {
    let throttled = "454 Throttling failure: Maximum sending rate exceeded.";
    let rule = Rule::new(Stage::End, throttled).above_rate(0);
    let server = Script::default().rule(rule).start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(client.send("bob@acme.example", "").await, throttled);
    assert_eq!(server.mailbox().last_to("bob@acme.example"), None);
}

#[tokio::test]
async fn server_without_ehlo_knows_helo() {
    let script = Script::default().always(Stage::Ehlo, "502 5.5.1 not implemented");
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(client.say("EHLO me").await, "502 5.5.1 not implemented");
    assert_eq!(client.say("helo me").await, "250 test");
    assert_eq!(client.say("VRFY bob").await, "500 5.5.2 what?");
}

#[tokio::test]
async fn extensions_are_listed_and_the_size_is_limited() {
    let script = Script::default().offers("PIPELINING").offers("SMTPUTF8");
    let server = script.size_limit(20).start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(
        client.say("EHLO me").await,
        "250-test|250-PIPELINING|250-SMTPUTF8|250 SIZE 20"
    );
    let too_big = "552 5.3.4 message too big";
    assert_eq!(client.say("MAIL FROM:<a@b.example> SIZE=21").await, too_big);
    assert!(
        client
            .say("MAIL FROM:<a@b.example> SIZE=20")
            .await
            .starts_with("250")
    );
    assert_eq!(
        client.send("bob@acme.example", "0123456789012345678").await,
        too_big
    );
    assert!(
        client
            .send("bob@acme.example", "012345678901234567")
            .await
            .starts_with("250")
    );
    assert_eq!(server.mailbox().letters_to("bob@acme.example").len(), 1);
}

#[tokio::test]
async fn every_mechanism_signs_in_with_the_password() {
    // In base64: \0me\0secret, \0me\0guess, me, secret, user=me^Aauth=Bearer secret^A^A, the same with guess.
    let (plain, guess) = ("AG1lAHNlY3JldA==", "AG1lAGd1ZXNz");
    let (token, guessed) = (
        "dXNlcj1tZQFhdXRoPUJlYXJlciBzZWNyZXQBAQ==",
        "dXNlcj1tZQFhdXRoPUJlYXJlciBndWVzcwEB",
    );
    let (welcome, bad) = ("235 2.7.0 welcome", "535 5.7.8 bad credentials");
    for (offer, dialogue) in [
        (
            "AUTH PLAIN",
            vec![
                (format!("AUTH PLAIN {guess}"), bad),
                (format!("AUTH PLAIN {plain}"), welcome),
            ],
        ),
        (
            "AUTH PLAIN",
            vec![("AUTH PLAIN".into(), "334"), (plain.into(), welcome)],
        ),
        (
            "AUTH=LOGIN",
            vec![
                ("AUTH LOGIN".into(), "334 VXNlcm5hbWU6"),
                ("bWU=".into(), "334 UGFzc3dvcmQ6"),
                ("c2VjcmV0".into(), welcome),
            ],
        ),
        (
            "AUTH XOAUTH2",
            vec![
                (
                    format!("AUTH XOAUTH2 {guessed}"),
                    "334 eyJzdGF0dXMiOiI0MDEifQ==",
                ),
                (String::new(), bad),
                (format!("AUTH XOAUTH2 {token}"), welcome),
            ],
        ),
    ] {
        let script = Script::default().offers(offer).requires_auth();
        let server = script.start().await.unwrap();
        let mut client = Client::greeted(&server).await;
        assert_eq!(client.say("AUTH CRAM-MD5").await, "504 5.5.4 not offered");
        assert_eq!(
            client.say("MAIL FROM:<a@b.example>").await,
            "530 5.7.0 sign in first"
        );
        for (line, reply) in dialogue {
            assert_eq!(client.say(&line).await, reply, "{offer}: {line}");
        }
        client.send("bob@acme.example", "").await;
        assert_eq!(
            server.seen().letters[0].user.as_deref(),
            Some("me"),
            "{offer}"
        );
    }
}

#[tokio::test]
async fn nothing_goes_before_tls_where_it_is_required() {
    let certificate = Certificate::generate().unwrap();
    assert!(certificate.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    let script = Script::default()
        .offers("AUTH PLAIN")
        .start_tls(&certificate);
    let server = script.requires_tls().start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(
        client.say("EHLO me").await,
        "250-test|250-STARTTLS|250 SIZE 0"
    );
    for line in ["AUTH PLAIN AG1lAHNlY3JldA==", "MAIL FROM:<a@b.example>"] {
        assert_eq!(
            client.say(line).await,
            "530 5.7.0 must issue STARTTLS first"
        );
    }
    assert_eq!(client.say("STARTTLS").await, "220 2.0.0 go ahead");
}

#[tokio::test]
async fn handshake_breaks_after_starttls() {
    let script = Script::default()
        .offers("STARTTLS")
        .on(Stage::StartTls, Action::BreakHandshake);
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(client.say("STARTTLS").await, "220 2.0.0 go ahead");
    client.0.write_all(&[22]).await.unwrap();
    let mut alert = Vec::new();
    client.0.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 40]);
}

#[tokio::test]
async fn connection_drops_at_any_stage() {
    use Stage::*;
    for stage in [
        Connect, Ehlo, Helo, StartTls, Mail, Rcpt, Data, Body, End, Rset, Quit,
    ] {
        for action in [
            Action::HangUp,
            Action::Lose,
            Action::StallFor(Duration::from_millis(1)),
        ] {
            let is_lost = stage == Body || action == Action::Lose;
            let script = Script::default().on(stage, action);
            let server = script.start().await.unwrap();
            let mut client = Client::connect(&server).await;
            let session = "EHLO me\r\nHELO me\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@acme.example>\r\n\
                           DATA\r\nSubject: Hi\r\n\r\n.\r\nSTARTTLS\r\n";
            let session = if stage == Quit {
                session.replace("STARTTLS", "QUIT")
            } else {
                session.to_owned()
            };
            let _ = client.0.write_all(session.as_bytes()).await;
            let seen = server.until(|seen| seen.closed == 1).await;
            let is_due = matches!(stage, StartTls | Quit) || (stage == End && !is_lost);
            let accepted = seen.letters.iter().filter(|letter| letter.is_accepted());
            assert_eq!(accepted.count(), usize::from(is_due), "{stage}: {seen:?}");
            assert_eq!(
                server.mailbox().letters_to("bob@acme.example").len(),
                usize::from(is_due)
            );
        }
    }
}

#[tokio::test]
async fn slow_and_late_replies_are_complete() {
    let pause = Duration::from_millis(2);
    let server = Script::default()
        .on(Stage::Ehlo, Action::ReplySlowly(pause))
        .on(Stage::End, Action::ReplyLate(pause))
        .start()
        .await
        .unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(client.say("EHLO me").await, "250-test|250 SIZE 0");
    assert_eq!(
        client.send("bob@acme.example", "").await,
        "250 2.0.0 Ok: queued as 1"
    );
}

#[tokio::test]
async fn closed_server_opens_on_its_port_again() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    server.open().await.unwrap_err();
    server.close().await;
    assert_eq!(client.reply().await, "");
    TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap_err();
    server.open().await.unwrap();
    let mut client = Client::greeted(&server).await;
    client.send("bob@acme.example", "").await;
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!((seen.connections, seen.letters.len()), (2, 1));
}

#[tokio::test]
async fn decisions_are_recorded_before_the_reply() {
    let record = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&record);
    let script = Script::default()
        .rule(Rule::new(Stage::Rcpt, "550 5.1.1 gone").to("gone"))
        .forgets()
        .before_reply(move |decision| {
            let line = match decision {
                Decision::Accepted(letter) => format!("{}: {}", letter.to, letter.text()),
                Decision::Refused { to, reply, .. } => format!("{to}: {reply}"),
                _ => unreachable!("{decision:?}"),
            };
            let lines = Arc::clone(&lines);
            async move {
                tokio::task::yield_now().await;
                let is_full = line.contains("full");
                lines.lock().unwrap().push(line);
                if is_full {
                    Err(std::io::Error::other("disk full"))
                } else {
                    Ok(())
                }
            }
        });
    let server = script.start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<a@b.example>").await;
    assert_eq!(
        client.say("RCPT TO:<gone@acme.example>").await,
        "550 5.1.1 gone"
    );
    assert_eq!(
        *record.lock().unwrap(),
        ["gone@acme.example: 550 5.1.1 gone"]
    );
    assert!(
        client
            .send("bob@acme.example", "..")
            .await
            .starts_with("250")
    );
    assert_eq!(record.lock().unwrap()[1], "bob@acme.example: .\r\n");
    assert_eq!(
        client.send("ann@acme.example", "full").await,
        "",
        "no reply"
    );
    let seen = server.seen();
    assert!(
        seen.letters.is_empty() && seen.commands.is_empty(),
        "{seen:?}"
    );
    assert_eq!(seen.connections, 1);
}
