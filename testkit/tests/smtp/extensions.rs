//! The greeting, sign-in and encryption.

use guestlist_testkit::smtp::{Action, Certificate, Script, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Client;

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
