use std::time::Duration;

use guestlist_jobs::mailer::VerdictClass;
use guestlist_testkit::smtp::{Action, Script, Stage};

use crate::{accepted, clear, mail, mailer, mailer_with, settings, with_and_without_pipelining};

#[tokio::test]
async fn letters_share_a_connection_even_after_a_refusal() {
    for script in with_and_without_pipelining() {
        let server = script
            .on(Stage::Rcpt, "550 5.1.1 gone")
            .on(Stage::End, "554 5.6.0 malformed")
            .start()
            .await
            .unwrap();
        let mailer = mailer(&server);
        for _ in 0..2 {
            let verdict = mailer.send(mail()).await;
            assert!(verdict.class == VerdictClass::Provisional, "{verdict:?}");
        }
        assert!(accepted(&mailer.send(mail()).await));
        let seen = server.seen();
        assert_eq!(seen.connections, 1);
        assert_eq!(
            seen.heard("RSET"),
            1,
            "only a transaction that is still open is reset"
        );
    }
}

#[tokio::test]
async fn connection_closed_by_the_server_is_replaced() {
    let server = Script::default()
        .on(Stage::End, Action::reply_and_hang_up("250 2.0.0 Ok"))
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    assert!(accepted(&mailer.send(mail()).await));
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&mailer.send(mail()).await));
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn connection_lost_at_mail_is_replaced_once() {
    for end in [
        Action::HangUp,
        Action::reply_and_hang_up("421 4.4.2 idle too long"),
    ] {
        for script in with_and_without_pipelining() {
            let server = script
                .on(Stage::Mail, "250 2.1.0 Ok")
                .on(Stage::Mail, end.clone())
                .start()
                .await
                .unwrap();
            let mailer = mailer(&server);
            assert!(accepted(&mailer.send(mail()).await));
            let verdict = mailer.send(mail()).await;
            assert!(accepted(&verdict), "{verdict:?}");
            assert_eq!(server.seen().connections, 2);
        }
    }
}

#[tokio::test]
async fn server_closing_at_mail_twice_is_at_fault() {
    let server = Script::default()
        .on(Stage::Mail, "250 2.1.0 Ok")
        .on(Stage::Mail, Action::HangUp)
        .on(Stage::Mail, Action::HangUp)
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    assert!(accepted(&mailer.send(mail()).await));
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn after_a_421_the_connection_is_dropped() {
    let server = Script::default()
        .on(Stage::Rcpt, "421 4.3.2 closing")
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&mailer.send(mail()).await));
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn idle_connection_quits() {
    let server = Script::default().start().await.unwrap();
    let mut settings = settings();
    settings.deadlines.idle = Duration::from_millis(20);
    let mailer = mailer_with(&clear(&server), 1, settings);
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!(seen.heard("QUIT"), 1);
}

#[tokio::test]
async fn closing_finishes_accepted_letters_and_quits() {
    let server = Script::default().start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 2, settings());
    let sending = futures::future::join_all((0..50).map(|_| mailer.send(mail())));
    let closing = async {
        server.until(|seen| !seen.letters.is_empty()).await;
        mailer.close().await;
    };
    let (verdicts, ()) = tokio::join!(sending, closing);
    let sent = verdicts.iter().filter(|verdict| accepted(verdict)).count();
    let left = verdicts
        .iter()
        .filter(|verdict| verdict.class == VerdictClass::NotTried)
        .count();
    assert_eq!(sent + left, 50, "{verdicts:?}");
    let seen = server.until(|seen| seen.closed == seen.connections).await;
    assert_eq!(seen.letters.len(), sent);
    assert_eq!(seen.heard("QUIT"), seen.connections, "{seen:?}");
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
}

#[tokio::test]
async fn connection_being_opened_at_close_ends_with_quit() {
    let server = Script::default().on(Stage::Connect, Action::Hold);
    let server = server.start().await.unwrap();
    let mailer = mailer(&server);
    let sent = tokio::spawn({
        let mailer = mailer.clone();
        async move { mailer.send(mail()).await }
    });
    server.until(|seen| seen.connections == 1).await;
    let closed = mailer.close();
    let greeted = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.release();
    };
    tokio::join!(closed, greeted);
    assert_eq!(sent.await.unwrap().class, VerdictClass::NotTried);
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!((seen.heard("MAIL"), seen.heard("QUIT")), (0, 1));
}
