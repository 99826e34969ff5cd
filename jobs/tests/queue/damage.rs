//! Keys of the queue that another program replaced or filled: mended at once, with few log lines.

use std::time::{Duration, Instant};

use guestlist_jobs::queue::{DEFAULT_PREFIX, Lane, PUSH_LIMIT, Queue};
use guestlist_testkit::RedisServer;

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, keys, log, polling, run, until};

/// The commands that make a key of each type, with the key as `KEY`.
const TYPES: [(&str, &str); 6] = [
    ("string", "SET KEY junk"),
    ("list", "RPUSH KEY junk"),
    ("set", "SADD KEY junk"),
    ("zset", "ZADD KEY 1 junk"),
    ("hash", "HSET KEY junk junk"),
    ("stream", "XADD KEY * junk junk"),
];

struct Damaged {
    server: RedisServer,
    queue: Queue,
    runs: Runs,
}

impl Damaged {
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

    /// Replaces a key by one of another type, in one step. Returns `false` if the key is that of a worker
    /// that is no longer registered.
    async fn replace(&self, key: &str, by: &str) -> bool {
        let script =
            "if ARGV[1] ~= '' and not redis.call('zscore', ARGV[1], ARGV[2]) then return 0 end
            redis.call('del', KEYS[1])
            redis.call(unpack(ARGV, 3))
            return 1";
        let mut parts = [":workers:metadata:", ":inflight:"].into_iter();
        let of_worker = parts.find_map(|part| key.split_once(part));
        let (workers, name) = match of_worker {
            Some((queue, name)) => (format!("{queue}:workers"), name),
            None => (String::new(), ""),
        };
        let command = by.replace("KEY", key);
        let mut words = vec!["EVAL", script, "1", key, &workers, name];
        words.extend(command.split(' '));
        self.server.words::<i64>(&words).await.unwrap() == 1
    }

    /// Replaces the keys that a pattern stands for now, or will stand for when `id` is pushed.
    async fn replace_all(&self, pattern: &str, id: &str, by: &str) -> Vec<String> {
        let mut replaced = Vec::new();
        until(pattern, async || {
            for key in self.matches(pattern, id).await {
                if self.replace(&key, by).await {
                    replaced.push(key);
                }
            }
            !replaced.is_empty()
        })
        .await;
        replaced
    }

    /// Returns the keys that a pattern stands for now, or will stand for when `id` is pushed.
    async fn matches(&self, pattern: &str, id: &str) -> Vec<String> {
        let Some((before, _)) = pattern.split_once('*') else {
            return vec![pattern.to_owned()];
        };
        if before.ends_with(":meta:") {
            return vec![format!("{before}{id}")];
        }
        let queue = before.find(":workers:").or(before.find(":inflight:"));
        let workers = format!("{}:workers", &before[..queue.unwrap()]);
        let names = ["ZRANGE", &workers, "0", "-1"];
        let names: Vec<String> = self.server.words(&names).await.unwrap();
        names.iter().map(|name| format!("{before}{name}")).collect()
    }

    /// Asserts that a push to each lane is accepted and runs, and that the rate limit gives a turn.
    async fn assert_work_runs(&self, what: &str, fresh: &[guestlist::Ticket; 2]) {
        for (lane, fresh) in Lane::ALL.into_iter().zip(fresh) {
            until(what, async || {
                self.queue.push(lane, &[*fresh]).await.is_ok()
            })
            .await;
            until(what, async || self.runs.of(fresh) > 0).await;
            // It is acknowledged and swept, so that a worker has nothing in flight.
            until(what, async || {
                self.queue
                    .room(lane)
                    .await
                    .is_ok_and(|room| room == PUSH_LIMIT)
            })
            .await;
        }
        let limiter = self.queue.rate_limiter("1000".parse().unwrap());
        let wait = limiter.reserve_slot().await.unwrap();
        assert!(wait < Duration::from_secs(2), "{what}: {wait:?}");
    }
}

fn fresh() -> [guestlist::Ticket; 2] {
    dispatches(2).try_into().unwrap()
}

