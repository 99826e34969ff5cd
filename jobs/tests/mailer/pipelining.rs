//! If a server accepts commands in groups (RFC 2920), the envelope of a letter is one group.

use guestlist_jobs::mailer::VerdictClass;
use guestlist_testkit::smtp::{Action, Script, Stage};

use crate::{accepted, mail, mailer};

fn pipelining() -> Script {
    Script::default().offers("PIPELINING")
}

#[tokio::test]
async fn envelope_is_sent_at_once_and_the_letter_after() {
    let script = pipelining().on(Stage::Mail, Action::Hold);
    let server = script.on(Stage::Data, Action::Hold).start().await.unwrap();
    let envelope = [
        "MAIL FROM:<team@example.org> SIZE=37",
        "RCPT TO:<bob@example.com>",
        "DATA",
    ];
    let mailer = mailer(&server);
    let verdict = async { mailer.send(mail()).await };
    let replies = async {
        server.until(|seen| seen.heard("DATA") == 1).await;
        server.release();
        server.release();
    };
    let (verdict, ()) = tokio::join!(verdict, replies);
    assert!(accepted(&verdict), "{verdict:?}");
    // While a reply is held, the server reads on and would see lines of the letter as commands.
    assert_eq!(server.seen().commands[1..], envelope);
}

#[tokio::test]
async fn replies_after_a_refusal_are_read_before_the_next_letter() {
    for (verb, reply) in [
        (Stage::Rcpt, "550 5.1.1 gone"),
        (Stage::Rcpt, "450 4.2.0 greylisted"),
        (Stage::Mail, "552 5.3.4 too big"),
        (Stage::Data, "554 5.6.0 not this one"),
    ] {
        let server = pipelining().on(verb, reply).start().await.unwrap();
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
        .on(Stage::Rcpt, "550 5.1.1 gone")
        .on(Stage::Data, "354 go on")
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::Provisional, "{verdict:?}");
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.letters.len()), (2, 1));
}

#[tokio::test]
async fn verdict_ignores_replies_after_a_refusal() {
    for behind in [
        Action::HangUp,
        "421 4.3.2 closing".into(),
        "nonsense".into(),
    ] {
        let server = pipelining()
            .on(Stage::Rcpt, "550 5.1.1 gone")
            .on(Stage::Data, behind.clone())
            .start()
            .await
            .unwrap();
        let mailer = mailer(&server);
        let verdict = mailer.send(mail()).await;
        assert!(
            verdict.class == VerdictClass::Provisional,
            "{behind:?}: {verdict:?}"
        );
        assert!(accepted(&mailer.send(mail()).await), "{behind:?}");
        assert_eq!(server.seen().connections, 2, "{behind:?}");
    }
}
