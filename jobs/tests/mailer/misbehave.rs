use std::time::Duration;

use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::{Mailer, MailerSettings, Verdict, VerdictClass};
use guestlist_testkit::smtp::{Action, Script, SmtpServer, Stage};

use crate::{accepted, clear, mail, mailer, mailer_with, settings, with_and_without_pipelining};

const SHORT: Duration = Duration::from_millis(50);

const UNTIL_ACCEPTED: [Stage; 6] = [
    Stage::Connect,
    Stage::Ehlo,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::End,
];

/// Settings of which only this deadline is short, so that only it can end the wait.
fn short_deadline_at(stage: Stage) -> MailerSettings {
    let mut settings = settings();
    let deadlines = &mut settings.deadlines;
    match stage {
        Stage::Connect => deadlines.greeting = SHORT,
        Stage::Ehlo | Stage::Mail => deadlines.mail = SHORT,
        Stage::Rcpt => deadlines.rcpt = SHORT,
        Stage::Data => deadlines.data = SHORT,
        Stage::Body => deadlines.block = SHORT,
        Stage::End => deadlines.end = SHORT,
        _ => unreachable!("{stage} has no deadline of its own"),
    }
    settings
}

/// A letter larger than the buffers of two sockets, so that the writer blocks if the reader stops.
fn big_mail() -> Mail {
    let mut mail = mail();
    mail.bytes = b"0123456789 0123456789 0123456789\r\n".repeat(1_000_000);
    mail
}

async fn bounded(mailer: &Mailer, mail: Mail) -> Verdict {
    tokio::time::timeout(Duration::from_secs(30), mailer.send(mail))
        .await
        .expect("a deadline ends the send")
}

#[tokio::test]
async fn stall_at_any_verb_ends_at_its_deadline() {
    for stage in UNTIL_ACCEPTED {
        for script in with_and_without_pipelining() {
            let server = script.on(stage, Action::Stall).start().await.unwrap();
            let mailer = mailer_with(&clear(&server), 1, short_deadline_at(stage));
            let verdict = bounded(&mailer, mail()).await;
            match stage {
                // Another connection is opened for the letter.
                Stage::Connect | Stage::Ehlo => assert!(accepted(&verdict), "{verdict:?}"),
                Stage::End => assert!(verdict.class == VerdictClass::Unknown, "{verdict:?}"),
                _ => assert!(
                    verdict.class == VerdictClass::ServerFault,
                    "{stage}: {verdict:?}"
                ),
            }
            // A second connection may have missed its short deadline too.
            server.until(|seen| seen.closed >= 1).await;
        }
    }
}

#[tokio::test]
async fn stall_within_a_letter_ends_at_the_block_deadline() {
    // The server does not read: the kernel accepts the bytes until its buffer is full.
    let stalled = Action::StallFor(Duration::from_secs(60));
    let server = Script::default()
        .on(Stage::Body, stalled)
        .start()
        .await
        .unwrap();
    let mailer = mailer_with(&clear(&server), 1, short_deadline_at(Stage::Body));
    let verdict = bounded(&mailer, big_mail()).await;
    assert_eq!(verdict.class, VerdictClass::ServerFault, "{verdict:?}");
    let why = verdict.detail.text;
    assert!(why.starts_with("no answer to the letter within"), "{why}");
}

#[tokio::test]
async fn connection_lost_within_a_letter_is_a_server_fault() {
    let server = Script::default()
        .on(Stage::Body, Action::HangUp)
        .start()
        .await
        .unwrap();
    let verdict = bounded(&mailer(&server), big_mail()).await;
    assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
    assert!(server.seen().letters.is_empty());
}

#[tokio::test]
async fn connection_lost_after_the_final_dot_repeats_the_same_bytes() {
    let server = Script::default()
        .on(Stage::End, Action::HangUp)
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::Unknown, "{verdict:?}");
    assert!(accepted(&mailer.send(mail()).await));
    let letters = server.seen().texts();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0], letters[1]);
}

#[tokio::test]
async fn connection_lost_after_the_reply_counts_as_sent() {
    let server = Script::default()
        .on(
            Stage::End,
            Action::reply_and_hang_up("250 2.0.0 Ok: queued as 7"),
        )
        .start()
        .await
        .unwrap();
    assert!(accepted(&mailer(&server).send(mail()).await));
    assert_eq!(server.seen().letters.len(), 1);
}

