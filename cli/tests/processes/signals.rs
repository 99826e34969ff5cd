//! Workers that get one signal, two signals, or SIGKILL.

use std::time::{Duration, Instant};

use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::installation::Installation;
use crate::worker::eventually;

const PEOPLE: usize = 1_000;

/// A mail server that stalls on its first `connections` connections.
fn stalling(connections: usize) -> Script {
    Script::default().rule(Rule::new(Stage::Data, Action::Stall).times(connections))
}

#[test]
fn restarted_workers_finish_their_letters() {
    let installation = Installation::new();
    installation.invite(PEOPLE);
    let mut first = installation.worker("first");
    let mut beside = installation.worker("beside");
    for (tenths, signal) in (1..8).zip(["TERM", "INT"].into_iter().cycle()) {
        installation.until_letters(PEOPLE / 10 * tenths);
        let asked = Instant::now();
        first.signal(signal);
        assert_eq!(first.ended(), 0, "{}", first.log());
        let time = asked.elapsed();
        assert!(time < Duration::from_secs(20), "it drained for {time:?}");
        first = installation.worker(signal);
    }
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    assert_eq!(installation.received_letters().repeated(), 0);
    first.stop();
    beside.stop();
    installation.assert_redis_is_empty();
}

#[test]
fn killed_worker_repeats_at_most_two_letters_per_connection() {
    let installation = Installation::new().with("GUESTLIST_CONCURRENCY", "4");
    installation.invite(PEOPLE);
    let (mut killed, mut other) = (installation.worker("killed"), installation.worker("other"));
    installation.until_letters(PEOPLE / 5);
    killed.kill();
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    // Two letters per connection may have been sent without being recorded.
    assert!(
        installation.received_letters().repeated() <= 8,
        "{}",
        installation.received_letters().repeated()
    );
    other.stop();
}

#[test]
fn second_signal_ends_the_worker_without_loss() {
    const STALLED: usize = 4;
    let installation = Installation::with_mail_server(stalling(STALLED))
        .with("GUESTLIST_CONCURRENCY", "4")
        .with("GUESTLIST_DRAIN", "2m");
    installation.invite(20);
    let mut worker = installation.worker("stopped");
    eventually("the mail server stalls", || {
        installation.seen().heard("DATA") == STALLED
    });
    worker.signal("TERM");
    eventually("it is told", || worker.said("stopping") == 1);
    let asked = Instant::now();
    worker.signal("INT");
    assert_eq!(worker.ended(), 1, "{}", worker.log());
    let time = asked.elapsed();
    assert!(time < Duration::from_secs(20), "it drained for {time:?}");
    assert_eq!(installation.letters(), 0);
    let mut next = installation.worker("next");
    installation.until_done();
    installation.assert_delivered(20);
    assert_eq!(installation.received_letters().repeated(), 0);
    next.stop();
}

#[test]
fn work_beyond_the_drain_time_is_left_to_the_next_worker() {
    const STALLED: usize = 4;
    let installation = Installation::with_mail_server(stalling(STALLED))
        .with("GUESTLIST_CONCURRENCY", "4")
        .with("GUESTLIST_DRAIN", "2s");
    installation.invite(20);
    let mut worker = installation.worker("stopped");
    eventually("the mail server stalls", || {
        installation.seen().heard("DATA") == STALLED
    });
    let asked = Instant::now();
    worker.stop();
    let (time, drain) = (asked.elapsed(), Duration::from_secs(2));
    assert!((drain..10 * drain).contains(&time), "{time:?}");
    assert_eq!(
        worker.said("4 jobs were interrupted"),
        1,
        "{}",
        worker.log()
    );
    let mut next = installation.worker("next");
    installation.until_done();
    installation.assert_delivered(20);
    assert_eq!(installation.received_letters().repeated(), 0);
    next.stop();
}
