//! HTML pages from templates, in a common frame with navigation and notice.

use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use guestlist::{OrganizationId, Paging};
use handlebars::{Handlebars, RenderError};
use serde_json::{Value as Json, json};
use tower_sessions::Session;

use crate::account::Account;
use crate::app::App;
use crate::notice::Shown;
use crate::problem::Problem;
use crate::{csrf, notice, sessions};

macro_rules! templates {
    ($($name:literal)+) => {
        [$(($name, include_str!(concat!("../templates/", $name, ".hbs")))),+]
    };
}

/// The compiled templates. In strict mode, a variable that is not set is an error instead of an empty text.
static TEMPLATES: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    for (name, text) in templates![
        "layout" "csrf" "swap" "problem" "message" "welcome" "sign_up" "sign_up_sent" "sign_up_finish" "sign_in"
        "organizations" "inbox" "team" "remove" "leave" "transfer" "link" "history"
        "invitation" "invitation_ended" "mailbox" "letter"
    ] {
        templates
            .register_template_string(name, text)
            .expect("the templates compile, as a test checks");
    }
    templates
});

/// The frame of a page: the visitor's session and account, and the notice to show.
pub(crate) struct Frame {
    pub(crate) session: Session,
    pub(crate) account: Option<Account>,
    data: Json,
}

/// A rendered page. A template error becomes a response with status 500.
pub(crate) struct Page {
    html: Result<String, RenderError>,
    shows_notice: bool,
}

/// The place of a page in the navigation.
pub(crate) enum Place<'a> {
    /// Outside of any organization.
    Anywhere,
    /// In the named section of an organization.
    In(&'a crate::member::Member, &'static str),
}

impl Frame {
    /// Renders a template with `data`, a JSON object.
    pub(crate) fn page(&self, template: &str, title: &str, place: Place<'_>, data: Json) -> Page {
        let mut all = self.data.clone();
        all["title"] = title.into();
        all["place"] = match place {
            Place::Anywhere => Json::Null,
            Place::In(member, part) => json!({
                "id": member.organization.id,
                "name": member.organization.name,
                "manages": member.manages,
                "is_inbox": part == "inbox",
                "is_team": part == "team",
                "is_history": part == "history",
            }),
        };
        extend(&mut all, data);
        render(template, &all)
    }
}

/// Renders a page without the visitor's frame, where the session is not available.
pub(crate) fn bare(template: &str, data: Json) -> Page {
    let mut all = frame_of(None, "", None, &[], false);
    all["place"] = Json::Null;
    extend(&mut all, data);
    render(template, &all)
}

fn frame_of(
    account: Option<&Account>,
    csrf: &str,
    notice: Option<String>,
    organizations: &[(OrganizationId, String)],
    has_mailbox: bool,
) -> Json {
    let organizations: Vec<_> = organizations
        .iter()
        .map(|(id, name)| json!({ "id": id, "name": name }))
        .collect();
    json!({
        "csrf": csrf,
        "notice": notice,
        "account": account.map(|account| json!({ "name": account.name, "email": account.email })),
        "organizations": organizations,
        "has_mailbox": has_mailbox,
    })
}

fn extend(all: &mut Json, data: Json) {
    let (Some(all), Json::Object(data)) = (all.as_object_mut(), data) else {
        return;
    };
    all.extend(data);
}

fn render(template: &str, data: &Json) -> Page {
    Page {
        html: TEMPLATES.render(template, data),
        shows_notice: !data["notice"].is_null(),
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = match self.html {
            Ok(html) => html,
            Err(error) => {
                tracing::error!(%error, "a page template could not be rendered: {error}");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let mut response = Html(html).into_response();
        if self.shows_notice {
            response.extensions_mut().insert(Shown);
        }
        response
    }
}

impl FromRequestParts<App> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let session = session_of(parts, app).await?;
        Self::of(app, session).await
    }
}

impl Frame {
    /// Builds the frame for the account of a session.
    pub(crate) async fn of(app: &App, session: Session) -> Result<Self, Problem> {
        let account = signed_in(app, &session).await?;
        let organizations = match &account {
            Some(account) => names_of_organizations(app, account).await?,
            None => Vec::new(),
        };
        sessions::keep_alive(&session).await?;
        let token = csrf::token(&session).await?;
        let notice = notice::stored(&session).await?;
        let data = frame_of(
            account.as_ref(),
            &token,
            notice,
            &organizations,
            app.mailbox.is_some(),
        );
        Ok(Self {
            session,
            account,
            data,
        })
    }
}

/// Returns the session of a request.
pub(crate) async fn session_of(parts: &mut Parts, app: &App) -> Result<Session, Problem> {
    let session = Session::from_request_parts(parts, app).await;
    session.map_err(|(_, missing)| anyhow::anyhow!(missing).into())
}

/// Returns the signed-in account of a session.
pub(crate) async fn signed_in(app: &App, session: &Session) -> Result<Option<Account>, Problem> {
    let Some(id) = sessions::account_id(session).await? else {
        return Ok(None);
    };
    Ok(Account::find(&mut app.database.acquire().await?, &id).await?)
}

/// Lists the ids and names of the organizations of an account, sorted by name.
pub(crate) async fn names_of_organizations(
    app: &App,
    account: &Account,
) -> Result<Vec<(OrganizationId, String)>, Problem> {
    let mut connection = app.database.acquire().await?;
    let all = Paging::first(Paging::MAX_LIMIT);
    let memberships = app
        .guestlist
        .memberships(&mut connection, &account.id, &all)
        .await?;
    let mut names = Vec::new();
    for membership in memberships.items {
        let found = app
            .guestlist
            .organization(&mut connection, membership.organization)
            .await?;
        names.extend(found.map(|organization| (organization.id, organization.name.to_string())));
    }
    names.sort_by_cached_key(|(_, name)| name.to_lowercase());
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_compiles() {
        assert!(TEMPLATES.has_template("layout"));
    }

    #[test]
    fn typed_text_is_escaped() {
        let data = json!({ "title": "<b>", "words": "<script>" });
        let page = bare("problem", data).html.expect("the template renders");
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}
