use std::time::{Duration, Instant};

use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{Mailer, MailerSettings, VerdictClass};
use guestlist_testkit::smtp::{Action, Certificate, PASSWORD, Script, SmtpServer, Stage};
use tempfile::NamedTempFile;

use crate::{accepted, mail, mailer_with, settings};

/// A certificate for localhost, and the file of the authority that signed it.
fn certificate() -> (Certificate, NamedTempFile) {
    let certificate = Certificate::generate().unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.pem()).unwrap();
    (certificate, file)
}

/// A mailer that tries to connect several times before a letter goes back.
fn mailer(url: &str) -> Mailer {
    let mut settings = MailerSettings::default();
    settings.back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(1));
    mailer_with(url, 1, settings)
}

fn trusting(scheme: &str, server: &SmtpServer, ca: &NamedTempFile, more: &str) -> Mailer {
    mailer(&format!(
        "{scheme}localhost:{}?tls_ca={}{more}",
        server.port(),
        ca.path().display()
    ))
}

#[tokio::test]
async fn letter_is_sent_over_starttls_and_implicit_tls() {
    let (tls, ca) = certificate();
    let server = Script::default().start_tls(&tls).start().await.unwrap();
    assert!(accepted(
        &trusting("smtp://", &server, &ca, "&tls=required")
            .send(mail())
            .await
    ));
    let seen = server.seen();
    assert_eq!((seen.heard("EHLO"), seen.letters.len()), (2, 1));

    let server = Script::default().implicit_tls(&tls).start().await.unwrap();
    let mailer = trusting("smtps://", &server, &ca, "");
    assert!(accepted(&mailer.send(mail()).await));
    assert!(accepted(&mailer.send(mail()).await));
    assert_eq!(server.seen().connections, 1);
    assert!(
        mailer
            .check()
            .await
            .unwrap()
            .to_string()
            .contains("(test): encrypted")
    );
}

