//! Every failure of Redis: the queue recovers by itself, soon after Redis does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use guestlist_jobs::RedisUrl;
use guestlist_jobs::queue::{Concurrency, DEFAULT_PREFIX, Lane, Queue, QueueError};
use guestlist_testkit::{RedisServer, free_port};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, log, polling, push_all, run, until};

/// The time in which the queue recovers. On an idle machine it takes a second or two.
const SOON: Duration = Duration::from_secs(15);

/// Breaks Redis while work runs, waits until the queue has noticed, repairs Redis, and expects new
/// work to run soon.
async fn survives(
    mut server: RedisServer,
    break_it: impl AsyncFnOnce(&mut RedisServer),
    heal: impl AsyncFnOnce(&mut RedisServer),
) {
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    let before = dispatches(400);
    push_all(&queue, Lane::Letters, &before).await;
    until("work flows", async || runs.all_once(&before)).await;

    break_it(&mut server).await;
    until("the failure is noticed", async || {
        queue.status().restarts > 0
    })
    .await;
    assert!(!running.task.is_finished());
    heal(&mut server).await;

    let healed = Instant::now();
    for lane in Lane::ALL {
        let fresh = dispatches(1);
        until("a push is accepted", async || {
            queue.push(lane, &fresh).await.is_ok()
        })
        .await;
        until("new work runs", async || runs.all_once(&fresh)).await;
    }
    polling(&queue).await;
    println!("well again after {:?}", healed.elapsed());
    assert!(healed.elapsed() < SOON, "{:?}", healed.elapsed());
    assert_eq!(running.end().await.abandoned, 0);
}

#[tokio::test]
async fn redis_killed_and_restarted_empty() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| server.kill(),
        async |server| server.restart().await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn redis_flushed() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| server.command::<()>("FLUSHALL").await.unwrap(),
        async |_| {},
    )
    .await;
}

#[tokio::test]
async fn redis_turned_into_a_read_only_replica() {
    let port = free_port();
    survives(
        RedisServer::start().await.unwrap(),
        async |server| {
            server
                .command(&format!("REPLICAOF 127.0.0.1 {port}"))
                .await
                .unwrap()
        },
        async |server| server.command("REPLICAOF NO ONE").await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn redis_without_its_required_replicas() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| {
            server
                .command("CONFIG SET min-replicas-to-write 1")
                .await
                .unwrap()
        },
        async |server| {
            server
                .command("CONFIG SET min-replicas-to-write 0")
                .await
                .unwrap()
        },
    )
    .await;
}

#[tokio::test]
async fn redis_out_of_memory() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| {
            server
                .command::<()>("CONFIG SET maxmemory 1")
                .await
                .unwrap();
            // An idle worker writes nothing and so notices nothing.
            server
                .command::<()>("CLIENT KILL TYPE normal")
                .await
                .unwrap();
            server.command("FLUSHALL").await.unwrap()
        },
        async |server| server.command("CONFIG SET maxmemory 0").await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn redis_stalled() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| server.command("CLIENT PAUSE 4000 ALL").await.unwrap(),
        async |_| {},
    )
    .await;
}

