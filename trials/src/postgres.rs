//! A private Postgres server that crashes when it is told to.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};

use crate::port::free_port;
use crate::process::{NOBODY, Process, tied_without_privileges};

/// How long recovery after a crash may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `postgres` of our own on a free loopback port, with the durability it has by default.
pub(crate) struct Postgres {
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a cluster in a folder of its own below `folder`, and starts it.
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
        postgres.make()?;
        postgres.go_on()?;
        postgres.until_ready().await?;
        Ok(postgres)
    }

    /// Starts the server of a cluster that a trial left behind.
    pub(crate) async fn again(folder: &Path) -> anyhow::Result<Self> {
        let mut postgres = Self {
            port: free_port()?,
            folder: folder.join("postgres"),
            process: None,
        };
        postgres.go_on()?;
        postgres.until_ready().await?;
        Ok(postgres)
    }

    fn make(&self) -> anyhow::Result<()> {
        let made = tied_without_privileges(&binary("initdb")?, "QUIT")
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
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of one of its databases.
    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://guestlist@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts the server and does not wait for it.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        let mut command = tied_without_privileges(&binary("postgres")?, "QUIT");
        command.args(["-D", "data", "-p", &self.port.to_string()]);
        // The time of each commit tells the oracle what was known when a letter left.
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

    /// What `pg_ctl stop --mode=immediate` does: every server process ends at once, without a
    /// checkpoint, and the next start recovers.
    pub(crate) fn stop_immediately(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => process.end_by(Signal::QUIT),
            None => Ok(()),
        }
    }

    /// Waits until it answers.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match PgConnection::connect(&self.url()).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) if Instant::now() > deadline => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    bail!("postgres does not answer: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed alone, the postmaster would leave its children behind.
        let _ = self.stop_immediately();
    }
}

/// A program of Postgres: that of the `PATH`, else of the newest version Debian installed.
pub(crate) fn binary(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(program));
    on_path
        .chain(debian(program))
        .find(|file| file.is_file())
        .with_context(|| {
            format!("{program} is not installed; the trials need Postgres 15 or later")
        })
}

fn debian(program: &str) -> Vec<PathBuf> {
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
