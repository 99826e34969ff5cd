//! The program: reads the environment and serves the application.

use std::env;
use std::process::ExitCode;

use anyhow::Context;
use team::{Config, listen, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

const HELP: &str = "\
A host application of Guestlist: people sign up, create organizations, invite others by e-mail, and change and
remove members.

Usage: team

Without any variable it serves http://localhost:3000, stores everything in an SQLite file, runs Guestlist's worker
in this process and writes letters to a folder. The page Mailbox shows these letters while the application can be
reached from this machine only. SIGINT (Ctrl-C) or SIGTERM stops it: running requests and jobs are finished first.

Environment variables (empty counts as unset):

  TEAM_LISTEN [default: 127.0.0.1:3000]
      The address to listen on.
  PORT
      The port to listen on, on every interface. TEAM_LISTEN takes precedence.
  TEAM_CLIENT_HEADER
      The header in which a reverse proxy passes the client address, such as X-Forwarded-For. Required behind a
      proxy; must stay unset without one, because clients could forge it.
  DATABASE_URL [default: sqlite:team.db]
      The database: sqlite:FILE or postgres://user:password@host/database. With REDIS_URL the default is that of
      `guestlist work`, sqlite:guestlist.db.
  REDIS_URL
      A Redis for sessions and jobs: redis://host:port/database. With it, the worker does not run in this process:
      start `guestlist work` in the same environment.
  SMTP_URL [default: file:letters]
      The destination of letters: smtp://user:password@host:port, smtps://... or file:FOLDER.
  GUESTLIST_LINK [default: http://localhost:3000/invitations/{token}]
      The public URL of this application, followed by /invitations/{token}.
  GUESTLIST_KEYS
      The keys that sign invitation links, as `guestlist keys new` prints them. Required with Postgres; with SQLite
      a key is created in a file next to the database.
  GUESTLIST_ROLES [default: four-tier]
      The roles: four-tier, two-role or the path of a TOML file.
  RUST_LOG [default: info]
      The filter of the log, which goes to stderr.

`guestlist variables` prints the other variables of the worker. They have the same meaning here, except that the
default of GUESTLIST_SESSIONS is sql:team_sessions.id without Redis.

Exit status: 0 stopped or help printed, 1 failed, 2 unknown argument.";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(argument) = env::args_os().nth(1) {
        if argument == "--help" || argument == "-h" {
            println!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("unknown argument {argument:?}: run `team --help` for the usage");
        return Ok(ExitCode::from(2));
    }
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .init();
    let config = Config::read(variable)?;
    let address = listen(variable)?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    tracing::info!("open {}", config.url);
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    serve(config, listener, stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the value of an environment variable, unless it is unset or empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
