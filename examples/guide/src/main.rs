//! An application with a team page.

mod app;
mod invitation;
mod page;
mod sessions;
mod sign_in;
mod team;
mod transaction;
mod users;

use std::env;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_cookies::CookieManagerLayer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let (app, worker) = app::open().await?;
    let routes = Router::new()
        .merge(sign_in::routes())
        .merge(team::routes())
        .merge(invitation::routes())
        .layer(CookieManagerLayer::new())
        .with_state(app);
    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stopping.cancel();
    });
    let serving =
        axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let (served, _) = tokio::join!(serving.into_future(), worker.run(stop));
    Ok(served?)
}