#[tokio::test]
async fn untrusted_certificate_is_refused_with_advice() {
    let (tls, _) = certificate();
    let (_, other) = certificate();
    let server = Script::default().implicit_tls(&tls).start().await.unwrap();
    for mailer in [
        mailer(&format!("smtps://localhost:{}", server.port())),
        trusting("smtps://", &server, &other, ""),
    ] {
        let verdict = mailer.send(mail()).await;
        assert_eq!(verdict.class, VerdictClass::NotTried, "{verdict:?}");
        let why = verdict.detail.text;
        assert!(why.contains("tls_ca"), "{why}");
    }
    assert!(server.seen().commands.is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (tls, ca) = certificate();
    let server = Script::default().implicit_tls(&tls).start().await.unwrap();
    let url = format!(
        "smtps://127.0.0.1:{}?tls_ca={}",
        server.port(),
        ca.path().display()
    );
    let verdict = mailer(&url).send(mail()).await;
    assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
}

#[tokio::test]
async fn nothing_is_sent_unencrypted_if_tls_is_required() {
    let (tls, ca) = certificate();
    let stripped = Script::default().offers("AUTH PLAIN");
    let refused = Script::default()
        .offers("AUTH PLAIN")
        .start_tls(&tls)
        .on(Stage::StartTls, "501 5.5.4 no");
    let later = Script::default()
        .start_tls(&tls)
        .on(Stage::StartTls, "454 4.7.0 TLS not available");
    for (script, ours) in [(stripped, true), (refused, true), (later, false)] {
        let server = script.start().await.unwrap();
        let mailer = trusting("smtp://me:secret@", &server, &ca, "");
        let verdict = mailer.send(mail()).await;
        assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
        assert!(mailer.paused().is_some(), "{verdict:?}");
        let seen = server.seen();
        if ours {
            assert_eq!((seen.heard("AUTH"), seen.heard("MAIL")), (0, 0), "{seen:?}");
        } else {
            // The connection is tried again, and then encrypted.
            assert_eq!(seen.heard("STARTTLS"), 2, "{seen:?}");
        }
    }
}

#[tokio::test]
async fn plaintext_after_starttls_is_not_read_as_encrypted() {
    let (tls, ca) = certificate();
    let server = Script::default()
        .start_tls(&tls)
        .on(Stage::StartTls, "220 go\r\n250-evil\r\n250 AUTH PLAIN")
        .start()
        .await
        .unwrap();
    let verdict = trusting("smtp://me:secret@", &server, &ca, "")
        .send(mail())
        .await;
    assert_eq!(verdict.class, VerdictClass::NotTried, "{verdict:?}");
    let why = verdict.detail.text;
    assert!(why.contains("between STARTTLS and TLS"), "{why}");
}

#[tokio::test]
async fn opportunistic_tls_accepts_any_certificate_or_none() {
    let (tls, _) = certificate();
    let offered = Script::default().start_tls(&tls);
    let refused = Script::default()
        .start_tls(&tls)
        .on(Stage::StartTls, "454 later");
    for (script, encrypted) in [
        (offered, true),
        (refused, false),
        (Script::default(), false),
    ] {
        let server = script.start().await.unwrap();
        let mailer = mailer(&format!("smtp://localhost:{}", server.port()));
        assert!(accepted(&mailer.send(mail()).await));
        assert_eq!(server.seen().heard("EHLO"), if encrypted { 2 } else { 1 });
    }
}

#[tokio::test]
async fn failed_handshake_of_opportunistic_tls_names_the_setting() {
    let (tls, _) = certificate();
    let server = Script::default()
        .start_tls(&tls)
        .always(Stage::StartTls, Action::BreakHandshake)
        .start()
        .await
        .unwrap();
    let url = format!("smtp://localhost:{}", server.port());
    let mailer_with_tls = mailer(&url);
    let verdict = mailer_with_tls.send(mail()).await;
    assert_eq!(verdict.class, VerdictClass::NotTried, "{verdict:?}");
    let why = verdict.detail.text;
    assert!(
        why.contains("handshake failed") && why.contains("tls=none"),
        "{why}"
    );
    assert!(mailer_with_tls.paused().is_some());
    assert_eq!(server.seen().heard("MAIL"), 0, "nothing goes in clear");

    let mailer_in_clear = mailer(&format!("{url}?tls=none"));
    assert!(accepted(&mailer_in_clear.send(mail()).await));
}

#[tokio::test]
async fn credentials_are_not_sent_after_a_failed_handshake() {
    let (tls, ca) = certificate();
    let server = Script::default()
        .offers("AUTH PLAIN")
        .start_tls(&tls)
        .always(Stage::StartTls, Action::BreakHandshake)
        .start()
        .await
        .unwrap();
    let mailer = trusting("smtp://me:secret@", &server, &ca, "");
    let why = mailer.check().await.unwrap_err().to_string();
    assert!(!why.contains("tls=none"), "{why}");
    let seen = server.seen();
    assert_eq!((seen.heard("AUTH"), seen.heard("MAIL")), (0, 0));
}

#[tokio::test]
async fn credentials_are_accepted_by_plain_and_by_login() {
    for offer in ["AUTH PLAIN LOGIN", "AUTH LOGIN", "AUTH=LOGIN"] {
        let server = Script::default().offers(offer).start().await.unwrap();
        let url = format!("smtp://me:secret@127.0.0.1:{}?tls=none", server.port());
        let mailer = mailer(&url);
        assert!(accepted(&mailer.send(mail()).await), "{offer}");
        assert!(
            mailer
                .check()
                .await
                .unwrap()
                .to_string()
                .contains(", signed in,")
        );
    }
}

#[tokio::test]
async fn token_is_read_again_for_each_connection() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ya29.stale\n").unwrap();
    let server = Script::default()
        .offers("AUTH LOGIN PLAIN XOAUTH2")
        .requires_auth();
    let server = server.start().await.unwrap();
    let url = format!(
        "smtp://me%40acme.example@127.0.0.1:{}?tls=none&auth=xoauth2&token_file={}",
        server.port(),
        file.path().display()
    );
    let refused = mailer(&url);
    let verdict = refused.send(mail()).await;
    assert_eq!(verdict.class, VerdictClass::NotTried, "{verdict:?}");
    let why = refused.paused().expect("a person has to act");
    assert!(why.contains("535 5.7.8"), "{why}");
    assert!(why.contains("token_file"), "{why}");
    assert!(!format!("{why} {verdict:?}").contains("ya29"), "{why}");

    std::fs::write(file.path(), format!("{PASSWORD}\n")).unwrap();
    let mailer = mailer(&url);
    assert!(accepted(&mailer.send(mail()).await));
    let user = server.seen().letters[0].user.clone();
    assert_eq!(user.as_deref(), Some("me@acme.example"));
    std::fs::write(file.path(), "ya29.stale").unwrap();
    assert!(mailer.check().await.is_err());
    std::fs::write(file.path(), PASSWORD).unwrap();
    mailer.check().await.unwrap();
}

