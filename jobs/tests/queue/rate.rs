//! Turns at the mail server: one rate for all workers of a queue, and no turn without an answer.

use std::time::{Duration, Instant};

use guestlist_jobs::mailer::Rate;
use guestlist_jobs::queue::{Lane, PUSH_LIMIT, Queue, QueueError};
use guestlist_testkit::RedisServer;

use crate::fixture::{dispatches, keys, until};

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn paced(server: &RedisServer, prefix: &str, letters: &str) -> Queue {
    let queue = Queue::redis(&server.url().parse().unwrap(), prefix);
    queue.paced(rate(letters))
}

/// The least time between the first and the last of `n` turns, whenever they were requested: `n`
/// less a burst intervals.
fn least(rate: Rate, n: u32) -> Duration {
    rate.interval() * n.saturating_sub(rate.burst())
}

#[tokio::test]
async fn two_queues_on_one_redis_share_one_rate() {
    let server = RedisServer::start().await.unwrap();
    let pair = [
        paced(&server, "shared", "50"),
        paced(&server, "shared", "50"),
    ];
    let began = Instant::now();
    for n in 1..=200 {
        let wait = pair[n as usize % 2].turn().await.unwrap();
        let turn = began.elapsed() + wait;
        let least = least(rate("50"), n);
        assert!(turn >= least, "turn {n} after {turn:?}, not {least:?}");
    }
}

#[tokio::test]
async fn idle_time_allows_one_burst() {
    let server = RedisServer::start().await.unwrap();
    let queue = paced(&server, "rested", "20");
    for _ in 0..2 {
        queue.turn().await.unwrap();
    }
    let key = keys(&server).await.remove(0);
    until("the key is gone with the rest", async || {
        !keys(&server).await.contains(&key)
    })
    .await;
    let began = Instant::now();
    for n in 1..=40 {
        let turn = queue.turn().await.unwrap();
        assert!(began.elapsed() + turn >= least(rate("20"), n), "turn {n}");
    }
}

#[tokio::test]
async fn installations_sharing_redis_have_separate_rates() {
    let server = RedisServer::start().await.unwrap();
    let (one, other) = (
        paced(&server, "one", "0.01"),
        paced(&server, "other", "0.01"),
    );
    assert_eq!(one.turn().await.unwrap(), Duration::ZERO);
    assert_eq!(other.turn().await.unwrap(), Duration::ZERO);
    assert!(one.turn().await.unwrap() > Duration::from_secs(50));
}

#[tokio::test]
async fn rate_state_is_one_expiring_key_in_the_shared_slot() {
    let server = RedisServer::start().await.unwrap();
    let queue = paced(&server, "tidy", "0.5");
    for _ in 0..5 {
        queue.turn().await.unwrap();
    }
    let keys = keys(&server).await;
    assert_eq!(keys, ["{core:apalis:queues:list}:tidy:turns"]);
    let left: i64 = server.words(&["PTTL", &keys[0]]).await.unwrap();
    assert!((1..=10_000).contains(&left), "{left}");
}

#[tokio::test]
async fn wrong_clock_or_key_type_delays_nobody() {
    let server = RedisServer::start().await.unwrap();
    let queue = paced(&server, "odd", "10");
    let key = "{core:apalis:queues:list}:odd:turns";
    for odd in [
        &["SET", key, "99999999999999999"][..],
        &["SET", key, "1"],
        &["SET", key, "tomorrow"],
        &["RPUSH", key, "1"],
    ] {
        server.command::<()>("FLUSHALL").await.unwrap();
        server.words::<()>(odd).await.unwrap();
        assert_eq!(queue.turn().await.unwrap(), Duration::ZERO, "{odd:?}");
        assert!(queue.turn().await.unwrap() > Duration::ZERO, "{odd:?}");
    }
}

#[tokio::test]
async fn no_turn_is_granted_while_redis_is_down_or_full() {
    let mut server = RedisServer::start().await.unwrap();
    let queue = paced(&server, "down", "100");
    server
        .command::<()>("CONFIG SET maxmemory 1")
        .await
        .unwrap();
    let refused = queue.turn().await.unwrap_err();
    assert!(matches!(refused, QueueError::Redis { .. }), "{refused}");
    server
        .command::<()>("CONFIG SET maxmemory 0")
        .await
        .unwrap();
    queue.turn().await.unwrap();
    server.kill();
    for _ in 0..3 {
        queue.turn().await.unwrap_err();
    }
    server.restart().await.unwrap();
    until("turns are given again", async || queue.turn().await.is_ok()).await;
}

#[tokio::test]
async fn rate_limits_the_letters_in_the_queue() {
    let server = RedisServer::start().await.unwrap();
    for queue in [
        paced(&server, "room", "1.5"),
        Queue::memory().paced(rate("1.5")),
    ] {
        assert_eq!(queue.wanted(Lane::Letters).await.unwrap(), 15, "{queue:?}");
        assert_eq!(queue.wanted(Lane::Urgent).await.unwrap(), PUSH_LIMIT);
        queue.push(Lane::Letters, &dispatches(12)).await.unwrap();
        queue.push(Lane::Urgent, &dispatches(12)).await.unwrap();
        assert_eq!(queue.wanted(Lane::Letters).await.unwrap(), 3, "{queue:?}");
        queue.push(Lane::Letters, &dispatches(12)).await.unwrap();
        assert_eq!(queue.wanted(Lane::Letters).await.unwrap(), 0, "{queue:?}");
        assert_eq!(queue.wanted(Lane::Urgent).await.unwrap(), PUSH_LIMIT);
    }
}

#[tokio::test]
async fn without_a_rate_turns_are_immediate_and_store_nothing() {
    let server = RedisServer::start().await.unwrap();
    for queue in [
        Queue::redis(&server.url().parse().unwrap(), "free"),
        Queue::memory(),
    ] {
        assert!(!queue.is_paced());
        for _ in 0..100 {
            assert_eq!(queue.turn().await.unwrap(), Duration::ZERO);
        }
    }
    assert_eq!(keys(&server).await, [""; 0]);
}
