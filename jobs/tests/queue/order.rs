//! The keys in Redis: foreign data, damaged keys, dead processes, the cluster's slots.

use guestlist_jobs::queue::{DEFAULT_PREFIX, Lane, PUSH_LIMIT, Queue};
use guestlist_testkit::{RedisServer, free_port};

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, keys, log, polling, run, until};

const LETTERS: &str = "{core:apalis:queues:list}:guestlist:letters";

struct TestQueue {
    server: RedisServer,
    queue: Queue,
    runs: Runs,
}

impl TestQueue {
    async fn new() -> Self {
        let _ = log();
        let server = RedisServer::start().await.unwrap();
        let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
        let runs = Runs::default();
        Self {
            server,
            queue,
            runs,
        }
    }

    async fn redis(&self, words: &[&str]) {
        self.server.words::<()>(words).await.unwrap();
    }

    /// Adds a task as apalis does, with any payload.
    async fn put_task(&self, id: &str, payload: &str) {
        let (data, meta, active) = (
            format!("{LETTERS}:data"),
            format!("{LETTERS}:meta:{id}"),
            format!("{LETTERS}:active"),
        );
        self.redis(&["HSET", &data, id, payload]).await;
        let fields = ["attempts", "0", "max_attempts", "1", "status", "Pending"];
        self.redis(&[&["HSET", &meta][..], &fields].concat()).await;
        self.redis(&["RPUSH", &active, id]).await;
    }

    /// Asserts that new work runs now and the lane is empty afterwards.
    async fn assert_work_runs(&self) {
        let healthy = dispatches(50);
        until("the push is accepted", async || {
            self.queue.push(Lane::Letters, &healthy).await.is_ok()
        })
        .await;
        until("the healthy ran", async || self.runs.all_once(&healthy)).await;
        until("the lane is empty", async || {
            let data = format!("{LETTERS}:data");
            self.server.words::<usize>(&["HLEN", &data]).await.unwrap() == 0
        })
        .await;
    }
}

#[tokio::test]
async fn undecodable_payloads_are_dropped_with_an_alert() {
    let test = TestQueue::new().await;
    let future = r#"{"v":2,"message":"018f0000-0000-7000-8000-000000000000","generation":1}"#;
    for (id, payload) in [
        ("random-bytes", "\u{0}\u{1}\u{7f}"),
        ("empty", ""),
        ("truncated", "{\"v\":1,\"mess"),
        ("from-the-future", future),
        ("007", "{}"),
    ] {
        test.put_task(id, payload).await;
    }
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs().await;
    let restarts = test.queue.status().restarts;
    assert!(
        restarts <= 1,
        "only the id that apalis rewrites costs a worker: {restarts}"
    );
    running.end().await;
    let ids = [
        "random-bytes",
        "empty",
        "truncated",
        "from-the-future",
        "007",
    ];
    let log = log();
    let alert = |id: &&str| log.contains(&format!("broken queue entries, such as {id};"));
    assert!(ids.iter().any(alert), "{log}");
}

#[tokio::test]
async fn entries_with_missing_or_broken_data_stop_nothing() {
    let test = TestQueue::new().await;
    let active = format!("{LETTERS}:active");
    for number in 0..1_000 {
        test.redis(&["RPUSH", &active, &format!("no-data-{number}")])
            .await;
    }
    test.put_task("bad-meta", "{}").await;
    let meta = format!("{LETTERS}:meta:bad-meta");
    test.redis(&["HSET", &meta, "attempts", "many"]).await;
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs().await;
    let restarts = test.queue.status().restarts;
    assert!(restarts <= 3, "{restarts} restarts for a thousand entries");
    running.end().await;
    assert!(log().contains("broken queue entries, such as "));
}

