//! All routes of the application. Every request that changes something is a POST.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use tower_sessions::SessionManagerLayer;

use crate::app::App;
use crate::problem::Problem;
use crate::sessions::Store;
use crate::team::{invitations, members};
use crate::{
    assets, csrf, deadline, headers, history, invitation, mailbox, notes, notice, organizations,
    problem, sign_in, sign_up, team,
};

pub(crate) fn router(app: App, sessions: SessionManagerLayer<Store>) -> Router {
    let pages = visitors()
        .merge(organization())
        .merge(invitation())
        .fallback(async || Problem::NotFound)
        // A GET of a route that only takes a POST shows the page for "not found".
        .method_not_allowed_fallback(async || Problem::NotFound)
        .layer(from_fn(csrf::protect))
        .layer(from_fn_with_state(app.clone(), problem::frame))
        .layer(from_fn(notice::show_once))
        .layer(sessions)
        .layer(deadline::layer())
        .layer(map_response(deadline::explain));
    let all = pages.merge(assets::router());
    let all = headers::layers().into_iter().fold(all, Router::layer);
    all.layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(app)
}

/// Routes for every visitor.
fn visitors() -> Router<App> {
    Router::new()
        .route("/", get(organizations::start))
        .route("/sign-up", get(sign_up::show).post(sign_up::ask))
        .route(
            "/sign-up/finish",
            get(sign_up::show_finish).post(sign_up::finish),
        )
        .route("/sign-up/{token}", get(sign_up::open))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route(
            "/organizations",
            get(organizations::list).post(organizations::create),
        )
        .route("/mailbox", get(mailbox::list))
        .route("/mailbox/{name}", get(mailbox::letter))
        .route("/mailbox/{name}/html", get(mailbox::html))
}

/// Routes for members of the organization in the URL.
fn organization() -> Router<App> {
    let member = Router::new()
        .route("/role", post(members::change_role))
        .route("/suspend", post(members::suspend))
        .route("/reinstate", post(members::reinstate))
        .route("/remove", get(members::ask_remove).post(members::remove))
        .route(
            "/transfer",
            get(members::ask_transfer).post(members::transfer),
        );
    let invitation = Router::new()
        .route("/resend", post(invitations::resend))
        .route("/cancel", post(invitations::cancel))
        .route("/link", post(invitations::link));
    let team = Router::new()
        .route("/", get(team::show))
        .route("/leave", get(members::ask_leave).post(members::leave))
        .route("/invitations", post(invitations::invite))
        .nest("/members/{user}", member)
        .nest("/invitations/{invitation}", invitation);
    let organization = Router::new()
        .route("/inbox", get(notes::inbox).post(notes::write))
        .route("/settings/history", get(history::show))
        .nest("/settings/team", team);
    Router::new().nest("/organizations/{organization}", organization)
}

/// Routes for visitors with an invitation link.
fn invitation() -> Router<App> {
    Router::new()
        .route("/invitations/{token}", get(invitation::follow))
        .route("/invitation", get(invitation::show))
        .route("/invitation/accept", post(invitation::accept))
        .route("/invitation/set-password", post(invitation::set_password))
        .route("/invitation/sign-in", post(invitation::sign_in_and_accept))
        .route("/invitation/switch", post(invitation::switch))
        .route("/invitation/decline", post(invitation::decline))
}

/// Creates the log span of a request. It names the route instead of the URL, which may contain a token.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unknown", MatchedPath::as_str);
    tracing::info_span!("request", method = %request.method(), route)
}
