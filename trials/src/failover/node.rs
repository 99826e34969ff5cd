//! One Redis server of several.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{FromRedisValue, RedisResult};

use super::wait_until;
use crate::port::free_port;
use crate::process::{Process, child_command};

/// A key that every worker writes. Its name is the hash tag of all keys of the queue.
pub(super) const TAG: &str = "core:apalis:queues:list";

/// Time-out of a command. A server that was just killed does not answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// A private `redis-server` with its own folder, which can be killed and restarted.
pub(super) struct Node {
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Starts a server on a free loopback port, with additional `arguments`.
    pub(super) async fn start(
        folder: &Path,
        name: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        let mut node = Self {
            port: free_port()?,
            folder,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
        };
        node.spawn()?;
        wait_until("redis-server answers", async || {
            node.command::<String>("PING").await.is_ok()
        })
        .await?;
        Ok(node)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server without data and does not wait until it answers.
    pub(super) fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = child_command(Path::new("redis-server"), "KILL");
        command
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&self.folder);
        let log = self.folder.join("log");
        self.process = Some(Process::start("redis", &mut command, &log)?);
        Ok(())
    }

    /// Kills the server. Its data is lost.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Runs a command, whose words are separated by spaces.
    pub(super) async fn command<T: FromRedisValue>(&self, line: &str) -> RedisResult<T> {
        let answer = async {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap_or_default());
            command.arg(words.collect::<Vec<_>>());
            command.query_async(&mut connection).await
        };
        let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(COMMAND_TIMEOUT, answer)
            .await
            .map_err(timed_out)?
    }

    /// Returns true if it is a replica that has synchronized with its master.
    pub(super) async fn is_synchronized(&self) -> bool {
        let info = self.command::<String>("INFO replication").await;
        info.is_ok_and(|info| info.contains("role:slave") && info.contains("master_link_status:up"))
    }

    /// Number of dispatches that it holds, of all lanes.
    pub(super) async fn dispatches(&self) -> RedisResult<u64> {
        let mut held = 0;
        for key in self.command::<Vec<String>>("KEYS *:data").await? {
            held += self.command::<u64>(&format!("HLEN {key}")).await?;
        }
        Ok(held)
    }
}