#[tokio::test]
async fn letters_leave_after_an_expired_token_is_renewed() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ya29.expired").unwrap();
    let script = Script::default().offers("AUTH XOAUTH2").requires_auth();
    let server = script.start().await.unwrap();
    let (port, path) = (server.port(), file.path().display());
    let url = format!("smtp://me@127.0.0.1:{port}?tls=none&auth=xoauth2&token_file={path}");
    let mut settings = settings();
    settings.pause = BackOff::new(Duration::from_millis(20), Duration::from_millis(100));
    let mailer = mailer_with(&url, 1, settings);
    assert!(!accepted(&mailer.send(mail()).await));
    assert!(mailer.paused().is_some());
    std::fs::write(file.path(), PASSWORD).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !accepted(&mailer.send(mail()).await) {
        assert!(Instant::now() < deadline, "{:?}", mailer.paused());
    }
    assert_eq!(mailer.paused(), None);
}

#[tokio::test]
async fn unusable_token_or_server_without_xoauth2_is_told() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let with = Script::default().offers("AUTH XOAUTH2");
    let without = Script::default().offers("AUTH PLAIN LOGIN");
    for (script, path, token, expected) in [
        (
            &without,
            path.as_str(),
            "ya29.token",
            "not offer AUTH XOAUTH2",
        ),
        (&with, &path, " \n", "contains no token"),
        (&with, &path, "ya29\u{1}x", "contains no token"),
        (&with, &path, &"ya29".repeat(2049), "longer than"),
        (&with, "/nowhere/token", "", "/nowhere/token: No such file"),
    ] {
        std::fs::write(file.path(), token).unwrap();
        let server = script.clone().start().await.unwrap();
        let port = server.port();
        let url = format!("smtp://me@127.0.0.1:{port}?tls=none&auth=xoauth2&token_file={path}");
        let why = mailer(&url).check().await.unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains("ya29"), "{why}");
        assert_eq!(server.seen().heard("AUTH"), 0);
    }
}

#[tokio::test]
async fn password_for_a_server_of_tokens_names_the_remedy() {
    let disabled = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.";
    for (offer, is_refused) in [
        ("AUTH XOAUTH2", false),
        ("AUTH OAUTHBEARER XOAUTH2", false),
        ("AUTH=XOAUTH2", false),
        ("AUTH OAUTHBEARER", false),
        ("AUTH LOGIN XOAUTH2", true),
    ] {
        let script = Script::default().offers(offer).requires_auth();
        let server = script.always(Stage::Auth, disabled).start().await.unwrap();
        let url = format!("smtp://me:hunter2@127.0.0.1:{}?tls=none", server.port());
        let mailer = mailer(&url);
        assert_eq!(mailer.send(mail()).await.class, VerdictClass::NotTried);
        let why = mailer.paused().expect("a person has to act");
        assert!(why.contains("auth=xoauth2"), "{offer}: {why}");
        assert!(!why.contains("hunter2"), "{offer}: {why}");
        assert_eq!(server.seen().heard("AUTH") > 0, is_refused, "{offer}");
        let why = mailer.check().await.unwrap_err().to_string();
        assert!(why.contains("auth=xoauth2") || is_refused, "{offer}: {why}");
    }
}

#[tokio::test]
async fn wrong_credentials_pause_the_mailer() {
    for offer in ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5"] {
        let server = Script::default().offers(offer).start().await.unwrap();
        let url = format!("smtp://me:hunter2@127.0.0.1:{}?tls=none", server.port());
        let mailer = mailer_with(&url, 4, MailerSettings::default());
        let verdict = mailer.send(mail()).await;
        assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
        assert!(verdict.retry_after.as_secs() >= 3, "{verdict:?}");
        let why = mailer.paused().expect("a person has to act");
        assert!(!why.contains("hunter2"), "{why}");
        assert!(
            why.contains("SMTP_URL") || why.contains("AUTH PLAIN"),
            "{why}"
        );
        let verdict = mailer.send(mail()).await;
        assert!(verdict.class == VerdictClass::NotTried, "{verdict:?}");
        assert!(mailer.check().await.is_err());
        assert_eq!(server.seen().heard("MAIL"), 0);
    }
}
