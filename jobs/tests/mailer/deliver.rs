use std::time::Duration;

use guestlist_jobs::mailer::{BackOff, Deadlines, Gate, Verdict};
use guestlist_testkit::smtp::{Script, Stage};

use crate::{accepted, clear, deadlines, mail, mail_to, mailer, mailer_with, until_gate};

#[tokio::test]
async fn letter_arrives_unchanged() {
    let server = Script::default().start().await.unwrap();
    let verdict = mailer(&server).send(mail()).await;
    assert_eq!(
        verdict,
        Verdict::Accepted {
            reply: "250 2.0.0 Ok: queued as 1".into()
        }
    );
    let seen = server.seen();
    assert_eq!(seen.texts(), [String::from_utf8(mail().bytes).unwrap()]);
    assert_eq!(
        seen.commands[1..],
        [
            "MAIL FROM:<team@example.org>",
            "RCPT TO:<bob@example.com>",
            "DATA"
        ]
    );
}

/// The verdict on a letter, by the server's reply and the verb.
#[tokio::test]
async fn each_reply_is_attributed_to_server_sender_or_recipient() {
    for (verb, reply, expected) in [
        (Stage::Connect, "421 4.3.2 too busy", "server"),
        (Stage::Connect, "554 go away", "ours"),
        (Stage::Ehlo, "451 later", "server"),
        (Stage::Mail, "421 4.7.0 closing", "server"),
        (Stage::Mail, "530 5.7.0 sign in first", "ours"),
        (Stage::Mail, "451 4.3.0 queue unwritable", "server"),
        (Stage::Rcpt, "450 4.2.0 greylisted", "deferred"),
        (Stage::Rcpt, "451 4.7.1 greylisted", "deferred"),
        (Stage::Rcpt, "452 4.2.2 full", "deferred"),
        (Stage::Rcpt, "550 5.1.1 no such user", "refused"),
        (Stage::Rcpt, "553 what a name", "refused"),
        (Stage::Rcpt, "550 5.7.1 relay denied", "ours"),
        (Stage::Rcpt, "452 4.3.1 disk full", "server"),
        (Stage::Data, "554 5.5.1 no valid recipients", "ours"),
        (Stage::End, "552 too big", "letter"),
        (Stage::End, "554 5.6.0 malformed", "letter"),
        (Stage::End, "451 4.3.0 try later", "server"),
        (Stage::End, "450 later", "deferred"),
        (Stage::End, "550 5.7.1 spam", "ours"),
        (Stage::End, "251 forwarded", "unknown"),
        (Stage::Data, "250 fine", "server"),
    ] {
        for script in crate::with_and_without_pipelining() {
            let server = script.on(verb, reply).start().await.unwrap();
            let verdict = mailer(&server).send(mail()).await;
            assert_eq!(blamed(&verdict), expected, "{reply} to {verb}: {verdict:?}");
            assert!(format!("{verdict:?}").contains(reply), "{verdict:?}");
        }
    }
}

fn blamed(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted { .. } => "nobody",
        Verdict::Unavailable { .. } => "gate",
        Verdict::ServerFault { .. } => "server",
        Verdict::Deferred { .. } => "deferred",
        Verdict::Refused { .. } => "refused",
        Verdict::LetterFault { .. } => "letter",
        Verdict::Ours { .. } => "ours",
        Verdict::Unknown { .. } => "unknown",
        verdict => unreachable!("{verdict:?}"),
    }
}

#[tokio::test]
async fn refused_connection_pauses_the_mailer() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mailer = mailer_with(
        &format!("smtp://127.0.0.1:{port}?tls=none"),
        1,
        Deadlines::default(),
    );
    let Verdict::ServerFault { retry_after, .. } = mailer.send(mail()).await else {
        panic!()
    };
    assert!(!retry_after.is_zero());
    let Verdict::Unavailable { retry_after } = mailer.send(mail()).await else {
        panic!()
    };
    assert!(!retry_after.is_zero());
}

