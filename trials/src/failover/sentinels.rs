//! A master, two replicas, and three sentinels that agree on who is what.

use std::collections::HashMap;
use std::path::Path;

use super::node::Node;
use super::until;

const REPLICAS: usize = 2;

pub(super) struct Sentinels {
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
}

impl Sentinels {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut nodes = vec![Node::start(folder, "redis0", &[]).await?];
        let master = nodes[0].port();
        for place in 1..=REPLICAS {
            let node = Node::start(folder, &format!("redis{place}"), &[]).await?;
            node.ask::<()>(&format!("REPLICAOF 127.0.0.1 {master}"))
                .await?;
            nodes.push(node);
        }
        let mut sentinels = Vec::new();
        for place in 0..3 {
            // It writes what it learns into its configuration.
            let name = format!("sentinel{place}");
            let file = folder.join(format!("{name}.conf"));
            std::fs::write(&file, settings(master))?;
            let arguments = [&*file.to_string_lossy(), "--sentinel"];
            sentinels.push(Node::start(folder, &name, &arguments).await?);
        }
        for sentinel in &sentinels {
            until("the sentinels know each other", async || {
                let told = sentinel.ask::<HashMap<String, String>>("SENTINEL MASTER main");
                told.await.is_ok_and(|told| {
                    let says = |name: &str, number: usize| {
                        told.get(name).is_some_and(|it| *it == number.to_string())
                    };
                    says("num-other-sentinels", 2) && says("num-slaves", REPLICAS)
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

    /// The server that all sentinels name, once it is a master.
    pub(super) async fn master(&self) -> Option<usize> {
        let mut named = Vec::new();
        for sentinel in &self.sentinels {
            let told = sentinel.ask::<(String, u16)>("SENTINEL GET-MASTER-ADDR-BY-NAME main");
            named.push(told.await.ok()?.1);
        }
        named.dedup();
        let [port] = named[..] else {
            return None;
        };
        let place = self.nodes.iter().position(|node| node.port() == port)?;
        let told = self.nodes[place].ask::<String>("INFO replication").await;
        told.is_ok_and(|told| told.contains("role:master"))
            .then_some(place)
    }
}

fn settings(master: u16) -> String {
    format!(
        "sentinel monitor main 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds main 1000\n\
         sentinel failover-timeout main 3000\n"
    )
}
