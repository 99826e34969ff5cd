//! Letters at the rate that the mail server takes.

use std::time::{Duration, Instant};

use guestlist::outbox;
use guestlist_jobs::mailer::{Mailer, Rate};
use guestlist_jobs::queue::Queue;

use crate::harness::{Workbench, eventually, invite_many};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, user};

/// The bench at a rate, with a clock that goes on by itself, since leases outlast turns here.
fn paced(bench: Workbench, letters: &str) -> Workbench {
    let system = |team: Team| team.configured(|builder| builder.clock(guestlist::Clock::System));
    Workbench {
        team: system(bench.team),
        queue: bench.queue.paced(letters.parse().unwrap()),
        ..bench
    }
}

on_both_stacks! {
    async fn two_workers_together_stay_below_the_rate_all_the_time(bench: Workbench) {
        let bench = paced(bench, "20");
        let rate: Rate = "20".parse().unwrap();
        invite_many(&bench.team, 40).await;
        let began = Instant::now();
        let workers = if matches!(bench.database(), guestlist::Database::Postgres(_)) {
            vec![bench.start(), bench.start()]
        } else {
            // The rate is each process's own there, and so is the queue.
            vec![bench.start()]
        };
        // Each look is taken after the letters it sees, so the bound holds however late it is.
        let mut seen = 0;
        while seen < 40 {
            let count = bench.smtp.until(|now| now.letters.len() > seen).await.letters.len();
            let (passed, letters) = (began.elapsed(), u32::try_from(count).unwrap());
            let least = rate.interval() * letters.saturating_sub(rate.burst());
            assert!(passed >= least, "{letters} letters within {passed:?}");
            seen = count;
        }
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(bench.letters().len(), 40);
    }

    async fn letters_that_wait_for_their_turn_are_put_back_at_once_when_the_worker_stops(bench: Workbench) {
        let bench = paced(bench, "0.01");
        invite_many(&bench.team, 5).await;
        let worker = bench.worker();
        let (monitor, stop) = (worker.monitor(), tokio_util::sync::CancellationToken::new());
        let task = tokio::spawn(worker.run(stop.clone()));
        bench.smtp.until(|seen| seen.letters.len() == 1).await;
        eventually("the slots are taken by letters that wait", async || {
            let metrics = crate::exposition::Exposition::read(&monitor.metrics().await);
            metrics.value("guestlist_queue_running") == 4.0
        }).await;
        stop.cancel();
        let drained = tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
        assert_eq!(drained.abandoned, 0);
        assert_eq!(bench.letters().len(), 1);
        let back = bench.waiting(outbox::State::Ready).await;
        assert_eq!(back.len(), 4, "{back:?}");
        for message in back {
            assert_eq!((message.attempts, message.faults), (0, 0), "{message:?}");
            assert!(message.run_at <= bench.team.guestlist.now(), "{message:?}");
        }
        let metrics = crate::exposition::Exposition::read(&monitor.metrics().await);
        assert_eq!(metrics.value("guestlist_letter_turn_wait_seconds_count"), 1.0);
    }

    async fn what_was_revoked_while_its_letter_waited_for_its_turn_is_not_sent(bench: Workbench) {
        let bench = paced(bench, "0.2");
        invite_many(&bench.team, 2).await;
        let worker = bench.start();
        bench.smtp.until(|seen| seen.letters.len() == 1).await;
        let first = bench.letters().remove(0);
        let open = {
            let mut tx = bench.team.begin().await;
            let page = guestlist::Paging::first(2);
            bench.team.guestlist.pending(&mut tx, bench.team.organization.id, &page).await.unwrap().items
        };
        let other = open.iter().find(|one| !first.contains(&format!("To: {}", one.email))).unwrap();
        bench.team.in_transaction(async |tx| {
            bench.team.guestlist.revoke(tx, &user(OLIVIA), other.id).await
        }).await.unwrap();
        eventually("the outbox is empty", async || bench.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(bench.letters().len(), 1, "the revoked one was read again after its wait");
    }

    async fn letters_in_a_folder_keep_the_rate_too(bench: Workbench) {
        let bench = paced(bench, "20");
        let rate: Rate = "20".parse().unwrap();
        invite_many(&bench.team, 20).await;
        let folder = tempfile::tempdir().unwrap();
        let mut context = bench.context();
        let url = format!("file:{}", folder.path().display());
        context.mailer = Mailer::new(url.parse().unwrap(), 4, guestlist_jobs::mailer::Deadlines::default());
        let worker = guestlist_jobs::Worker::new(context, bench.queue.clone(), bench.settings);
        let began = Instant::now();
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        assert!(began.elapsed() >= rate.interval() * (20 - rate.burst()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_letter_leaves_unpaced_while_redis_is_down() {
    let mut redis = crate::redis_server::RedisServer::start().await;
    let queue = Queue::redis(&redis.url(), "paced").unwrap();
    let team = Team::on(crate::postgres::schema().await).await;
    let bench = paced(Workbench::new(team, queue).await, "0.5");
    invite_many(&bench.team, 4).await;
    let worker = bench.start();
    bench.smtp.until(|seen| seen.letters.len() == 1).await;
    // The next letter may have its turn already; those behind it have none.
    redis.kill();
    eventually("the worker has noticed", async || {
        bench.queue.answers().await.is_err()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.letters().len() <= 2, "{}", bench.letters().len());
    redis.restart().await;
    eventually("everything is sent", async || {
        bench.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_eq!(bench.letters().len(), 4);
}
