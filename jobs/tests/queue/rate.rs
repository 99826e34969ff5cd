//! Turns at the mail server: one rate for all workers of a queue, and no turn without an answer.

use std::time::{Duration, Instant};

use guestlist_jobs::queue::{Lane, PUSH_LIMIT, Queue};
use guestlist_jobs::{Rate, RateLimiter};
use guestlist_testkit::RedisServer;

use crate::fixture::{dispatches, keys, until};

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn limiter(server: &RedisServer, prefix: &str, letters: &str) -> RateLimiter {
    Queue::redis(&server.url().parse().unwrap(), prefix).rate_limiter(rate(letters))
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
        limiter(&server, "shared", "50"),
        limiter(&server, "shared", "50"),
    ];
    let began = Instant::now();
    for n in 1..=200 {
        let wait = pair[n as usize % 2].reserve_slot().await.unwrap();
        let turn = began.elapsed() + wait;
        let least = least(rate("50"), n);
        assert!(turn >= least, "turn {n} after {turn:?}, not {least:?}");
    }
}

#[tokio::test]
async fn idle_time_allows_one_burst() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter(&server, "rested", "20");
    for _ in 0..2 {
        limiter.reserve_slot().await.unwrap();
    }
    until("the key is gone with the rest", async || {
        keys(&server).await.is_empty()
    })
    .await;
    let began = Instant::now();
    for n in 1..=40 {
        let turn = limiter.reserve_slot().await.unwrap();
        assert!(began.elapsed() + turn >= least(rate("20"), n), "turn {n}");
    }
}

#[tokio::test]
async fn installations_sharing_redis_have_separate_rates() {
    let server = RedisServer::start().await.unwrap();
    let (one, other) = (
        limiter(&server, "one", "0.01"),
        limiter(&server, "other", "0.01"),
    );
    assert_eq!(one.reserve_slot().await.unwrap(), Duration::ZERO);
    assert_eq!(other.reserve_slot().await.unwrap(), Duration::ZERO);
    assert!(one.reserve_slot().await.unwrap() > Duration::from_secs(50));
}

#[tokio::test]
async fn rate_state_is_one_expiring_key_in_the_shared_slot() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter(&server, "tidy", "0.5");
    for _ in 0..5 {
        limiter.reserve_slot().await.unwrap();
    }
    let keys = keys(&server).await;
    assert_eq!(keys, ["{core:apalis:queues:list}:tidy:turns"]);
    let left: i64 = server.words(&["PTTL", &keys[0]]).await.unwrap();
    assert!((1..=10_000).contains(&left), "{left}");
}

#[tokio::test]
async fn wrong_clock_or_key_type_delays_nobody() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter(&server, "odd", "0.1");
    let key = "{core:apalis:queues:list}:odd:turns";
    for odd in [
        &["SET", key, "99999999999999999"][..],
        &["SET", key, "1"],
        &["SET", key, "tomorrow"],
        &["SET", key, "nan"],
        &["SET", key, "-inf"],
        &["RPUSH", key, "1"],
    ] {
        server.command::<()>("FLUSHALL").await.unwrap();
        server.words::<()>(odd).await.unwrap();
        assert_eq!(
            limiter.reserve_slot().await.unwrap(),
            Duration::ZERO,
            "{odd:?}"
        );
        assert!(
            limiter.reserve_slot().await.unwrap() > Duration::ZERO,
            "{odd:?}"
        );
    }
}

#[tokio::test]
async fn no_turn_is_granted_while_redis_is_down_or_full() {
    let mut server = RedisServer::start().await.unwrap();
    let limiter = limiter(&server, "down", "100");
    server
        .command::<()>("CONFIG SET maxmemory 1")
        .await
        .unwrap();
    limiter.reserve_slot().await.unwrap_err();
    server
        .command::<()>("CONFIG SET maxmemory 0")
        .await
        .unwrap();
    limiter.reserve_slot().await.unwrap();
    server.kill();
    for _ in 0..3 {
        limiter.reserve_slot().await.unwrap_err();
    }
    server.restart().await.unwrap();
    until("turns are given again", async || {
        limiter.reserve_slot().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn rate_limits_the_letters_in_the_queue() {
    let server = RedisServer::start().await.unwrap();
    for queue in [
        Queue::redis(&server.url().parse().unwrap(), "room"),
        Queue::memory(),
    ] {
        let most = queue.rate_limiter(rate("1.5")).most_waiting();
        let wanted = async |lane| queue.wanted(lane, most).await.unwrap();
        assert_eq!(wanted(Lane::Letters).await, 15, "{queue:?}");
        assert_eq!(wanted(Lane::Urgent).await, PUSH_LIMIT);
        queue.push(Lane::Letters, &dispatches(12)).await.unwrap();
        queue.push(Lane::Urgent, &dispatches(12)).await.unwrap();
        assert_eq!(wanted(Lane::Letters).await, 3, "{queue:?}");
        queue.push(Lane::Letters, &dispatches(12)).await.unwrap();
        assert_eq!(wanted(Lane::Letters).await, 0, "{queue:?}");
        assert_eq!(wanted(Lane::Urgent).await, PUSH_LIMIT);
    }
}
