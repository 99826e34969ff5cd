//! A private Redis server that a test can kill and start again.

mod reply;

use std::path::PathBuf;
use std::time::Duration;

use redis::AsyncConnectionConfig;

pub use self::reply::{FromReply, Reply};
use crate::folder::Folder;
use crate::process::{Process, child_command};
use crate::{Error, free_port, program};

/// The time limit for the start of the server.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit for the answer to a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of ports that are tried: another program can take a port between its choice and its use.
const ATTEMPTS: u32 = 5;

/// Lines of the log after which a server or a sentinel takes connections.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

/// A private `redis-server` on a port of 127.0.0.1, without persistence; killed when dropped.
///
/// ```
/// # if guestlist_testkit::program::find("redis-server").is_err() { return Ok(()); }
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::RedisServer;
///
/// let mut server = RedisServer::start().await?;
/// println!("REDIS_URL={}", server.url());
/// server.kill();
/// server.restart().await?; // on the same port, empty
/// # let keys: Vec<String> = server.command("KEYS *").await?;
/// # assert!(keys.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    password: Option<String>,
    arguments: Vec<String>,
    process: Option<Process>,
    folder: Folder,
}

impl RedisServer {
    /// Starts a server on a free port, without a password.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A server to be started with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The `REDIS_URL` of the server, with its password.
    pub fn url(&self) -> String {
        let password = self.password.as_ref();
        let credentials = password.map(|password| format!(":{password}@"));
        let port = self.port;
        format!(
            "redis://{}127.0.0.1:{port}/",
            credentials.unwrap_or_default()
        )
    }

    /// The port of the server, which stays its own over kills and restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server by SIGKILL; its data is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server on the same port, empty, and waits until it takes connections. A server that
    /// runs is killed first.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.kill();
        let mut command = child_command(&program::find("redis-server")?, "KILL");
        command
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "notice"])
            .current_dir(self.folder.path());
        let log = self.folder.path().join("redis.log");
        let before = std::fs::read(&log).map_or(0, |log| log.len());
        let mut process = Process::start("redis-server", command, &log)?;
        let is_ready = |_: &Process| {
            let text = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text[before.min(text.len())..]);
            READY.iter().any(|line| text.contains(line))
        };
        process.until(START_TIMEOUT, is_ready).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Tells whether the server runs: it was not killed.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| !process.has_ended())
    }

    /// Runs a command whose words are separated by spaces, such as `FLUSHALL` or
    /// `CONFIG SET maxmemory 1`.
    ///
    /// # Errors
    /// If the server is down, refuses the command, does not answer within 10 s, or gives a reply of
    /// another form than `T`.
    pub async fn command<T: FromReply>(&self, line: &str) -> Result<T, Error> {
        let words: Vec<&str> = line.split(' ').collect();
        self.words(&words).await
    }

    /// Runs a command whose words may hold spaces.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn words<T: FromReply>(&self, words: &[&str]) -> Result<T, Error> {
        let answer = async {
            let client = redis::Client::open(self.url())?;
            // Without limits of its own, which are half a second for an answer: ours are longer.
            let unlimited = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&unlimited)
                .await?;
            let mut command = redis::Cmd::new();
            command.arg(words);
            command.query_async::<redis::Value>(&mut connection).await
        };
        let failed = |problem: String| Error::Redis {
            command: words.join(" "),
            problem,
        };
        let reply = match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|error| failed(error.to_string()))?,
            Err(_) => {
                return Err(failed(format!(
                    "no reply within {} s",
                    ANSWER_TIMEOUT.as_secs()
                )));
            }
        };
        let unexpected = failed(format!("unexpected reply {reply:?}"));
        let read = Reply::read(reply).and_then(T::from_reply);
        read.ok_or(unexpected)
    }
}

/// The settings of a [`RedisServer`] that is not started yet.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    port: Option<u16>,
    password: Option<String>,
    arguments: Vec<String>,
    folder: Option<PathBuf>,
}

impl Builder {
    /// Uses this port in the place of a free one.
    pub fn port(self, port: u16) -> Self {
        Self {
            port: Some(port),
            ..self
        }
    }

    /// Requires this password from clients, and uses it towards a master.
    pub fn password(self, password: &str) -> Self {
        let password = password.to_owned();
        let arguments = ["--requirepass", &password, "--masterauth", &password];
        Self {
            password: Some(password.clone()),
            ..self.arguments(arguments)
        }
    }

    /// Adds arguments of `redis-server`, such as `--maxmemory 1mb`. A configuration file has to be
    /// the first.
    pub fn arguments<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Starts a node of a cluster that has no slots yet; `bus` is its port for the other nodes.
    pub fn cluster_node(self, bus: u16) -> Self {
        let bus = bus.to_string();
        self.arguments(["--cluster-enabled", "yes", "--cluster-port", &bus])
    }

    /// Keeps the log, `redis.log`, in this folder in the place of a temporary one. One folder must
    /// not serve two servers.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            ..self
        }
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start.
    pub async fn start(self) -> Result<RedisServer, Error> {
        let mut server = RedisServer {
            port: self.port.unwrap_or_else(free_port),
            password: self.password,
            arguments: self.arguments,
            process: None,
            folder: Folder::create(self.folder)?,
        };
        for _ in 1..ATTEMPTS {
            match server.restart().await {
                Err(Error::Ended { .. }) if self.port.is_none() => server.port = free_port(),
                started => return started.map(|()| server),
            }
        }
        server.restart().await.map(|()| server)
    }
}
