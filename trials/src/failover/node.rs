//! One Redis server of several.

use std::path::Path;
use std::time::Duration;

use guestlist_testkit::{RedisServer, redis as redis_server};

/// A key that every worker writes. Its name is the hash tag of all keys of the queue.
pub(super) const TAG: &str = "core:apalis:queues:list";

/// Time-out of a command. A server that was just killed does not answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// A private Redis server with its own folder, which can be killed and restarted.
pub(super) struct Node(RedisServer);

impl Node {
    /// Starts a server in the folder `name` of `folder`.
    pub(super) async fn start(
        folder: &Path,
        name: &str,
        server: redis_server::Builder,
    ) -> anyhow::Result<Self> {
        let server = server.folder(folder.join(name)).start().await?;
        Ok(Self(server))
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port()
    }

    /// Starts the server again, without data.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        Ok(self.0.restart().await?)
    }

    /// Kills the server. Its data is lost.
    pub(super) fn kill(&mut self) {
        self.0.kill();
    }

    /// Runs a command, whose words are separated by spaces.
    pub(super) async fn command<T: redis_server::FromReply>(
        &self,
        line: &str,
    ) -> anyhow::Result<T> {
        Ok(tokio::time::timeout(COMMAND_TIMEOUT, self.0.command(line)).await??)
    }

    /// Returns true if it is a replica that has synchronized with its master.
    pub(super) async fn is_synchronized(&self) -> bool {
        let info = self.command::<String>("INFO replication").await;
        info.is_ok_and(|info| info.contains("role:slave") && info.contains("master_link_status:up"))
    }

    /// Number of dispatches that it holds, of all lanes.
    pub(super) async fn dispatches(&self) -> anyhow::Result<u64> {
        let mut held = 0;
        for key in self.command::<Vec<String>>("KEYS *:data").await? {
            held += self.command::<u64>(&format!("HLEN {key}")).await?;
        }
        Ok(held)
    }
}
