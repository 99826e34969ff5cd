//! A Redis server among several.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{FromRedisValue, RedisResult};

use super::until;
use crate::port::free_port;
use crate::process::{Process, tied};

/// The key that every process writes, and whose name is the hash tag of all keys of the queue.
pub(super) const TAG: &str = "core:apalis:queues:list";

/// How long an answer may take; a server that was just killed gives none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A `redis-server` of our own with a folder of its own, that can be killed and started again.
pub(super) struct Node {
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Starts a server on a free loopback port, with `arguments` besides.
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
        node.go_on()?;
        until("redis-server answers", async || {
            node.ask::<String>("PING").await.is_ok()
        })
        .await?;
        Ok(node)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server, empty, and does not wait for it.
    pub(super) fn go_on(&mut self) -> anyhow::Result<()> {
        let mut command = tied(Path::new("redis-server"), "KILL");
        command
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&self.folder);
        let log = self.folder.join("log");
        self.process = Some(Process::start("redis", &mut command, &log)?);
        Ok(())
    }

    /// Ends the server as a crash would; what it held is gone.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), |mut it| it.kill())
    }

    /// Runs a command whose words are parted by spaces.
    pub(super) async fn ask<T: FromRedisValue>(&self, line: &str) -> RedisResult<T> {
        let answer = async {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap_or_default());
            command.arg(words.collect::<Vec<_>>());
            command.query_async(&mut connection).await
        };
        let silence = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(silence)?
    }

    /// Whether it follows a master and has what the master has.
    pub(super) async fn is_in_step(&self) -> bool {
        let told = self.ask::<String>("INFO replication").await;
        told.is_ok_and(|told| told.contains("role:slave") && told.contains("master_link_status:up"))
    }

    /// How many dispatches of every lane it holds.
    pub(super) async fn dispatches(&self) -> RedisResult<u64> {
        let mut held = 0;
        for key in self.ask::<Vec<String>>("KEYS *:data").await? {
            held += self.ask::<u64>(&format!("HLEN {key}")).await?;
        }
        Ok(held)
    }
}