/// Damages every key, before and while workers run, and expects new work to run.
async fn every_key_may_be_a(wrong: &str) {
    let test = Damaged::new().await;
    let command = TYPES.iter().find(|(name, _)| *name == wrong).unwrap().1;
    let patterns = test.queue.keys();
    let patterns = patterns.iter().filter(|(_, kind)| *kind != wrong);
    for (pattern, kind) in patterns {
        let what = format!("{pattern} is a {wrong}, not a {kind}");
        if !pattern.contains('*') {
            test.replace(pattern, command).await;
        }
        let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
        test.assert_work_runs(&what, &fresh()).await;
        let [urgent, letter] = fresh();
        let id = if pattern.contains("letters") {
            letter
        } else {
            urgent
        };
        let damaged = test.replace_all(pattern, &id.to_string(), command).await;
        test.assert_work_runs(&what, &[urgent, letter]).await;
        running.end().await;
        for key in &damaged {
            let now: String = test.server.words(&["TYPE", key]).await.unwrap();
            assert!(
                ["none", kind].contains(&now.as_str()),
                "{what}: {key} {now}"
            );
        }
        test.server.command::<()>("FLUSHALL").await.unwrap();
    }
}

#[tokio::test]
async fn every_key_may_be_a_string() {
    every_key_may_be_a("string").await;
}

#[tokio::test]
async fn every_key_may_be_a_list() {
    every_key_may_be_a("list").await;
}

#[tokio::test]
async fn every_key_may_be_a_set() {
    every_key_may_be_a("set").await;
}

#[tokio::test]
async fn every_key_may_be_a_sorted_set() {
    every_key_may_be_a("zset").await;
}

#[tokio::test]
async fn every_key_may_be_a_hash() {
    every_key_may_be_a("hash").await;
}

#[tokio::test]
async fn every_key_may_be_a_stream() {
    every_key_may_be_a("stream").await;
}

#[tokio::test]
async fn every_key_in_redis_is_in_the_list_of_keys() {
    let test = Damaged::new().await;
    let note = test.runs.handler();
    let running = run(&test.queue, SLOTS, DRAIN, move |lane, dispatch| {
        let noted = note(lane, dispatch);
        Box::pin(async move {
            noted.await;
            std::future::pending::<()>().await;
        })
    });
    polling(&test.queue).await;
    for lane in Lane::ALL {
        test.queue.push(lane, &dispatches(50)).await.unwrap();
    }
    let limiter = test.queue.rate_limiter("0.1".parse().unwrap());
    limiter.reserve_slot().await.unwrap();
    until("every slot runs", async || {
        test.runs.len() == SLOTS.letters + SLOTS.urgent
    })
    .await;
    let listed = test.queue.keys();
    let found = keys(&test.server).await;
    assert!(found.len() > 100);
    for key in found {
        let kind: String = test.server.words(&["TYPE", &key]).await.unwrap();
        let is_listed = listed.iter().any(|(pattern, listed)| {
            *listed == kind
                && match pattern.split_once('*') {
                    Some((before, _)) => key.starts_with(before),
                    None => *pattern == key,
                }
        });
        assert!(is_listed, "{key}, a {kind}");
    }
    running.task.abort();
}

#[tokio::test]
async fn hundreds_of_thousands_of_junk_entries_are_a_few_lines() {
    let test = Damaged::new().await;
    let fill = "for i = 1, 1000 do redis.call(ARGV[1], KEYS[1], ARGV[2] .. i, i) end";
    for (pattern, kind) in test.queue.keys() {
        let command = match kind {
            "hash" => "hset",
            "list" => "rpush",
            "set" => "sadd",
            _ => continue,
        };
        if pattern.contains('*') || !pattern.contains("letters") {
            continue;
        }
        for part in 0..200 {
            let id = format!("junk-{part}-");
            let words = ["EVAL", fill, "1", &pattern, command, &id];
            until("it is filled", async || {
                test.server.words::<()>(&words).await.is_ok()
            })
            .await;
        }
    }
    // As many as a window allows, so that they are read one by one.
    let active = test.queue.keys().into_iter();
    let active = active
        .map(|(key, _)| key)
        .find(|key| key.ends_with("letters:active"));
    let active = active.unwrap();
    test.server.words::<()>(&["DEL", &active]).await.unwrap();
    let fill = fill.replace("1000", "3000");
    let words = ["EVAL", &fill, "1", &active, "rpush", "a-few-"];
    test.server.words::<()>(&words).await.unwrap();
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    test.assert_work_runs("junk is swept", &fresh()).await;
    running.end().await;
    let log = log();
    assert!(log.contains("damaged keys of the queue in Redis"), "{log}");
    assert!(log.contains("broken queue entries, such as"), "{log}");
    let lines = log.lines().filter(|line| line.contains("queue::junk_log"));
    let lines = lines.count();
    assert!(lines <= 8, "{lines} lines: {log}");
}

