//! A host application of Guestlist, small and complete, to copy from.
//!
//! People sign up, found organizations, invite others to them and are invited; the library decides
//! who may do what and the worker keeps its promises. `README.md` beside this package says how to run
//! it, and where to find what.

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

use crate::app::{App, Tools};
use crate::attempts::Attempts;
pub use crate::config::{Config, listen};

/// Serves the application on `listener` until `stop`, with the worker inside where there is no Redis.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let database = database::open(&config).await?;
    let sessions = sessions::layer(&config, &database).await?;
    let context: Context = work::context(&config.worker, &database)?;
    let worker = worker::inside(&config, context.clone());
    let app = App::new(Tools {
        mailbox: mailbox::of(&config, listener.local_addr()?),
        attempts: Attempts::new(),
        database: database.clone(),
        guestlist: context.guestlist,
        mailer: context.mailer,
        session_stores: context.sessions,
        doorbell: worker.as_ref().map(guestlist_jobs::Worker::doorbell),
        config,
    });
    let _sweep = AbortOnDropHandle::new(tokio::spawn(database::sweep(database)));
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
