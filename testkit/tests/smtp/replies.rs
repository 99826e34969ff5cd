//! The replies of the server, scripted and correct ones.

use std::time::Duration;

use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;

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
async fn held_reply_waits_for_its_release() {
    let script = Script::default().on(Stage::Connect, Action::Hold);
    let server = script.start().await.unwrap();
    let mut client = Client::connect(&server).await;
    server.until(|seen| seen.connections == 1).await;
    server.release();
    assert_eq!(client.reply().await, "220 test ESMTP");
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
async fn letters_above_the_rate_get_its_reply() {
    let throttled = "454 Throttling failure: Maximum sending rate exceeded.";
    let rule = Rule::new(Stage::End, throttled).above_rate(0);
    let server = Script::default().rule(rule).start().await.unwrap();
    let mut client = Client::greeted(&server).await;
    assert_eq!(client.send("bob@acme.example", "").await, throttled);
    assert_eq!(server.mailbox().last_to("bob@acme.example"), None);
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
