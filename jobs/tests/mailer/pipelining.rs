//! If a server accepts commands in groups (RFC 2920), the envelope of a letter is one group.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use guestlist_jobs::mailer::Verdict;
use guestlist_testkit::smtp::{Action, Script};

use crate::{accepted, mail, mailer, mailer_with};

fn pipelining() -> Script {
    Script::default().offers("PIPELINING")
}

#[tokio::test]
async fn envelope_is_sent_at_once_and_the_letter_after() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut heard = Vec::new();
        for (lines, reply) in [
            (0, "220 hi\r\n"),
            (1, "250-hi\r\n250 PIPELINING\r\n"),
            (3, "250 ok\r\n250 ok\r\n354 go\r\n"),
        ] {
            for _ in 0..lines {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                heard.push(line.trim_end().to_owned());
            }
            assert!(
                stream.buffer().is_empty(),
                "nothing of the letter comes before its 354"
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        let mut line = String::new();
        while line != ".\r\n" {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
        }
        stream.write_all(b"250 ok\r\n").await.unwrap();
        heard
    });
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let mailer = mailer_with(&url, 1, crate::deadlines());
    let sent = tokio::time::timeout(std::time::Duration::from_secs(30), mailer.send(mail()));
    assert!(accepted(
        &sent.await.expect("it does not wait between commands")
    ));
    let envelope = [
        "MAIL FROM:<team@example.org>",
        "RCPT TO:<bob@example.com>",
        "DATA",
    ];
    assert_eq!(server.await.unwrap()[1..], envelope);
}

#[tokio::test]
async fn replies_after_a_refusal_are_read_before_the_next_letter() {
    for (verb, reply) in [
        ("RCPT", "550 5.1.1 gone"),
        ("RCPT", "450 4.2.0 greylisted"),
        ("MAIL", "552 5.3.4 too big"),
        ("DATA", "554 5.6.0 not this one"),
    ] {
        let server = pipelining()
            .on(verb, Action::Reply(reply))
            .start()
            .await
            .unwrap();
        let mailer = mailer(&server);
        let verdict = mailer.send(mail()).await;
        assert!(format!("{verdict:?}").contains(reply), "{verdict:?}");
        assert!(
            accepted(&mailer.send(mail()).await),
            "after {reply} to {verb}"
        );
        let seen = server.seen();
        assert_eq!(
            (seen.connections, seen.letters.len()),
            (1, 1),
            "{reply} to {verb}"
        );
    }
}

#[tokio::test]
async fn server_asking_for_a_refused_letter_gets_none() {
    let server = pipelining()
        .on("RCPT", Action::Reply("550 5.1.1 gone"))
        .on("DATA", Action::Reply("354 go on"))
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let verdict = mailer.send(mail()).await;
    assert!(matches!(verdict, Verdict::Refused { .. }), "{verdict:?}");
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.letters.len()), (2, 1));
}

#[tokio::test]
async fn verdict_ignores_replies_after_a_refusal() {
    for behind in [
        Action::HangUp,
        Action::Reply("421 4.3.2 closing"),
        Action::Reply("nonsense"),
    ] {
        let server = pipelining()
            .on("RCPT", Action::Reply("550 5.1.1 gone"))
            .on("DATA", behind)
            .start()
            .await
            .unwrap();
        let mailer = mailer(&server);
        let verdict = mailer.send(mail()).await;
        assert!(
            matches!(verdict, Verdict::Refused { .. }),
            "{behind:?}: {verdict:?}"
        );
        assert!(accepted(&mailer.send(mail()).await), "{behind:?}");
        assert_eq!(server.seen().connections, 2, "{behind:?}");
    }
}
