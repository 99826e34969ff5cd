//! A small, complete host application of Guestlist to copy from.
//!
//! People sign up, create organizations, invite others and accept invitations. The library decides what each
//! member may do, and the worker sends letters and ends sessions. `README.md` in this package says how to run it
//! and where each part is.

mod account;
mod app;
mod assets;
mod attempts;
mod client;
mod config;
mod confirmation;
mod cookie;
mod csrf;
mod database;
mod deadline;
mod headers;
mod history;
mod invitation;
mod mailbox;
mod member;
mod notes;
mod notice;
mod organizations;
mod page;
mod password;
mod problem;
mod refusal;
mod routes;
mod sessions;
mod shown_link;
mod sign_in;
mod sign_up;
mod team;
mod times;
mod worker;

use std::net::SocketAddr;

use guestlist_jobs::{Context, work};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::{App, State};
use crate::attempts::Attempts;
pub use crate::config::{Config, listen};

/// Serves the application on `listener` until `stop`. Without Redis, the worker runs in the same process.
///
/// # Errors
/// Fails if the application cannot start or the listener fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let database = database::open(&config).await?;
    let sessions = sessions::layer(&config, &database).await?;
    let context: Context = work::context(&config.worker, &database)?;
    let worker = worker::in_process(&config, context.clone());
    let app = App::new(State {
        mailbox: mailbox::folder_if_private(&config, listener.local_addr()?),
        attempts: Attempts::new(),
        database: database.clone(),
        guestlist: context.guestlist,
        mailer: context.mailer,
        session_stores: context.sessions,
        waker: worker.as_ref().map(guestlist_jobs::Worker::waker),
        config,
    });
    let deletion = tokio::spawn(database::delete_expired_regularly(database));
    let _deletion = AbortOnDropHandle::new(deletion);
    let stopping = stop.clone().cancelled_owned();
    let router = routes::router(app, sessions);
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopping);
    let serving = std::future::IntoFuture::into_future(serving);
    let working = async {
        match worker {
            Some(worker) => drop(worker.run(stop).await),
            None => stop.cancelled().await,
        }
    };
    let (served, ()) = tokio::join!(serving, working);
    Ok(served?)
}
