//! A master, two replicas, and three sentinels that watch them.

use std::collections::HashMap;
use std::path::Path;

use guestlist_testkit::RedisServer;

use super::node::Node;
use super::wait_until;

const REPLICAS: usize = 2;

pub(super) struct Sentinels {
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
}

impl Sentinels {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut nodes = vec![Node::start(folder, "redis0", RedisServer::builder()).await?];
        let master = nodes[0].port();
        for index in 1..=REPLICAS {
            let node =
                Node::start(folder, &format!("redis{index}"), RedisServer::builder()).await?;
            node.command::<()>(&format!("REPLICAOF 127.0.0.1 {master}"))
                .await?;
            nodes.push(node);
        }
        let mut sentinels = Vec::new();
        for index in 0..3 {
            // A sentinel writes its state into its configuration file.
            let name = format!("sentinel{index}");
            let file = folder.join(format!("{name}.conf"));
            std::fs::write(&file, settings(master))?;
            let server = RedisServer::builder().arguments([&*file.to_string_lossy(), "--sentinel"]);
            sentinels.push(Node::start(folder, &name, server).await?);
        }
        for sentinel in &sentinels {
            wait_until("the sentinels know each other", async || {
                let info = sentinel.command::<HashMap<String, String>>("SENTINEL MASTER main");
                info.await.is_ok_and(|info| {
                    let has = |name: &str, number: usize| {
                        info.get(name).is_some_and(|it| *it == number.to_string())
                    };
                    has("num-other-sentinels", 2) && has("num-slaves", REPLICAS)
                })
            })
            .await?;
        }
        Ok(Self { nodes, sentinels })
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    pub(super) fn nodes(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Returns the server that all sentinels name as master, once it says so itself.
    pub(super) async fn master(&self) -> Option<usize> {
        let mut named = Vec::new();
        for sentinel in &self.sentinels {
            let address =
                sentinel.command::<(String, u16)>("SENTINEL GET-MASTER-ADDR-BY-NAME main");
            named.push(address.await.ok()?.1);
        }
        named.dedup();
        let [port] = named[..] else {
            return None;
        };
        let index = self.nodes.iter().position(|node| node.port() == port)?;
        let info = self.nodes[index]
            .command::<String>("INFO replication")
            .await;
        info.is_ok_and(|info| info.contains("role:master"))
            .then_some(index)
    }
}

fn settings(master: u16) -> String {
    format!(
        "sentinel monitor main 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds main 1000\n\
         sentinel failover-timeout main 3000\n"
    )
}
