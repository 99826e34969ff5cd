//! A private PgBouncer in transaction mode.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::time::Duration;

use crate::folder::Folder;
use crate::process::{NOBODY, Process, is_root, unprivileged_child_command};
use crate::{Error, PostgresServer, free_port, program};

/// The time limit for the start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of ports that are tried: another program can take a port between its choice and its use.
const ATTEMPTS: u32 = 5;

/// A private `pgbouncer` on a port of 127.0.0.1 with `pool_mode = transaction`, before a
/// [`PostgresServer`]; ended when dropped.
///
/// ```no_run
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::{PgBouncer, PostgresServer};
///
/// let postgres = PostgresServer::start().await?;
/// let pooler = PgBouncer::start(&postgres, 10).await?;
/// println!("DATABASE_URL={}?pgbouncer=true", pooler.url());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    // Dropped before its folder.
    _process: Process,
    _folder: Folder,
}

impl PgBouncer {
    /// Starts a pooler with at most `connections` connections to each database of the server.
    ///
    /// # Errors
    /// If `pgbouncer` is not installed or does not start.
    pub async fn start(server: &PostgresServer, connections: u32) -> Result<Self, Error> {
        for _ in 1..ATTEMPTS {
            match Self::start_once(server, connections).await {
                Err(Error::Ended { .. }) => {}
                started => return started,
            }
        }
        Self::start_once(server, connections).await
    }

    async fn start_once(server: &PostgresServer, connections: u32) -> Result<Self, Error> {
        let (folder, port) = (Folder::create(None)?, free_port());
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=guestlist\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 1000\n",
            server.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).map_err(Error::io("the settings cannot be written"))?;
        if is_root() {
            let given = chown(folder.path(), Some(NOBODY), Some(NOBODY));
            given.map_err(Error::io("the folder cannot be given to the user nobody"))?;
        }
        let mut command = unprivileged_child_command(&program::find("pgbouncer")?, "KILL");
        command.arg("pgbouncer.ini").current_dir(folder.path());
        let log = folder.path().join("pgbouncer.log");
        let mut process = Process::start("pgbouncer", command, &log)?;
        let is_ready = |_: &Process| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            said.contains("process up") && TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        process.until(START_TIMEOUT, is_ready).await?;
        Ok(Self {
            port,
            _process: process,
            _folder: folder,
        })
    }

    /// The port of the pooler.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the database `postgres`, without the parameter `pgbouncer`.
    pub fn url(&self) -> String {
        format!("postgres://guestlist@127.0.0.1:{}/postgres", self.port)
    }
}
