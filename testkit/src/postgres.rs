//! A private Postgres server that a test can crash and start again.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::folder::Folder;
use crate::process::{NOBODY, Process, Signal, is_root, unprivileged_child_command};
use crate::{Error, free_port, program};

/// The time limit for the start, including the recovery after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of ports that are tried: another program can take a port between its choice and its use.
const ATTEMPTS: u32 = 5;

/// Settings that are safe as long as the machine itself does not crash. Commits do wait until they
/// are written to the system, else a crash of the server would lose them.
const FAST: [&str; 2] = ["fsync=off", "full_page_writes=off"];

/// A private `postgres` on a port of 127.0.0.1, with a superuser `guestlist` and a
/// database `postgres`; ended when dropped.
///
/// If the test runs as root, the server runs as the user nobody, because Postgres refuses root.
///
/// ```
/// # if guestlist_testkit::program::find("postgres").is_err() { return Ok(()); }
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::PostgresServer;
///
/// let mut server = PostgresServer::start().await?;
/// println!("DATABASE_URL={}", server.url());
/// server.crash();
/// server.restart().await?; // on the same port, with everything that was committed
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    settings: Vec<String>,
    process: Option<Process>,
    folder: Folder,
}

impl PostgresServer {
    /// Creates a cluster in a temporary folder and starts a server on a free port.
    ///
    /// # Errors
    /// If `initdb` or `postgres` is not installed or fails.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A server to be started with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The `DATABASE_URL` of the database `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The `DATABASE_URL` of one of its databases.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://guestlist@127.0.0.1:{}/{database}", self.port)
    }

    /// The port of the server, which stays its own over crashes and restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every process of the server at once and without a checkpoint, like a crash; transactions
    /// that were committed survive.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            // By SIGQUIT, as `pg_ctl stop --mode=immediate`: by SIGKILL the main process would leave
            // the others behind.
            process.end_by(Signal::Quit);
        }
    }

    /// Starts the server on the same port and waits until it takes connections. A server that runs is
    /// crashed first.
    ///
    /// # Errors
    /// If `postgres` is not installed or does not start.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.crash();
        let mut command = unprivileged_child_command(&program::find("postgres")?, "QUIT");
        command.args(["-D", "data", "-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.current_dir(self.folder.path());
        let log = self.folder.path().join("postgres.log");
        // Held by the server, so that it is ended as it must be should this future be dropped.
        self.process = Some(Process::start("postgres", command, &log)?);
        let state = self.folder.path().join("data/postmaster.pid");
        let is_ready = |process: &Process| {
            let text = fs::read_to_string(&state).unwrap_or_default();
            let mut lines = text.lines();
            lines.next() == Some(&process.id().to_string())
                && lines
                    .nth(6)
                    .is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
        };
        match &mut self.process {
            Some(process) => process.until(START_TIMEOUT, is_ready).await,
            None => Ok(()),
        }
    }

    /// Starts a standby of this server, which follows it by streaming replication and has the same
    /// settings.
    ///
    /// # Errors
    /// If `pg_basebackup` or `postgres` is not installed or fails.
    pub async fn standby(&self) -> Result<Self, Error> {
        let mut standby = Self {
            port: free_port(),
            settings: self.settings.clone(),
            process: None,
            folder: Folder::create(None)?,
        };
        let port = format!("--port={}", self.port);
        let connection = ["--host=127.0.0.1", &port, "--username=guestlist"];
        let copy = [
            "--pgdata=data",
            "--write-recovery-conf",
            "--checkpoint=fast",
        ];
        let arguments = connection.into_iter().chain(copy).chain(["--no-sync"]);
        standby.give_folder()?;
        standby.run("pg_basebackup", arguments).await?;
        standby.start_on_a_free_port().await.map(|()| standby)
    }

    /// Makes a standby a primary, and waits until it is one. Its connections stay open.
    ///
    /// # Errors
    /// If `pg_ctl` is not installed or fails, as for a server that is no standby.
    pub async fn promote(&self) -> Result<(), Error> {
        self.run("pg_ctl", ["promote", "--pgdata=data", "--wait"])
            .await
    }

    async fn create(&self) -> Result<(), Error> {
        self.give_folder()?;
        let user = ["--username=guestlist", "--auth=trust", "--no-locale"];
        let data = ["--pgdata=data", "--encoding=UTF8", "--no-sync"];
        self.run("initdb", user.into_iter().chain(data)).await
    }

    fn give_folder(&self) -> Result<(), Error> {
        if !is_root() {
            return Ok(());
        }
        let given = chown(self.folder.path(), Some(NOBODY), Some(NOBODY));
        given.map_err(Error::io("the folder cannot be given to the user nobody"))
    }

    /// Runs one of Postgres' programs in the folder until it ends.
    async fn run(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = &str>,
    ) -> Result<(), Error> {
        let mut command = unprivileged_child_command(&program::find(program)?, "QUIT");
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let failed = || Error::io(format!("{program} cannot be run"));
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.map_err(|error| failed()(error.into()))?;
        let output = output.map_err(failed())?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Ended {
            program: program.to_owned(),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn start_on_a_free_port(&mut self) -> Result<(), Error> {
        for _ in 1..ATTEMPTS {
            match self.restart().await {
                Err(Error::Ended { .. }) => self.port = free_port(),
                started => return started,
            }
        }
        self.restart().await
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The settings of a [`PostgresServer`] that is not started yet.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    settings: Vec<String>,
    is_durable: bool,
    folder: Option<PathBuf>,
}

impl Builder {
    /// Sets a parameter of the server's configuration, as in `.setting("max_connections", "600")`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// Writes as carefully as Postgres does by default. Otherwise nothing waits for the disk, which is
    /// faster and loses data only if the machine itself crashes.
    pub fn durable(self) -> Self {
        Self {
            is_durable: true,
            ..self
        }
    }

    /// Keeps the cluster and the log, `postgres.log`, in this folder in the place of a temporary one.
    /// A cluster that an earlier server left there is used.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            ..self
        }
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// If `initdb` or `postgres` is not installed or fails.
    pub async fn start(self) -> Result<PostgresServer, Error> {
        let fast = FAST.iter().filter(|_| !self.is_durable);
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
        ];
        let settings = settings.iter().chain(fast).map(ToString::to_string);
        let mut server = PostgresServer {
            port: free_port(),
            settings: settings.chain(self.settings).collect(),
            process: None,
            folder: Folder::create(self.folder)?,
        };
        if !server.folder.path().join("data").exists() {
            server.create().await?;
        }
        server.start_on_a_free_port().await.map(|()| server)
    }
}
