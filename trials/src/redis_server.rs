//! A private Redis server without persistence.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::port::free_port;
use crate::process::{Process, child_command};

/// Maximum time to start or to answer a command.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A `redis-server` process on a free loopback port. Its data is lost when it ends.
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
        server.spawn()?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts the server without data, and does not wait until it is ready.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = child_command(Path::new("redis-server"), "KILL");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&self.folder);
        let log = self.folder.join("redis.log");
        self.process = Some(Process::start("redis", &mut command, &log)?);
        Ok(())
    }

    /// Ends the server with SIGKILL, like a crash.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Runs a command, given as words separated by spaces. Does nothing if the server is stopped.
    pub(crate) async fn command(&self, line: &str) -> anyhow::Result<()> {
        if self.process.is_none() {
            return Ok(());
        }
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, self.query(line)).await;
        answer.with_context(|| format!("redis-server does not answer the command {line}"))??;
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

    /// Waits until it answers PING.
    pub(crate) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        while let Err(error) = self.query("PING").await {
            if Instant::now() > deadline {
                bail!("redis-server does not answer: {error}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
