//! Workers that are told to stop, told twice, and killed.

use std::time::Duration;

use crate::installation::Site;
use crate::smtp::{Act, Script};
use crate::worker::eventually;

const PEOPLE: usize = 1_000;

/// A mail server that takes no letter on its first `connections` connections, and says nothing.
fn stalling(connections: usize) -> Script {
    (0..connections).fold(Script::default(), |script, _| script.on("DATA", Act::Stall))
}

#[test]
fn a_worker_restarted_again_and_again_finishes_what_runs_and_the_next_goes_on() {
    let site = Site::new();
    site.invite(PEOPLE);
    let mut first = site.worker("first");
    let mut beside = site.worker("beside");
    for (tenths, signal) in (1..8).zip(["TERM", "INT"].into_iter().cycle()) {
        site.until_letters(PEOPLE / 10 * tenths);
        first.signal(signal);
        let (status, time) = first.ended();
        assert_eq!(status, 0, "{}", first.log());
        assert!(time < Duration::from_secs(5), "{time:?}");
        first = site.worker(signal);
    }
    site.until_done();
    site.assert_delivered(PEOPLE);
    assert_eq!(site.post().repeated(), 0);
    first.stop();
    beside.stop();
    site.assert_redis_is_empty();
}

#[test]
fn a_worker_killed_in_the_middle_repeats_at_most_two_letters_a_connection() {
    let site = Site::new().with("GUESTLIST_CONCURRENCY", "4");
    site.invite(PEOPLE);
    let (mut killed, mut other) = (site.worker("killed"), site.worker("other"));
    site.until_letters(PEOPLE / 5);
    killed.kill();
    site.until_done();
    site.assert_delivered(PEOPLE);
    // Two letters for each connection may have left unrecorded.
    assert!(site.post().repeated() <= 8, "{}", site.post().repeated());
    other.stop();
}

#[test]
fn a_second_signal_ends_a_worker_at_once_and_nothing_is_lost() {
    const STALLED: usize = 4;
    let site = Site::with_mail_server(stalling(STALLED)).with("GUESTLIST_CONCURRENCY", "4");
    site.invite(20);
    let mut worker = site.worker("stopped");
    eventually("the mail server stalls", || {
        site.seen().heard("DATA") == STALLED
    });
    worker.signal("TERM");
    eventually("it is told", || worker.said("stopping") == 1);
    worker.signal("INT");
    let (status, time) = worker.ended();
    assert_eq!(status, 1, "{}", worker.log());
    assert!(time < Duration::from_secs(1), "{time:?}");
    assert_eq!(site.letters(), 0);
    let mut next = site.worker("next");
    site.until_done();
    site.assert_delivered(20);
    assert_eq!(site.post().repeated(), 0);
    next.stop();
}

#[test]
fn what_outlasts_the_drain_time_is_cut_off_and_done_by_the_next_worker() {
    const STALLED: usize = 4;
    let site = Site::with_mail_server(stalling(STALLED))
        .with("GUESTLIST_CONCURRENCY", "4")
        .with("GUESTLIST_DRAIN", "2s");
    site.invite(20);
    let mut worker = site.worker("stopped");
    eventually("the mail server stalls", || {
        site.seen().heard("DATA") == STALLED
    });
    let time = worker.stop();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(4)).contains(&time),
        "{time:?}"
    );
    assert_eq!(worker.said("4 jobs were cut off"), 1, "{}", worker.log());
    let mut next = site.worker("next");
    site.until_done();
    site.assert_delivered(20);
    assert_eq!(site.post().repeated(), 0);
    next.stop();
}
