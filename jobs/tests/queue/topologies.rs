//! Redis with more than one server: dispatches lost in a failover are sent again, and the queue
//! finds the new master.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    time::Duration,
};

use guestlist::SessionKey;
use guestlist_jobs::{
    queue::{DEFAULT_PREFIX, Lane, Queue},
    sessions::{KeyPattern, RedisSessions, SessionStore as _},
};
use guestlist_testkit::redis::Reply;
use guestlist_testkit::{RedisServer, free_port};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, keys, polling, push_all, run, until};

/// The time limit of the tests' own client.
const LIMIT: Duration = Duration::from_secs(30);

/// The hash tag of every key of the queue.
const TAG: &str = "{core:apalis:queues:list}";

/// Pushes until a push is accepted and its dispatches have run.
async fn push_until_run(queue: &Queue, runs: &Runs) {
    for lane in Lane::ALL {
        until("work runs", async || {
            let fresh = dispatches(1);
            if queue.push(lane, &fresh).await.is_err() {
                return false;
            }
            // Dispatches lost in a failover are not awaited; here only their lease would bring
            // them back.
            for _ in 0..100 {
                if runs.all_once(&fresh) {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            false
        })
        .await;
    }
}

/// A sentinel of its own, and the folder of its configuration file, which it writes to.
async fn sentinel(master: u16) -> (RedisServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.conf");
    let settings = format!(
        "sentinel monitor main 127.0.0.1 {master} 1\n\
         sentinel auth-pass main word\n\
         sentinel down-after-milliseconds main 300\n\
         sentinel failover-timeout main 3000\n"
    );
    fs::write(&file, settings).unwrap();
    let sentinel = RedisServer::builder()
        .arguments([&*file.to_string_lossy(), "--sentinel"])
        .password("guard")
        .start();
    (sentinel.await.unwrap(), folder)
}

#[tokio::test]
async fn new_master_is_found_through_sentinels_after_failover() {
    let protected = RedisServer::builder().password("word");
    let mut master = protected.clone().start().await.unwrap();
    let replica = protected.start().await.unwrap();
    replica
        .command::<()>(&format!("REPLICAOF 127.0.0.1 {}", master.port()))
        .await
        .unwrap();
    let (sentinel, _folder) = sentinel(master.port()).await;
    until("the sentinel knows the replica", async || {
        let replicas = sentinel.command::<Vec<Reply>>("SENTINEL REPLICAS main");
        replicas.await.is_ok_and(|replicas| replicas.len() == 1)
            && replica
                .command::<String>("INFO replication")
                .await
                .unwrap()
                .contains("master_link_status:up")
    })
    .await;

    // One of the sentinels does not answer.
    let url = format!(
        "redis+sentinel://:word@127.0.0.1:{},127.0.0.1:{}/main?sentinel_password=guard",
        free_port(),
        sentinel.port()
    );
    let queue = Queue::redis(&url.parse().unwrap(), DEFAULT_PREFIX);
    let told = queue.check().await.unwrap().to_string();
    assert!(told.contains("main of the sentinels 127.0.0.1:"), "{told}");
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    let before = dispatches(400);
    push_all(&queue, Lane::Letters, &before).await;
    until("work flows", async || runs.all_once(&before)).await;
    assert_eq!(queue.status().reconnects, 0);

    master.kill();
    until("the replica is promoted", async || {
        // The server closes its connections when it becomes a replica.
        let told = replica.words::<String>(&["INFO", "replication"]).await;
        told.is_ok_and(|told| told.contains("role:master"))
    })
    .await;
    push_until_run(&queue, &runs).await;
    polling(&queue).await;
    assert!(queue.status().reconnects > 0);
    assert!(!keys(&replica).await.is_empty());
    running.end().await;
}

/// Two masters, each with half of the slots.
async fn cluster() -> [RedisServer; 2] {
    let bus = free_port();
    let nodes = [
        RedisServer::builder().cluster_node(free_port()).start(),
        RedisServer::builder().cluster_node(bus).start(),
    ];
    let [first, second] = nodes.map(Box::pin);
    let nodes = [first.await.unwrap(), second.await.unwrap()];
    let halves = ["0 8191", "8192 16383"];
    for (node, half) in nodes.iter().zip(halves) {
        node.command::<()>(&format!("CLUSTER ADDSLOTSRANGE {half}"))
            .await
            .unwrap();
    }
    let port = nodes[1].port();
    nodes[0]
        .command::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"))
        .await
        .unwrap();
    for node in &nodes {
        until("the cluster is up", async || {
            let info = node.command::<String>("CLUSTER INFO").await.unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        })
        .await;
    }
    nodes
}

fn url_of(nodes: &[RedisServer; 2]) -> String {
    let [first, second] = nodes.each_ref().map(RedisServer::port);
    format!("redis+cluster://127.0.0.1:{first},127.0.0.1:{second}")
}

/// True if the node owns the slot of the queue's keys.
async fn owns(node: &RedisServer) -> bool {
    let asked = node.words::<u64>(&["EXISTS", TAG]).await;
    asked.is_ok()
}

#[tokio::test]
async fn moved_cluster_slot_is_followed() {
    let nodes = cluster().await;
    let queue = Queue::redis(&url_of(&nodes).parse().unwrap(), DEFAULT_PREFIX);
    let told = queue.check().await.unwrap().to_string();
    assert!(told.contains("the cluster 127.0.0.1:"), "{told}");
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    let before = dispatches(400);
    push_all(&queue, Lane::Letters, &before).await;
    until("work flows", async || runs.all_once(&before)).await;
    assert_eq!(queue.status().reconnects, 0);

    let [one, other] = &nodes;
    let (from, to) = match owns(one).await {
        true => (one, other),
        false => (other, one),
    };
    let slot = from
        .command::<u16>(&format!("CLUSTER KEYSLOT {TAG}"))
        .await
        .unwrap();
    let names = (
        from.command::<String>("CLUSTER MYID").await.unwrap(),
        to.command::<String>("CLUSTER MYID").await.unwrap(),
    );
    // The new owner has the newer configuration epoch, so the old one drops its keys of the
    // slot. All of them are lost, as can happen in a failover.
    for order in [
        format!("CLUSTER SETSLOT {slot} IMPORTING {}", names.0),
        format!("CLUSTER SETSLOT {slot} NODE {}", names.1),
    ] {
        to.command::<()>(&order).await.unwrap();
    }
    until("the slot has moved", async || {
        owns(to).await && !owns(from).await
    })
    .await;
    push_until_run(&queue, &runs).await;
    polling(&queue).await;
    running.end().await;
    assert!(!keys(to).await.is_empty());
}

/// Starts to move the slot of `key`; the key itself has already moved.
async fn move_half_way([one, other]: &[RedisServer; 2], key: &str) {
    let slot = one
        .command::<u16>(&format!("CLUSTER KEYSLOT {key}"))
        .await
        .unwrap();
    let (from, to) = match slot {
        ..8192 => (one, other),
        _ => (other, one),
    };
    let names = (
        from.command::<String>("CLUSTER MYID").await.unwrap(),
        to.command::<String>("CLUSTER MYID").await.unwrap(),
    );
    to.command::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", names.0))
        .await
        .unwrap();
    from.command::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", names.1))
        .await
        .unwrap();
    from.command::<()>(&format!("MIGRATE 127.0.0.1 {} {key} 0 1000", to.port()))
        .await
        .unwrap();
}

#[tokio::test]
async fn sessions_end_in_every_cluster_slot() {
    let nodes = cluster().await;
    let node = url_of(&nodes).replace("redis+cluster", "redis");
    let node = node.split(',').next().unwrap().to_owned();
    // The client's own limits are short for a busy machine.
    let client = redis::cluster::ClusterClient::builder([node])
        .connection_timeout(LIMIT)
        .response_timeout(LIMIT)
        .build()
        .unwrap();
    let mut connection = client.get_async_connection().await.unwrap();
    for number in 0..50 {
        for whose in ["hers", "his"] {
            let mut set = redis::cmd("SET");
            set.arg(format!("sess:{whose}-{number}")).arg(1);
            set.exec_async(&mut connection).await.unwrap();
        }
    }
    let [first, second] = &nodes;
    assert!(keys(first).await.len() > 20 && keys(second).await.len() > 20);

    let pattern: KeyPattern = "sess:{session}".parse().unwrap();
    let store = RedisSessions::new(&url_of(&nodes).parse().unwrap(), pattern);
    let hers: Vec<SessionKey> = (0..50)
        .map(|number| format!("hers-{number}").parse().unwrap())
        .collect();
    move_half_way(&nodes, "sess:hers-0").await;
    store.delete(&hers).await.unwrap();
    store.delete(&hers).await.unwrap();
    let rest = [keys(first).await, keys(second).await].concat();
    assert_eq!(rest.len(), 50);
    assert!(rest.iter().all(|key| key.starts_with("sess:his-")));
}

#[tokio::test]
async fn demoted_server_is_left_for_the_names_new_address() {
    let (first, second) = (
        RedisServer::start().await.unwrap(),
        RedisServer::start().await.unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let leads_to = Arc::new(AtomicU16::new(first.port()));
    let target = Arc::clone(&leads_to);
    let name = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let port = target.load(SeqCst);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let queue = Queue::redis(&url.parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    push_until_run(&queue, &runs).await;

    // Open connections stay with the old server, which answers and refuses writes.
    leads_to.store(second.port(), SeqCst);
    first
        .command::<()>(&format!("REPLICAOF 127.0.0.1 {}", second.port()))
        .await
        .unwrap();
    push_until_run(&queue, &runs).await;
    polling(&queue).await;
    assert!(!keys(&second).await.is_empty());
    assert_eq!(queue.status().reconnects, 1);
    running.end().await;
    name.abort();
}

#[tokio::test]
async fn only_lost_connections_are_counted() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    push_until_run(&queue, &runs).await;
    for killed in 0..3 {
        assert_eq!(queue.status().reconnects, killed);
        server
            .command::<()>("CLIENT KILL TYPE normal")
            .await
            .unwrap();
        until("it is connected again", async || {
            queue.status().reconnects > killed
        })
        .await;
        push_until_run(&queue, &runs).await;
        polling(&queue).await;
    }
    // A worker that ends for another reason keeps the connection.
    let restarts = queue.status().restarts;
    server.command::<()>("FLUSHALL").await.unwrap();
    until("the workers are new", async || {
        queue.status().restarts > restarts
    })
    .await;
    push_until_run(&queue, &runs).await;
    polling(&queue).await;
    assert_eq!(queue.status().reconnects, 3);
    running.end().await;
}
