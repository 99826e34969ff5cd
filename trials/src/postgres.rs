//! A private Postgres server that can be stopped like a crash.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};

use crate::port::free_port;
use crate::process::{NOBODY, Process, unprivileged_child_command};

/// Maximum time until the server accepts connections, including recovery after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A `postgres` process on a free loopback port, with the default settings for durability.
pub(crate) struct Postgres {
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    /// Creates a database cluster in `folder`/postgres and starts its server.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("postgres");
        fs::create_dir(&folder)?;
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY))?;
        }
        let mut postgres = Self {
            port: free_port()?,
            folder,
            process: None,
        };
        postgres.create_cluster()?;
        postgres.spawn()?;
        postgres.wait_until_ready().await?;
        Ok(postgres)
    }

    /// Starts the server of the database cluster that an earlier trial left in `folder`.
    pub(crate) async fn reopen(folder: &Path) -> anyhow::Result<Self> {
        let mut postgres = Self {
            port: free_port()?,
            folder: folder.join("postgres"),
            process: None,
        };
        postgres.spawn()?;
        postgres.wait_until_ready().await?;
        Ok(postgres)
    }

    fn create_cluster(&self) -> anyhow::Result<()> {
        let output = unprivileged_child_command(&binary("initdb")?, "QUIT")
            .arg("--pgdata=data")
            .args([
                "--username=guestlist",
                "--auth=trust",
                "--no-locale",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .current_dir(&self.folder)
            .output()
            .context("initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Returns the URL of one of its databases.
    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://guestlist@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts the server without waiting until it is ready.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = unprivileged_child_command(&binary("postgres")?, "QUIT");
        command.args(["-D", "data", "-p", &self.port.to_string()]);
        // The oracle compares the times of commits with the times at which letters left.
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=600",
            "track_commit_timestamp=on",
        ] {
            command.args(["-c", setting]);
        }
        let log = self.folder.join("log");
        command.current_dir(&self.folder);
        self.process = Some(Process::start("postgres", &mut command, &log)?);
        Ok(())
    }

    /// Stops it like `pg_ctl stop --mode=immediate`: every server process ends at once, without a checkpoint,
    /// and the next start recovers from the write-ahead log.
    pub(crate) fn stop_immediately(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => process.end_by(Signal::QUIT),
            None => Ok(()),
        }
    }

    /// Waits until it accepts connections.
    pub(crate) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match PgConnection::connect(&self.url()).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) if Instant::now() > deadline => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    bail!("postgres accepts no connections: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGKILL would end only the postmaster and leave its children running.
        let _ = self.stop_immediately();
    }
}

/// Finds a program of Postgres on the `PATH`, or else in the newest version that Debian installed.
pub(crate) fn binary(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(program));
    on_path
        .chain(debian_binaries(program))
        .find(|file| file.is_file())
        .with_context(|| {
            format!("{program} is not installed; the trials need Postgres 15 or later")
        })
}

fn debian_binaries(program: &str) -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin").join(program))
        .collect();
    found.sort();
    found.reverse();
    found
}