#[tokio::test]
async fn redis_evicting_keys() {
    survives(
        RedisServer::start().await.unwrap(),
        async |server| {
            server
                .command::<()>("CONFIG SET maxmemory-policy allkeys-random")
                .await
                .unwrap();
            server.command("CONFIG SET maxmemory 1").await.unwrap()
        },
        async |server| server.command("CONFIG SET maxmemory 0").await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn connections_cut_by_the_server_are_replaced() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    for _ in 0..5 {
        polling(&queue).await;
        server
            .command::<()>("CLIENT KILL TYPE normal")
            .await
            .unwrap();
        let fresh = dispatches(1);
        until("a push is accepted", async || {
            queue.push(Lane::Letters, &fresh).await.is_ok()
        })
        .await;
        until("new work runs", async || runs.all_once(&fresh)).await;
    }
    running.end().await;
}

#[tokio::test]
async fn redis_started_after_the_worker() {
    let _ = log();
    let port = free_port();
    let url = format!("redis://:hunter2@127.0.0.1:{port}/");
    let queue = Queue::redis(&url.parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    let refused = queue.push(Lane::Letters, &dispatches(1)).await;
    assert!(matches!(refused, Err(QueueError::Redis { .. })));
    until("it was tried again", async || queue.status().restarts > 3).await;
    assert!(!queue.is_polling());

    let _server = RedisServer::builder()
        .port(port)
        .password("hunter2")
        .start()
        .await
        .unwrap();
    let began = Instant::now();
    polling(&queue).await;
    assert!(began.elapsed() < SOON);
    let fresh = dispatches(1);
    queue.push(Lane::Letters, &fresh).await.unwrap();
    until("new work runs", async || runs.all_once(&fresh)).await;
    running.end().await;

    let told = format!("{queue:?} {refused:?} {}", log());
    assert!(told.contains("is started again") && told.contains("polls again"));
    assert!(!told.contains("hunter2"));
    assert!(
        "redis://:hunter2@"
            .parse::<RedisUrl>()
            .is_err_and(|error| { !format!("{error:?} {error}").contains("hunter2") })
    );
}

#[tokio::test]
async fn handler_survives_a_flush_and_keeps_its_slot() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let gate = Arc::new(Semaphore::new(0));
    let (runs, door) = (Runs::default(), Arc::clone(&gate));
    let note = runs.clone();
    let slots = Concurrency::ONE.letters(4);
    let (counter, peak) = (queue.clone(), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&peak);
    let running = run(&queue, slots, DRAIN, move |_, dispatch| {
        let (note, door) = (note.clone(), Arc::clone(&door));
        peak.fetch_max(counter.status().running, SeqCst);
        async move {
            door.acquire().await.unwrap().forget();
            note.note(dispatch);
        }
        .boxed()
    });
    let first = dispatches(4);
    queue.push(Lane::Letters, &first).await.unwrap();
    until("every slot is taken", async || queue.status().running == 4).await;
    server.command::<()>("FLUSHALL").await.unwrap();
    // The idle lane notices first, the other one when its first handler has finished.
    gate.add_permits(1);
    until("the letters worker is new", async || {
        queue.status().restarts >= 2
    })
    .await;
    let second = dispatches(8);
    until("a push is accepted", async || {
        queue.push(Lane::Letters, &second).await.is_ok()
    })
    .await;
    until("the free slot is taken", async || {
        queue.status().running == 4
    })
    .await;
    // The new worker's other tasks wait for a slot, and must not start after the stop.
    running.stop.cancel();
    gate.add_permits(100);
    assert_eq!(running.task.await.unwrap().abandoned, 0);
    assert!(runs.all_once(&first));
    assert_eq!(runs.len(), 5);
    assert_eq!(most.load(SeqCst), 4);
}

#[tokio::test]
async fn silent_connection_is_replaced() {
    let server = RedisServer::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let target = server.port();
    let blackhole = Arc::new(Notify::new());
    let swallow = Arc::clone(&blackhole);
    let proxy = tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let upstream = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
            tokio::spawn(forward(client, upstream, Arc::clone(&swallow)));
        }
    });
    let queue = Queue::redis(&url.parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    polling(&queue).await;
    // Existing connections stay silent for ever; new ones work.
    blackhole.notify_waiters();
    until("the failure is noticed", async || {
        queue.status().restarts > 0
    })
    .await;
    let fresh = dispatches(1);
    until("a push is accepted", async || {
        queue.push(Lane::Letters, &fresh).await.is_ok()
    })
    .await;
    until("new work runs", async || runs.all_once(&fresh)).await;
    running.end().await;
    proxy.abort();
}

/// Copies until told to swallow, then reads and discards for ever.
async fn forward(mut client: TcpStream, mut upstream: TcpStream, swallow: Arc<Notify>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => return,
        () = swallow.notified() => {}
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn unreachable_redis_delays_no_stop() {
    let mut server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let running = run(&queue, SLOTS, DRAIN, Runs::default().handler());
    polling(&queue).await;
    server.kill();
    let asked = Instant::now();
    assert_eq!(running.end().await.abandoned, 0);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn check_detects_an_unhealthy_server() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let health = queue.check().await.unwrap();
    assert!(!health.may_evict());
    assert!(health.version.is_some_and(|version| version.contains('.')));
    server
        .command::<()>("CONFIG SET maxmemory-policy allkeys-lru")
        .await
        .unwrap();
    assert!(
        queue
            .check()
            .await
            .unwrap()
            .to_string()
            .contains("nothing is lost")
    );
    server
        .command::<()>("CONFIG SET min-replicas-to-write 1")
        .await
        .unwrap();
    assert!(matches!(queue.check().await, Err(QueueError::Redis { .. })));
    assert_eq!(
        Queue::memory().check().await.unwrap().to_string(),
        "in this process"
    );
}
