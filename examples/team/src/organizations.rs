//! The list of a person's organizations, and the form that creates one.

use axum::Form;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{InvalidName, Name};
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;

use crate::app::App;
use crate::member::SignedIn;
use crate::page::{Frame, Place, names_of_organizations, signed_in};
use crate::problem::Problem;
use crate::{notice, sessions};

#[derive(Deserialize)]
pub(crate) struct New {
    name: String,
}

/// Redirects from `/` to the only organization or to the list. Shows the welcome page to visitors that are signed
/// out.
pub(crate) async fn start(
    State(app): State<App>,
    session: Session,
    request: Request,
) -> Result<Response, Problem> {
    let Some(account) = signed_in(&app, &session).await? else {
        let frame = Frame::from_request(request, &app).await?;
        let page = frame.page("welcome", "Welcome", Place::Anywhere, json!({}));
        return Ok(page.into_response());
    };
    let path = match names_of_organizations(&app, &account).await?.as_slice() {
        [(only, _)] => format!("/organizations/{only}/inbox"),
        _ => "/organizations".to_owned(),
    };
    Ok(Redirect::to(&path).into_response())
}

pub(crate) async fn list(_: SignedIn, frame: Frame) -> Response {
    page(&frame, "", None).into_response()
}

fn page(frame: &Frame, name: &str, problem: Option<String>) -> impl IntoResponse + use<> {
    let data = json!({ "new_name": name, "problem": problem });
    frame.page("organizations", "Your organizations", Place::Anywhere, data)
}

pub(crate) async fn create(
    State(app): State<App>,
    SignedIn { account, session }: SignedIn,
    frame: Frame,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    let name: Name = match new.name.parse() {
        Ok(name) => name,
        Err(error) => {
            let error: InvalidName = error;
            let page = page(&frame, &new.name, Some(format!("The name: {error}.")));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let mut tx = app.database.begin().await?;
    let organization = app.guestlist.create(&mut tx, name, &account.user()).await?;
    app.commit(tx).await?;
    sessions::record(&app, &session, organization.id, &account.id).await?;
    notice::leave(&session, format!("You created {}.", organization.name)).await?;
    Ok(Redirect::to(&format!("/organizations/{}/inbox", organization.id)).into_response())
}