#[tokio::test]
async fn paused_mailer_sends_nothing_and_one_probe_resumes_it() {
    let server = Script::default()
        .on(Stage::Connect, "421 busy")
        .on(Stage::Connect, "421 busy")
        .on(Stage::Rcpt, "550 5.1.1 gone")
        .start()
        .await
        .unwrap();
    let mut deadlines = deadlines();
    deadlines.back_off = BackOff::new(Duration::from_millis(200), Duration::from_millis(400));
    let mailer = mailer_with(&clear(&server), 4, deadlines);
    assert_eq!(blamed(&mailer.send(mail()).await), "server");
    for _ in 0..10 {
        assert_eq!(blamed(&mailer.send(mail()).await), "gate");
    }
    assert_eq!(server.seen().connections, 1);
    until_gate(&mailer, Gate::Probe).await;
    let many = futures::future::join_all((0..10).map(|_| mailer.send(mail()))).await;
    let verdicts: Vec<_> = many.iter().map(blamed).collect();
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| **verdict == "server")
            .count(),
        1,
        "{verdicts:?}"
    );
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| **verdict == "gate")
            .count(),
        9,
        "{verdicts:?}"
    );
    until_gate(&mailer, Gate::Probe).await;
    assert_eq!(blamed(&mailer.send(mail()).await), "refused");
    assert_eq!(
        mailer.gate(),
        Gate::Open,
        "a refused recipient shows a working server"
    );
    assert!(accepted(&mailer.send(mail()).await));
}

#[tokio::test]
async fn waiting_letters_are_not_tried_after_a_pause() {
    let server = Script::default()
        .on(Stage::Rcpt, "421 closing")
        .start()
        .await
        .unwrap();
    let mailer = mailer_with(&clear(&server), 1, Deadlines::default());
    let verdicts = futures::future::join_all((0..10).map(|_| mailer.send(mail()))).await;
    let verdicts: Vec<_> = verdicts.iter().map(blamed).collect();
    assert_eq!(verdicts[0], "server");
    assert!(
        verdicts[1..].iter().all(|verdict| *verdict == "gate"),
        "{verdicts:?}"
    );
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn utf8_local_part_needs_smtputf8_and_delays_no_other() {
    let server = Script::default().offers("8BITMIME").start().await.unwrap();
    let mailer = mailer(&server);
    let Verdict::Refused { why } = mailer.send(mail_to("jürgen@example.com")).await else {
        panic!()
    };
    assert!(why.contains("SMTPUTF8"), "{why}");
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.heard("MAIL")), (1, 1));
}

#[tokio::test]
async fn smtputf8_and_8bitmime_are_used_if_offered() {
    let server = Script::default()
        .offers("8BITMIME")
        .offers("smtputf8")
        .start()
        .await
        .unwrap();
    let mut mail = mail_to("jürgen@example.com");
    mail.bytes = "Subject: Grüße\r\n\r\nhallo\r\n".into();
    assert!(accepted(&mailer(&server).send(mail).await));
    let seen = server.seen();
    assert_eq!(
        seen.heard("MAIL FROM:<team@example.org> SMTPUTF8 BODY=8BITMIME"),
        1,
        "{seen:?}"
    );
    assert_eq!(seen.heard("RCPT TO:<jürgen@example.com>"), 1);
}

#[tokio::test]
async fn eight_bit_text_is_not_sent_to_a_seven_bit_server() {
    let server = Script::default().start().await.unwrap();
    let mut mail = mail();
    mail.bytes = "Grüße\r\n".into();
    assert_eq!(blamed(&mailer(&server).send(mail).await), "letter");
    assert_eq!(server.seen().heard("MAIL"), 0);
}

#[tokio::test]
async fn reply_is_shown_without_the_recipients_address() {
    let reply = "550 5.1.1 <bob@example.com>: unknown";
    let server = Script::default()
        .on(Stage::Rcpt, reply)
        .start()
        .await
        .unwrap();
    let Verdict::Refused { why } = mailer(&server).send(mail()).await else {
        panic!()
    };
    assert_eq!(why, "RCPT was refused: 550 5.1.1 <b…@example.com>: unknown");
}

#[tokio::test]
async fn check_sends_no_letter() {
    let server = Script::default().offers("SMTPUTF8").start().await.unwrap();
    let report = mailer(&server).check().await.unwrap();
    let expected = format!(
        "127.0.0.1:{} (test): not encrypted, not signed in, SMTPUTF8",
        server.port()
    );
    assert_eq!(report.to_string(), expected);
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!((seen.heard("QUIT"), seen.heard("MAIL")), (1, 0));
}

#[tokio::test]
async fn sixteen_senders_work_at_once() {
    let server = Script::default().start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 16, deadlines());
    let verdicts = futures::future::join_all((0..500).map(|_| mailer.send(mail()))).await;
    assert!(verdicts.iter().all(accepted));
    let seen = server.seen();
    assert_eq!(seen.letters.len(), 500);
    assert!(seen.connections <= 16, "{}", seen.connections);
}
