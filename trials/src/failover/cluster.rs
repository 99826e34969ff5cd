//! A cluster of three masters with a replica each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use guestlist_testkit::{RedisServer, free_port};

use super::node::{Node, TAG};
use super::wait_until;

pub(super) struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for index in 0..6 {
            let server = RedisServer::builder()
                .cluster_node(free_port())
                .arguments(["--cluster-node-timeout", "1000"]);
            nodes.push(Node::start(folder, &format!("redis{index}"), server).await?);
        }
        let addresses = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .context("redis-cli")?;
        if !made.status.success() {
            bail!("redis-cli: {}", String::from_utf8_lossy(&made.stdout));
        }
        let cluster = Self { nodes };
        wait_until(
            "the cluster is up and its replicas are synchronized",
            async || cluster.is_up().await,
        )
        .await?;
        Ok(cluster)
    }

    async fn is_up(&self) -> bool {
        let mut replicas = 0;
        for node in &self.nodes {
            let info = node.command::<String>("CLUSTER INFO").await;
            if !info.is_ok_and(|info| info.contains("cluster_state:ok")) {
                return false;
            }
            replicas += usize::from(node.is_synchronized().await);
        }
        replicas == self.nodes.len() / 2
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    pub(super) fn nodes(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Returns the master of the slot that holds the queue's keys. Every other server answers with a
    /// redirection.
    pub(super) async fn master(&self) -> Option<usize> {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.command::<u64>(&format!("EXISTS {TAG}")).await.is_ok() {
                return Some(index);
            }
        }
        None
    }
}
