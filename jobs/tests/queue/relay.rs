//! The queue under a relay with rows of its own, as the outbox drives it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use guestlist::{MessageId, Ticket};
use guestlist_jobs::queue::{Concurrency, DEFAULT_PREFIX, Lane, Queue, WINDOW};
use guestlist_testkit::RedisServer;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::fixture::{DRAIN, Runs, dispatches, keys, polling, push_all, run, until};

const LEASE: Duration = Duration::from_secs(2);
const SLOTS: Concurrency = Concurrency::ONE.urgent(2).letters(64);

#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<HashMap<MessageId, Row>>>);

#[derive(Default)]
struct Row {
    generation: i64,
    leased: Option<Instant>,
    effects: usize,
    done: bool,
}

impl Outbox {
    fn with_rows(count: usize) -> Self {
        let rows = (0..count).map(|_| (MessageId::from(Uuid::now_v7()), Row::default()));
        Self(Arc::new(Mutex::new(rows.collect())))
    }

    fn lease(&self, most: usize) -> Vec<Ticket> {
        let now = Instant::now();
        let mut rows = self.0.lock().unwrap();
        rows.iter_mut()
            .filter(|(_, row)| !row.done && row.leased.is_none_or(|until| until <= now))
            .take(most)
            .map(|(id, row)| {
                row.generation += 1;
                row.leased = Some(now + LEASE);
                Ticket::new(*id, row.generation)
            })
            .collect()
    }

    fn begin(&self, dispatch: Ticket) -> bool {
        let mut rows = self.0.lock().unwrap();
        let row = rows.get_mut(&dispatch.message).unwrap();
        let ours = !row.done && row.generation == dispatch.generation;
        row.effects += usize::from(ours);
        if ours {
            // A worker renews the lease of what it works on.
            row.leased = Some(Instant::now() + LEASE);
        }
        ours
    }

    fn settle(&self, dispatch: Ticket) {
        self.0
            .lock()
            .unwrap()
            .get_mut(&dispatch.message)
            .unwrap()
            .done = true;
    }

    fn count(&self, which: impl Fn(&Row) -> bool) -> usize {
        self.0
            .lock()
            .unwrap()
            .values()
            .filter(|row| which(row))
            .count()
    }

    fn handler(&self) -> impl Fn(Lane, Ticket) -> BoxFuture<'static, ()> + Clone + use<> {
        let outbox = self.clone();
        move |_, dispatch| {
            let outbox = outbox.clone();
            async move {
                if outbox.begin(dispatch) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    outbox.settle(dispatch);
                }
            }
            .boxed()
        }
    }

    fn relay(&self, queue: &Queue) -> AbortOnDropHandle<()> {
        let (outbox, queue) = (self.clone(), queue.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let room = queue.room(Lane::Letters).await.unwrap_or(0);
                let batch = outbox.lease(room);
                // After an error the result is unknown, so the lease decides.
                let _ = queue.push(Lane::Letters, &batch).await;
                if batch.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_flushes_lose_and_repeat_no_row() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let outbox = Outbox::with_rows(20_000);
    let running = run(&queue, SLOTS, DRAIN, outbox.handler());
    let began = Instant::now();
    let relay = outbox.relay(&queue);
    let mut keys = 0;
    for flush_at in [4_000, 9_000, 14_000, 20_000] {
        until("rows are done", async || {
            keys = keys.max(server.command::<usize>("DBSIZE").await.unwrap());
            outbox.count(|row| row.done) >= flush_at
        })
        .await;
        if flush_at < 20_000 {
            server.command::<()>("FLUSHALL").await.unwrap();
        }
    }
    println!("20000 rows in {:?}, at most {keys} keys", began.elapsed());
    drop(relay);
    assert_eq!(running.end().await.abandoned, 0);
    assert_eq!(outbox.count(|row| row.effects != 1), 0);
    assert!(keys <= WINDOW + 20, "{keys} keys");
    assert_only_constant_keys_remain(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_the_work_and_one_may_die() {
    let server = RedisServer::start().await.unwrap();
    let survivor = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let victim = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let outbox = Outbox::with_rows(3_000);
    let (by_survivor, by_victim) = (Runs::default(), Runs::default());
    let counted = |runs: &Runs| {
        let (runs, handle) = (runs.clone(), outbox.handler());
        move |lane, dispatch| {
            runs.note(dispatch);
            handle(lane, dispatch)
        }
    };
    let running = run(&survivor, SLOTS, DRAIN, counted(&by_survivor));
    let dying = run(&victim, SLOTS, DRAIN, counted(&by_victim));
    polling(&survivor).await;
    polling(&victim).await;
    let relay = outbox.relay(&survivor);
    until("both have worked", async || {
        by_survivor.len() > 200 && by_victim.len() > 200
    })
    .await;
    dying.task.abort();
    until("all rows are done", async || {
        outbox.count(|row| !row.done) == 0
    })
    .await;
    drop(relay);
    running.end().await;
    let cut_off = outbox.count(|row| row.effects > 1);
    assert!(
        cut_off <= SLOTS.letters,
        "{cut_off} ran again after the crash"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_constant_keys_remain_after_a_run() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    polling(&queue).await;
    let began = Instant::now();
    push_all(&queue, Lane::Letters, &dispatches(20_000)).await;
    until("all have run", async || runs.len() == 20_000).await;
    let rate = 20_000.0 / began.elapsed().as_secs_f64();
    println!("{rate:.0} dispatches/s of a handler that does nothing");
    running.end().await;
    assert_only_constant_keys_remain(&server).await;
}

#[tokio::test]
async fn idle_worker_polls_redis_a_few_times_a_second() {
    let server = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX);
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    push_all(&queue, Lane::Letters, &dispatches(100)).await;
    until("all have run", async || runs.len() == 100).await;
    server.command::<()>("CONFIG RESETSTAT").await.unwrap();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stats: String = server.command("INFO commandstats").await.unwrap();
    let seconds = began.elapsed().as_secs_f64();
    running.end().await;
    let fetches = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="))
        .and_then(|line| line.split(',').next()?.parse::<f64>().ok());
    println!("{fetches:?} scripts in {seconds} idle seconds");
    // Two lanes poll ten times a second, and the supervisor sweeps both four times.
    let per_second = fetches.unwrap() / seconds;
    assert!(per_second < 60.0, "{per_second} a second");
}

async fn assert_only_constant_keys_remain(server: &RedisServer) {
    // The list of queues that apalis itself keeps.
    assert_eq!(keys(server).await, ["core:apalis:queues:list"]);
}
