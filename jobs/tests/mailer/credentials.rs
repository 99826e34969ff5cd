//! A server that repeats the credentials in its reply to AUTH.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_testkit::smtp::{Script, Stage};
use tempfile::NamedTempFile;

use crate::{mail, mailer_with};

const USER: &str = "me@acme.example";
const SECRET: &str = "Hunter2-and-More!";

/// The mechanisms, each with the text that the client sends, before base64.
fn mechanisms() -> [(&'static str, String); 3] {
    [
        ("PLAIN", format!("\0{USER}\0{SECRET}")),
        ("LOGIN", SECRET.to_owned()),
        (
            "XOAUTH2",
            format!("user={USER}\x01auth=Bearer {SECRET}\x01\x01"),
        ),
    ]
}

/// Replies that repeat the credentials.
fn echoes(mechanism: &str, sent: &str) -> Vec<String> {
    let encoded = STANDARD.encode(sent);
    let (head, tail) = encoded.split_at(encoded.len() / 2);
    let (first, last) = SECRET.split_at(SECRET.len() / 2);
    let cut = &encoded[..encoded.len() - 5];
    vec![
        format!("501 Syntax error: AUTH {mechanism} {encoded}"),
        format!("535 5.7.8 <{encoded}>: not known"),
        format!("535-5.7.8 {encoded}\r\n535-5.7.8 not known\r\n535 5.7.8 {encoded}"),
        format!("535-5.7.8 not known {head}\r\n535 5.7.8{tail}"),
        format!("535-not known\r\n535-{head}\r\n535 {tail}"),
        format!("501 line too long: AUTH {mechanism} {cut}..."),
        format!("501 Syntax error: {}", encoded.to_uppercase()),
        format!("535 5.7.8 {sent} is not known"),
        format!("535 5.7.8 password='{SECRET}' is not known"),
        format!("535 5.7.8 password {} is not known", SECRET.to_uppercase()),
        format!("535-not known: {first}\r\n535 {last}"),
        format!("535 {} is not known", STANDARD.encode(SECRET)),
        format!("454 4.7.0 try again later, {encoded}"),
        format!("250 welcome {encoded}"),
    ]
}

async fn shown(mailer: &Mailer) -> String {
    let verdict = mailer.send(mail()).await;
    let checked = mailer.check().await.unwrap_err();
    format!("{verdict:?} {:?} {checked:?} {checked}", mailer.paused())
}

/// Parts of the credentials of which none may be shown.
fn parts(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    (0..=text.len() - 8)
        .map(|at| text[at..at + 8].to_owned())
        .collect()
}

#[tokio::test]
async fn credentials_in_a_reply_are_not_shown() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    for (mechanism, sent) in mechanisms() {
        let hidden = [parts(&STANDARD.encode(&sent)), parts(SECRET)].concat();
        for reply in echoes(mechanism, &sent) {
            let server = Script::default()
                .offers(format!("AUTH {mechanism}"))
                .always(Stage::Auth, reply.as_str())
                .start()
                .await
                .unwrap();
            let port = server.port();
            let url = match mechanism {
                "XOAUTH2" => format!(
                    "smtp://me%40acme.example@127.0.0.1:{port}?tls=none&auth=xoauth2&token_file={}",
                    file.path().display()
                ),
                _ => format!("smtp://me%40acme.example:{SECRET}@127.0.0.1:{port}?tls=none"),
            };
            let mailer = mailer_with(&url, 1, MailerSettings::default());
            let shown = shown(&mailer).await.to_lowercase();
            for part in &hidden {
                assert!(!shown.contains(part), "{part} of {reply:?}: {shown}");
            }
            assert!(shown.contains(&reply[..3]), "{shown}");
            assert!(
                !reply.contains("not known") || shown.contains("not known"),
                "{shown}"
            );
        }
    }
}

#[tokio::test]
async fn replies_without_credentials_are_shown_whole() {
    for reply in [
        "535 5.7.8 Username and Password not accepted. Learn more at https://mail.example/?p=BadCredentials",
        "535-5.7.8 Error: authentication failed:\r\n535 5.7.8 UGFzc3dvcmQ6",
    ] {
        let server = Script::default()
            .offers("AUTH PLAIN LOGIN")
            .always(Stage::Auth, reply)
            .start()
            .await
            .unwrap();
        for secret in ["pass", "correct-horse", "x"] {
            let url = format!("smtp://me:{secret}@127.0.0.1:{}?tls=none", server.port());
            let why = mailer_with(&url, 1, MailerSettings::default())
                .check()
                .await;
            let why = why.unwrap_err().to_string();
            // The advice after it is ours.
            let (why, _) = why.split_once("; ").unwrap();
            if secret == "correct-horse" {
                let whole = reply.replace("\r\n535 ", " ").replace("535-", "535 ");
                assert_eq!(why, format!("AUTH was refused: {whole}"));
            }
            assert!(
                !why.to_lowercase().contains(secret) || secret.len() > 4,
                "{why}"
            );
        }
    }
}
