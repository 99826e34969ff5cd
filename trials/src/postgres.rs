//! The Postgres server of a trial.

use std::path::Path;

use guestlist_testkit::PostgresServer;

/// Starts a server with the default settings for durability and its data in `folder`/postgres. Reopens
/// the database cluster that an earlier trial left there.
pub(crate) async fn start(folder: &Path) -> anyhow::Result<PostgresServer> {
    // The oracle reads commit times to know what the database held when a letter was sent.
    let server = PostgresServer::builder()
        .folder(folder.join("postgres"))
        .durable()
        .setting("max_connections", "600")
        .setting("track_commit_timestamp", "on");
    Ok(server.start().await?)
}
