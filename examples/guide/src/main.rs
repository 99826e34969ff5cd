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
use std::process::ExitCode;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_cookies::CookieManagerLayer;

const HELP: &str = "\
The application of Guestlist's host guide: people create teams, invite others by e-mail, and remove them.

Usage: guide

Serves until Ctrl-C. What runs is finished first. Without any variable it is at http://localhost:3000, its database
is an SQLite file, and letters are files in a folder.

Environment variables:

  LISTEN [default: 127.0.0.1:3000]
      The address to listen on.
  DATABASE_URL [default: sqlite:guestlist.db]
      The database: sqlite:FILE.
  SMTP_URL [default: file:letters]
      The destination of letters: smtp://user:password@host:port, smtps://... or file:FOLDER.
  GUESTLIST_LINK [default: http://localhost:3000/invitations/{token}]
      The public URL of this application, followed by /invitations/{token}.

`guestlist variables` prints the other variables of the worker, which runs in this process.";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(argument) = env::args_os().nth(1) {
        if argument == "--help" || argument == "-h" {
            println!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("unknown argument {argument:?}: run `guide --help` for the usage");
        return Ok(ExitCode::from(2));
    }
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
    served?;
    Ok(ExitCode::SUCCESS)
}
