//! The mailbox page for development: shows the letters that were written to a folder.

use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};

use axum::extract::{Path, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use mail_parser::{Message, MessageParser};
use serde_json::{Value as Json, json};

use crate::app::App;
use crate::config::Config;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;

/// Returns the folder of letters if letters are written to a folder and the application can be reached only from
/// this machine. Anyone that reads a mailbox can accept every invitation in it.
pub(crate) fn folder_if_private(config: &Config, listening: SocketAddr) -> Option<PathBuf> {
    let is_private = config.is_local() && listening.ip().is_loopback();
    let folder = config.worker.mailer.folder().filter(|_| is_private);
    folder.map(FilePath::to_owned)
}

pub(crate) async fn list(State(app): State<App>, frame: Frame) -> Result<Page, Problem> {
    let folder = folder(&app)?;
    let mut letters = Vec::new();
    for (name, bytes) in read_all(folder).await? {
        let Some(letter) = MessageParser::default().parse(&bytes) else {
            continue;
        };
        letters.push((
            letter.date().map_or(0, |date| date.to_timestamp()),
            name.clone(),
            letter_data(&name, &letter),
        ));
    }
    letters.sort_by(|one, other| (other.0, &other.1).cmp(&(one.0, &one.1)));
    let letters: Vec<_> = letters.into_iter().map(|(_, _, data)| data).collect();
    Ok(frame.page(
        "mailbox",
        "Mailbox",
        Place::Anywhere,
        json!({ "letters": letters }),
    ))
}

pub(crate) async fn letter(
    State(app): State<App>,
    frame: Frame,
    Path(name): Path<String>,
) -> Result<Page, Problem> {
    let bytes = read(folder(&app)?, &name).await?;
    let letter = MessageParser::default()
        .parse(&bytes)
        .ok_or(Problem::NotFound)?;
    let mut all = letter_data(&name, &letter);
    let text = letter.body_text(0).unwrap_or_default();
    all["lines"] = text.lines().map(line).collect();
    all["has_html"] = (letter.html_body_count() > 0 && !is_plain(&letter)).into();
    all["lang"] = letter.body_html(0).as_deref().and_then(language).into();
    let title = letter.subject().unwrap_or("E-mail").to_owned();
    Ok(frame.page("letter", &title, Place::Anywhere, all))
}

/// Serves the HTML part as it was received, for a sandboxed frame without scripts.
pub(crate) async fn html(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let bytes = read(folder(&app)?, &name).await?;
    let letter = MessageParser::default()
        .parse(&bytes)
        .ok_or(Problem::NotFound)?;
    let html = letter.body_html(0).ok_or(Problem::NotFound)?;
    // Links open in the whole window instead of the frame.
    let html = html.replacen("<head>", "<head><base target=\"_top\">", 1);
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; \
                          sandbox allow-top-navigation-by-user-activation";
    let headers = [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (
            HeaderName::from_static("x-frame-options"),
            HeaderValue::from_static("SAMEORIGIN"),
        ),
    ];
    Ok((headers, Html(html)).into_response())
}

/// Returns the folder of letters, or "not found" if the mailbox page is disabled.
fn folder(app: &App) -> Result<&FilePath, Problem> {
    app.mailbox.as_deref().ok_or(Problem::NotFound)
}

fn letter_data(name: &str, letter: &Message<'_>) -> Json {
    let to = letter
        .to()
        .and_then(|to| to.first())
        .and_then(|to| to.address());
    json!({
        "name": name,
        "to": to,
        "subject": letter.subject(),
        "date": letter.date().map(|date| date.to_rfc822()),
    })
}

fn is_plain(letter: &Message<'_>) -> bool {
    letter.text_body == letter.html_body
        && letter
            .parts
            .first()
            .is_some_and(|part| matches!(part.body, mail_parser::PartType::Text(_)))
}

/// Returns the language that an HTML part declares.
fn language(html: &str) -> Option<&str> {
    html.split_once("<html lang=\"")?.1.split('"').next()
}

/// A line of the text part, marked if it is a link.
fn line(line: &str) -> Json {
    let is_link = line.starts_with("http://") || line.starts_with("https://");
    json!({ "text": line, "is_link": is_link && !line.contains(char::is_whitespace) })
}

async fn read_all(folder: &FilePath) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut letters = Vec::new();
    let Ok(mut files) = tokio::fs::read_dir(folder).await else {
        return Ok(letters); // the folder is created with the first letter
    };
    while let Some(file) = files.next_entry().await? {
        let Ok(name) = file.file_name().into_string() else {
            continue;
        };
        if let Some(name) = name.strip_suffix(".eml") {
            letters.push((name.to_owned(), tokio::fs::read(file.path()).await?));
        }
    }
    Ok(letters)
}

async fn read(folder: &FilePath, name: &str) -> Result<Vec<u8>, Problem> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.starts_with('.') || !name.chars().all(is_name) {
        return Err(Problem::NotFound);
    }
    let path = folder.join(format!("{name}.eml"));
    tokio::fs::read(path).await.map_err(|_| Problem::NotFound)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn mailbox_needs_a_loopback_listener() {
        let config = Config::read(|_| None).unwrap();
        let is_open = |at: &str| folder_if_private(&config, at.parse().unwrap()).is_some();
        assert!(is_open("127.0.0.1:3000") && is_open("[::1]:3000"));
        assert!(!is_open("0.0.0.0:3000") && !is_open("192.0.2.1:3000"));
    }
}
