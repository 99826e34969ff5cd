//! The letters that the server accepts.

use std::sync::{Arc, Mutex};

use guestlist_testkit::smtp::{Decision, Rule, Script, Stage};

use crate::client::Client;

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
