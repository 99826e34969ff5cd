//! The mailer that a worker makes from environment variables.

use std::ffi::OsString;

use guestlist_jobs::Context;
use guestlist_jobs::config::Config;
use guestlist_jobs::work;
use guestlist_testkit::smtp::SmtpServer;
use tempfile::TempDir;

use crate::{accepted, mail};

/// The context of a worker that is configured by these variables.
async fn context(variables: &[(&str, &str)]) -> (Context, TempDir) {
    let folder = TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("guestlist.db").display());
    let variables = [variables, &[("DATABASE_URL", &database)]].concat();
    let config = Config::read(&|name| {
        let mut variables = variables.iter();
        let (_, value) = variables.find(|(known, _)| *known == name)?;
        Some(OsString::from(value))
    })
    .unwrap();
    let database = config.open(1).await.unwrap();
    (work::context(&config, &database).unwrap(), folder)
}

#[tokio::test]
async fn variables_set_ehlo_name_and_letters_per_connection() {
    let server = SmtpServer::start().await.unwrap();
    let (context, _folder) = context(&[
        ("SMTP_URL", &server.url()),
        ("GUESTLIST_EHLO_NAME", "worker.acme.example"),
        ("GUESTLIST_LETTERS_PER_CONNECTION", "2"),
    ])
    .await;
    for _ in 0..5 {
        assert!(accepted(&context.mailer.send(mail()).await));
    }
    let seen = server.seen();
    assert_eq!(seen.connections, 3);
    assert_eq!(seen.heard("EHLO worker.acme.example"), 3);
}

#[tokio::test]
async fn variables_set_reply_to_and_extra_headers() {
    let (configured, _folder) = context(&[
        ("SMTP_URL", "smtp://127.0.0.1:1"),
        ("GUESTLIST_REPLY_TO", "Help <help@acme.example>"),
        ("GUESTLIST_HEADERS", "X-Stream: a; Feedback-ID: 1:acme"),
    ])
    .await;
    let reply_to = configured.reply_to.unwrap();
    assert_eq!(reply_to.to_string(), "Help <help@acme.example>");
    assert_eq!(
        configured.headers,
        "X-Stream: a; Feedback-ID: 1:acme".parse().unwrap()
    );
}
