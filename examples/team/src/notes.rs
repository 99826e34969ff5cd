//! Notes that members write in the inbox of an organization. A note stays after its author has left.

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use guestlist::{Lend, OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use crate::app::App;
use crate::database::on_driver;
use crate::member::Member;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;
use crate::times;

/// The permission to write notes. Both role models have it.
const PERMISSION: &str = "inbox.reply";

/// The maximum length of a note in characters. A line break counts as one.
const LONGEST: usize = 2000;

/// A note as the inbox shows it.
#[derive(FromRow, Serialize)]
struct Note {
    author: String,
    text: String,
    #[serde(serialize_with = "times::serialize")]
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub(crate) struct New {
    text: String,
}

pub(crate) async fn inbox(
    State(app): State<App>,
    member: Member,
    frame: Frame,
) -> Result<Page, Problem> {
    page(&app, &member, &frame, "", None).await
}

async fn page(
    app: &App,
    member: &Member,
    frame: &Frame,
    text: &str,
    problem: Option<String>,
) -> Result<Page, Problem> {
    let mut connection = app.database.acquire().await?;
    let data = json!({
        "notes": newest(&mut connection, member.organization.id).await?,
        "may_write": member.access.allows(PERMISSION),
        "role_title": app.role_title(member.role()),
        "longest": LONGEST,
        "text": text,
        "problem": problem,
    });
    Ok(frame.page("inbox", "Inbox", Place::In(member, "inbox"), data))
}

pub(crate) async fn write(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    if !member.access.allows(PERMISSION) {
        return Err(Problem::Input("Your role may not write notes.".to_owned()));
    }
    let text = match checked(&new.text) {
        Ok(text) => text,
        Err(problem) => {
            let page = page(&app, &member, &frame, &new.text, Some(problem)).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let mut tx = app.database.begin().await?;
    insert(&mut tx, &member, &text).await?;
    tx.commit().await?;
    Ok(Redirect::to(&member.path("inbox")).into_response())
}

/// Returns the text normalized, or the problem with it.
fn checked(text: &str) -> Result<String, String> {
    let text = text.trim().replace("\r\n", "\n");
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(format!("A note must have 1 to {LONGEST} characters."));
    }
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err("A note must not contain control characters.".to_owned());
    }
    Ok(text)
}

async fn insert(
    connection: impl Lend<'_>,
    member: &Member,
    text: &str,
) -> Result<(), guestlist::Error> {
    const INSERT: &str = "INSERT INTO team_notes (id, organization_id, author_id, text, created_at)
         VALUES ($1, $2, $3, $4, $5)";
    on_driver!(connection, driver => {
        let query = sqlx::query(INSERT)
            .bind(Uuid::now_v7().to_string())
            .bind(member.organization.id.to_string())
            .bind(member.account.id.as_str())
            .bind(text)
            .bind(Utc::now());
        query.execute(driver).await.map(drop)?
    });
    Ok(())
}

/// Lists the newest notes with the names of their authors, including former members.
async fn newest(
    connection: impl Lend<'_>,
    organization: OrganizationId,
) -> Result<Vec<Note>, guestlist::Error> {
    const LIST: &str =
        "SELECT team_accounts.name AS author, text, team_notes.created_at AS created_at
         FROM team_notes JOIN team_accounts ON team_accounts.id = author_id
         WHERE organization_id = $1 ORDER BY team_notes.created_at DESC LIMIT 100";
    Ok(on_driver!(connection, driver => {
        sqlx::query_as(LIST).bind(organization.to_string()).fetch_all(driver).await?
    }))
}
