//! The behaviour that Redis and the queue in memory have in common.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use guestlist_jobs::queue::{
    Concurrency, DEFAULT_PREFIX, LETTERS_WINDOW, Lane, PUSH_LIMIT, Queue, QueueError, WINDOW,
};
use guestlist_testkit::RedisServer;
use tokio::sync::Semaphore;

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, log, polling, push_all, run, until};

/// Runs `scenario` on both transports.
async fn on_both(scenario: impl AsyncFn(Queue)) {
    scenario(Queue::memory()).await;
    let server = RedisServer::start().await.unwrap();
    scenario(Queue::redis(&server.url().parse().unwrap(), DEFAULT_PREFIX)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dispatch_of_both_lanes_runs_exactly_once() {
    on_both(async |queue| {
        let runs = Runs::default();
        let running = run(&queue, SLOTS, DRAIN, runs.handler());
        let (letters, urgent) = (dispatches(3_000), dispatches(300));
        push_all(&queue, Lane::Letters, &letters).await;
        push_all(&queue, Lane::Urgent, &urgent).await;
        until("all have run", async || runs.len() == 3_300).await;
        assert_eq!(running.end().await.abandoned, 0);
        assert!(runs.all_once(&letters) && runs.all_once(&urgent));
        assert!(!queue.is_polling(), "a stopped worker is not ready");
    })
    .await;
}

#[tokio::test]
async fn dispatches_pushed_before_the_worker_run() {
    on_both(async |queue| {
        let runs = Runs::default();
        let waiting = dispatches(5);
        queue.push(Lane::Letters, &waiting).await.unwrap();
        queue.push(Lane::Letters, &waiting).await.unwrap();
        let running = run(&queue, SLOTS, DRAIN, runs.handler());
        until("all have run", async || runs.len() == 5).await;
        running.end().await;
        assert!(runs.all_once(&waiting), "pushed twice, held once");
    })
    .await;
}

#[tokio::test]
async fn concurrent_relays_never_exceed_the_window() {
    on_both(async |queue| {
        let room = queue.room(Lane::Urgent).await.unwrap();
        assert_eq!(room, PUSH_LIMIT);
        let pushes = (0..8).map(|_| {
            let queue = queue.clone();
            async move { queue.push(Lane::Urgent, &dispatches(PUSH_LIMIT)).await }
        });
        let pushed = futures::future::join_all(pushes).await;
        let refused = pushed
            .iter()
            .filter(|push| matches!(push, Err(QueueError::Full)));
        assert_eq!(refused.count(), 8 - WINDOW / PUSH_LIMIT);
        assert_eq!(queue.room(Lane::Urgent).await.unwrap(), 0);
        assert_eq!(queue.room(Lane::Letters).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn push_over_the_limit_is_refused_entirely() {
    on_both(async |queue| {
        let refused = queue.push(Lane::Letters, &dispatches(PUSH_LIMIT + 1)).await;
        assert!(matches!(refused, Err(QueueError::Full)));
        queue.push(Lane::Letters, &[]).await.unwrap();
        assert_eq!(queue.room(Lane::Letters).await.unwrap(), PUSH_LIMIT);
    })
    .await;
}

#[tokio::test]
async fn stuck_letters_do_not_delay_urgent_work() {
    on_both(async |queue| {
        let runs = Runs::default();
        let note = runs.clone();
        let running = run(&queue, SLOTS, Duration::ZERO, move |lane, dispatch| {
            let note = note.clone();
            async move {
                if lane == Lane::Letters {
                    std::future::pending::<()>().await;
                }
                note.note(dispatch);
            }
            .boxed()
        });
        push_all(&queue, Lane::Letters, &dispatches(LETTERS_WINDOW)).await;
        until("every letter slot hangs", async || {
            queue.status().running == SLOTS.letters
        })
        .await;
        let over = queue.push(Lane::Letters, &dispatches(1)).await;
        assert!(matches!(over, Err(QueueError::Full)));
        let urgent = dispatches(700);
        push_all(&queue, Lane::Urgent, &urgent).await;
        until("the urgent ones ran", async || runs.len() == 700).await;
        assert!(queue.is_polling(), "a lane with every slot taken is ready");
        assert_eq!(running.end().await.abandoned, SLOTS.letters);
    })
    .await;
}

#[tokio::test]
async fn panicking_handler_is_logged_and_stops_no_other() {
    let _ = log();
    on_both(async |queue| {
        let runs = Runs::default();
        let note = runs.clone();
        let poison = dispatches(40);
        let poisoned = poison.clone();
        let running = run(&queue, SLOTS, DRAIN, move |_, dispatch| {
            assert!(!poisoned.contains(&dispatch), "poisoned row");
            note.note(dispatch);
            async {}.boxed()
        });
        let healthy = dispatches(40);
        queue.push(Lane::Letters, &poison).await.unwrap();
        queue.push(Lane::Letters, &healthy).await.unwrap();
        until("the healthy ran", async || runs.all_once(&healthy)).await;
        assert_eq!(queue.status().restarts, 0, "a panic ends no worker");
        running.end().await;
        assert!(log().contains(&poison[0].message.to_string()));
        assert!(log().contains(
            "a handler panicked; its job runs again when its lease expires: poisoned row"
        ));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_never_exceed_the_slots() {
    on_both(async |queue| {
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (runs, most) = (Runs::default(), Arc::clone(&peak));
        let note = runs.clone();
        let slots = Concurrency::ONE.letters(3);
        let running = run(&queue, slots, DRAIN, move |_, dispatch| {
            let (note, now, peak) = (note.clone(), Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, SeqCst);
                note.note(dispatch);
            }
            .boxed()
        });
        queue.push(Lane::Letters, &dispatches(90)).await.unwrap();
        until("all have run", async || runs.len() == 90).await;
        running.end().await;
        assert_eq!(most.load(SeqCst), 3);
    })
    .await;
}

#[tokio::test]
async fn stop_finishes_running_handlers_and_starts_none() {
    on_both(async |queue| {
        let gate = Arc::new(Semaphore::new(0));
        let (runs, door) = (Runs::default(), Arc::clone(&gate));
        let note = runs.clone();
        let running = run(&queue, SLOTS, DRAIN, move |_, dispatch| {
            let (note, door) = (note.clone(), Arc::clone(&door));
            async move {
                door.acquire().await.unwrap().forget();
                note.note(dispatch);
            }
            .boxed()
        });
        queue.push(Lane::Letters, &dispatches(100)).await.unwrap();
        until("every slot is taken", async || {
            queue.status().running == SLOTS.letters
        })
        .await;
        running.stop.cancel();
        gate.add_permits(100);
        let asked = Instant::now();
        assert_eq!(running.task.await.unwrap().abandoned, 0);
        assert_eq!(runs.len(), SLOTS.letters);
        let took = asked.elapsed();
        assert!(took < DRAIN / 2, "{queue:?} took {took:?} to stop");
    })
    .await;
}

#[tokio::test]
async fn dropping_run_cancels_its_handlers() {
    on_both(async |queue| {
        let running = run(&queue, SLOTS, DRAIN, |_, _| std::future::pending().boxed());
        queue.push(Lane::Letters, &dispatches(9)).await.unwrap();
        until("they hang", async || queue.status().running == 9).await;
        running.task.abort();
        until("they are gone", async || queue.status().running == 0).await;
    })
    .await;
}

/// An idle worker polls ten times a second. If a push did not wake it, less than one run of 20 pushes in
/// 5,000 would have this median by chance, so a busy machine may try some more runs.
#[tokio::test]
async fn an_idle_worker_runs_a_push_at_once() {
    on_both(async |queue| {
        let (sent, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let running = run(&queue, SLOTS, DRAIN, move |_, _| {
            sent.send(Instant::now()).unwrap();
            async {}.boxed()
        });
        polling(&queue).await;
        let mut was_quick = false;
        for _ in 0..8 {
            let mut waits = Vec::new();
            for turn in 0..20 {
                // Long enough for the worker to become idle, and never in step with its timer.
                tokio::time::sleep(Duration::from_millis(130 + 11 * turn)).await;
                let pushed = Instant::now();
                queue.push(Lane::Letters, &dispatches(1)).await.unwrap();
                waits.push(arrived.recv().await.unwrap() - pushed);
            }
            waits.sort();
            println!(
                "{queue:?}: push to run p50 {:?}, max {:?}",
                waits[10], waits[19]
            );
            was_quick = waits[10] < Duration::from_millis(20) && waits[19] < Duration::from_secs(1);
            if was_quick {
                break;
            }
        }
        running.end().await;
        assert!(was_quick);
    })
    .await;
}