#[tokio::test]
async fn evicted_or_replaced_keys_are_repaired() {
    let test = TestQueue::new().await;
    for lost in ["active", "data", "workers"] {
        test.queue
            .push(Lane::Letters, &dispatches(PUSH_LIMIT))
            .await
            .unwrap();
        test.redis(&["DEL", &format!("{LETTERS}:{lost}")]).await;
    }
    for replaced in ["active", "data", "workers", "scheduled", "done", "dead"] {
        test.redis(&["SET", &format!("{LETTERS}:{replaced}"), "junk"])
            .await;
    }
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs().await;
    for lost in ["active", "data", "workers"] {
        let batch = dispatches(PUSH_LIMIT);
        test.queue.push(Lane::Letters, &batch).await.unwrap();
        test.redis(&["DEL", &format!("{LETTERS}:{lost}")]).await;
        test.assert_work_runs().await;
    }
    running.end().await;
    // Metadata whose id was lost with the lists can no longer be found, so it must expire.
    for key in keys(&test.server).await {
        let left: i64 = test.server.words(&["TTL", &key]).await.unwrap();
        assert!(left > 0 || key == "core:apalis:queues:list", "{key}");
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_removed() {
    let test = TestQueue::new().await;
    for number in 0..1_500 {
        let id = format!("left-{number}");
        test.put_task(&id, "{}").await;
        test.redis(&["SADD", &format!("{LETTERS}:inflight:killed"), &id])
            .await;
    }
    test.redis(&["DEL", &format!("{LETTERS}:active")]).await;
    test.redis(&["ZADD", &format!("{LETTERS}:workers"), "1000", "killed"])
        .await;
    test.redis(&[
        "HSET",
        &format!("{LETTERS}:workers:metadata:killed"),
        "service",
        "x",
    ])
    .await;
    assert_eq!(test.queue.room(Lane::Letters).await.unwrap(), 0);
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs().await;
    assert_eq!(test.queue.room(Lane::Letters).await.unwrap(), PUSH_LIMIT);
    running.end().await;
    assert_eq!(keys(&test.server).await, ["core:apalis:queues:list"]);
}

#[tokio::test]
async fn live_worker_is_never_taken_for_dead() {
    let test = TestQueue::new().await;
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    polling(&test.queue).await;
    let workers = format!("{LETTERS}:workers");
    let names: Vec<String> = test
        .server
        .words(&["ZRANGE", &workers, "0", "-1"])
        .await
        .unwrap();
    // As if apalis, with all its slots taken, had sent no heartbeat for minutes.
    test.redis(&["ZADD", &workers, "1000", &names[0]]).await;
    until("its process vouches for it", async || {
        let seen: f64 = test
            .server
            .words(&["ZSCORE", &workers, &names[0]])
            .await
            .unwrap();
        seen > 1000.0
    })
    .await;
    test.assert_work_runs().await;
    assert_eq!(test.queue.status().restarts, 0);
    running.end().await;
}

#[tokio::test]
async fn a_copied_queue_entry_runs_once() {
    let test = TestQueue::new().await;
    let batch = dispatches(20);
    test.queue.push(Lane::Letters, &batch).await.unwrap();
    let active = format!("{LETTERS}:active");
    let ids: Vec<String> = test
        .server
        .words(&["LRANGE", &active, "0", "-1"])
        .await
        .unwrap();
    for id in &ids {
        test.redis(&["RPUSH", &active, id]).await;
    }
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs().await;
    running.end().await;
    // Dispatching one generation twice is allowed; the row's own generation makes it one effect.
    assert!(
        batch
            .iter()
            .all(|dispatch| (1..=2).contains(&test.runs.of(dispatch)))
    );
}

#[tokio::test]
async fn every_key_is_in_one_cluster_slot() {
    let server = RedisServer::builder()
        .cluster_node(free_port())
        .start()
        .await
        .unwrap();
    server
        .command::<()>("CLUSTER ADDSLOTSRANGE 0 16383")
        .await
        .unwrap();
    until("the cluster is up", async || {
        server
            .command::<String>("CLUSTER INFO")
            .await
            .unwrap()
            .contains("cluster_state:ok")
    })
    .await;
    let queue = Queue::redis(&server.url().parse().unwrap(), "other");
    let runs = Runs::default();
    let note = runs.handler();
    let running = run(&queue, SLOTS, DRAIN, move |lane, dispatch| {
        let noted = note(lane, dispatch);
        Box::pin(async move {
            noted.await;
            std::future::pending::<()>().await;
        })
    });
    polling(&queue).await;
    for lane in Lane::ALL {
        queue.push(lane, &dispatches(100)).await.unwrap();
    }
    until("every slot runs", async || {
        runs.len() == SLOTS.letters + SLOTS.urgent
    })
    .await;
    queue.check().await.unwrap();
    let mut slots = Vec::new();
    for key in keys(&server).await {
        slots.push(
            server
                .words::<u16>(&["CLUSTER", "KEYSLOT", &key])
                .await
                .unwrap(),
        );
    }
    assert!(slots.len() > 200);
    slots.dedup();
    assert_eq!(slots.len(), 1);
    running.task.abort();
}