#[tokio::test]
async fn endless_replies_are_refused_at_any_verb() {
    for stage in UNTIL_ACCEPTED {
        for script in with_and_without_pipelining() {
            let server = script.on(stage, Action::Flood).start().await.unwrap();
            let verdict = bounded(&mailer(&server), mail()).await;
            match stage {
                Stage::Connect | Stage::Ehlo => assert!(accepted(&verdict), "{verdict:?}"),
                _ => {
                    let text = &verdict.detail.text;
                    assert!(text.contains("the reply is too long"), "{verdict:?}");
                }
            }
            server.until(|seen| seen.closed == 1).await;
        }
    }
}

#[tokio::test]
async fn late_reply_is_not_taken_for_the_next_letter() {
    // The first letter's RCPT misses its deadline; the second is refused. If the connection were
    // reused, the replies would be off by one and the refusal would be lost.
    for script in with_and_without_pipelining() {
        let server = script
            .on(Stage::Rcpt, Action::Stall)
            .on(Stage::Rcpt, "550 5.1.1 gone")
            .start()
            .await
            .unwrap();
        let mut settings = settings();
        settings.deadlines.rcpt = Duration::from_secs(1);
        let mailer = mailer_with(&clear(&server), 1, settings);
        let verdict = mailer.send(mail()).await;
        assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
        let verdict = mailer.send(mail()).await;
        assert!(verdict.class == VerdictClass::Provisional, "{verdict:?}");
        assert_eq!(server.seen().connections, 2);
    }
}

#[tokio::test]
async fn surplus_reply_closes_the_connection() {
    for (stage, twice) in [
        (Stage::End, "250 2.0.0 Ok\r\n250 2.0.0 Ok"),
        (Stage::Rcpt, "250 2.1.5 Ok\r\n354 go on"),
    ] {
        for (script, is_pipelined) in with_and_without_pipelining().into_iter().zip([false, true]) {
            let server = script
                .on(stage, twice)
                .on(Stage::End, "554 5.6.0 malformed")
                .start()
                .await
                .unwrap();
            let mailer = mailer(&server);
            let first = mailer.send(mail()).await;
            assert_eq!(accepted(&first), stage == Stage::End, "{first:?}");
            if stage == Stage::End {
                let verdict = mailer.send(mail()).await;
                assert!(verdict.class == VerdictClass::Provisional, "{verdict:?}");
                assert_eq!(server.seen().connections, 2);
            } else {
                // With pipelining the surplus shows before the letter, otherwise after it at the
                // latest.
                let behind = is_pipelined && first.class == VerdictClass::Unknown;
                let before = first.class == VerdictClass::ServerFault;
                assert!(before || behind, "{first:?}");
            }
        }
    }
}

#[tokio::test]
async fn letter_beyond_the_size_limit_is_not_sent() {
    for script in with_and_without_pipelining() {
        let size = mail().bytes.len();
        let server = script.size_limit(size).start().await.unwrap();
        let mailer = mailer(&server);
        let mut large = mail();
        large.bytes.extend(b"!\r\n");
        let verdict = bounded(&mailer, large).await;
        assert_eq!(verdict.class, VerdictClass::Provisional, "{verdict:?}");
        assert_eq!(verdict.detail.stage, Some("mail"));
        assert!(accepted(&bounded(&mailer, mail()).await));
        let seen = server.seen();
        assert_eq!((seen.letters.len(), seen.connections), (1, 1));
    }
}

#[tokio::test]
async fn abandoned_send_does_not_affect_the_next_letter() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::End] {
        for script in with_and_without_pipelining() {
            let server = script.on(stage, Action::Stall).start().await.unwrap();
            let mailer = mailer(&server);
            give_up_once(&mailer, &server, stage).await;
            let verdict = bounded(&mailer, mail()).await;
            assert!(accepted(&verdict), "{stage}: {verdict:?}");
            let seen = server.until(|seen| seen.closed == 1).await;
            assert_eq!(seen.connections, 2, "{stage}");
        }
    }
}

/// Drops the send as soon as the server holds it at the verb.
async fn give_up_once(mailer: &Mailer, server: &SmtpServer, stage: Stage) {
    let stuck = server.until(|seen| match stage {
        Stage::End => seen.letters.len() == 1,
        stage => seen.heard(stage.as_str()) == 1,
    });
    tokio::select! {
        verdict = mailer.send(mail()) => panic!("the server stalls at {stage}: {verdict:?}"),
        _ = stuck => {}
    }
}
