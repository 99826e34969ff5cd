//! Connections that are refused, limited or lost.

use std::time::Duration;

use guestlist_testkit::SmtpServer;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;

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