/// A program that writes keys of the queue with any type and any value.
struct Vandal {
    keys: Vec<(String, &'static str)>,
    state: u64,
}

impl Vandal {
    fn chance(&mut self, most: usize) -> usize {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % 1_000_003).unwrap() % most
    }

    /// Returns a value: an id, a number, or text of every kind.
    fn value(&mut self) -> String {
        let ticket = dispatches(1)[0].to_string();
        match self.chance(9) {
            0 => "nan".to_owned(),
            1 => "1e400".to_owned(),
            2 => "-7".to_owned(),
            3 => "x".repeat(2_000),
            4 => "\u{1b}[2J\n".to_owned(),
            5 => ticket,
            6 => ticket.split(':').next().unwrap().to_owned(),
            7 => r#"{"v":1}"#.to_owned(),
            _ => format!("junk-{}", self.chance(1_000)),
        }
    }

    /// Writes one key: of the right type with junk in it, or of any type.
    async fn strike(&mut self, server: &RedisServer) {
        let chosen = self.chance(self.keys.len());
        let (mut key, mut kind) = self.keys[chosen].clone();
        if let Some((before, _)) = key.clone().split_once('*') {
            let known: Vec<String> = keys(server).await;
            let known: Vec<_> = known.iter().filter(|key| key.starts_with(before)).collect();
            key = match known.len() {
                0 => format!("{before}{}", self.value()),
                some => known[self.chance(some)].clone(),
            };
        }
        if self.chance(2) == 0 {
            let other = self.chance(TYPES.len());
            kind = TYPES[other].0;
            server.words::<()>(&["DEL", &key]).await.unwrap();
        }
        let (value, score) = (self.value(), ["0", "inf", "-inf", "1.5e9"][self.chance(4)]);
        let words: Vec<&str> = match kind {
            "string" => vec!["SET", &key, &value],
            "list" => vec!["RPUSH", &key, &value],
            "set" => vec!["SADD", &key, &value],
            "zset" => vec!["ZADD", &key, score, &value],
            "hash" => vec!["HSET", &key, &value, &value],
            _ => vec!["XADD", &key, "*", "junk", &value],
        };
        // The queue may have made a key of the right type meanwhile.
        let _ = server.words::<()>(&words).await;
    }
}

#[tokio::test]
async fn a_vandal_costs_seconds_and_a_few_lines() {
    let test = Damaged::new().await;
    let seed = u64::from(std::process::id()) | 1;
    println!("seed {seed}");
    let mut vandal = Vandal {
        keys: test.queue.keys(),
        state: seed,
    };
    let running = run(&test.queue, SLOTS, DRAIN, test.runs.handler());
    polling(&test.queue).await;
    let (began, mut strikes, mut pushed) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(5) {
        vandal.strike(&test.server).await;
        strikes += 1;
        if test.queue.push(Lane::Letters, &dispatches(1)).await.is_ok() {
            pushed += 1;
        }
    }
    println!(
        "{strikes} strikes, {pushed} pushes, {} ran",
        test.runs.len()
    );
    test.assert_work_runs("work runs after the vandal", &fresh())
        .await;
    assert!(test.runs.len() > 2, "work runs beside a vandal");
    running.end().await;
    let log = log();
    let lines = log.lines().filter(|line| line.contains("queue::junk_log"));
    let lines = lines.count();
    assert!((1..=12).contains(&lines), "{lines} lines: {log}");
}
