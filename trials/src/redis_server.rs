//! A private Redis server that forgets when it is told to.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::port::free_port;
use crate::process::{Process, tied};

/// How long it may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A `redis-server` of our own on a free loopback port, without persistence.
pub(crate) struct RedisServer {
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl RedisServer {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut server = Self {
            port: free_port()?,
            folder: folder.to_owned(),
            process: None,
        };
        server.go_on()?;
        server.until_ready().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts the server, empty, and does not wait for it.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        let mut command = tied(Path::new("redis-server"), "KILL");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&self.folder);
        let log = self.folder.join("redis.log");
        self.process = Some(Process::start("redis", &mut command, &log)?);
        Ok(())
    }

    /// Ends the server as a crash would; what it held is gone.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Runs a command whose words are parted by spaces. A server that is down does nothing.
    pub(crate) async fn command(&self, line: &str) -> anyhow::Result<()> {
        if self.process.is_none() {
            return Ok(());
        }
        let answer = tokio::time::timeout(PATIENCE, self.query(line)).await;
        answer.with_context(|| format!("redis does not answer to {line}"))??;
        Ok(())
    }

    async fn query(&self, line: &str) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        command.arg(words.collect::<Vec<_>>());
        command.query_async(&mut connection).await
    }

    /// Waits until it answers.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.query("PING").await {
            if Instant::now() > deadline {
                bail!("redis-server does not answer: {error}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
