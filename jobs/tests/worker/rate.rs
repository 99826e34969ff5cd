//! Letters at the rate that the mail server allows.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use guestlist::outbox;
use guestlist_jobs::Rate;
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_jobs::queue::Queue;

use crate::harness::{Harness, eventually, invite_many};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, member};

/// The harness at a rate, with a running clock, since leases are shorter than turns here.
fn paced(harness: Harness, letters: &str) -> Harness {
    let mut harness = harness.on_system_clock();
    harness.settings.rate = Some(letters.parse().unwrap());
    harness
}

on_both_stacks! {
    async fn two_workers_together_keep_the_rate(harness: Harness) {
        let harness = paced(harness, "20");
        let rate: Rate = "20".parse().unwrap();
        invite_many(&harness.team, 40).await;
        let began = Instant::now();
        let workers = if matches!(harness.database(), guestlist::Database::Postgres(_)) {
            vec![harness.start(), harness.start()]
        } else {
            // In memory each process has a rate and a queue of its own.
            vec![harness.start()]
        };
        // The time is read after the letters it is compared with, so a late reading keeps the
        // bound valid.
        let mut seen = 0;
        while seen < 40 {
            let count = harness.smtp.until(|now| now.letters.len() > seen).await.letters.len();
            let (passed, letters) = (began.elapsed(), u32::try_from(count).unwrap());
            let least = rate.interval() * letters.saturating_sub(rate.burst());
            assert!(passed >= least, "{letters} letters within {passed:?}");
            seen = count;
        }
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(harness.letters().len(), 40);
    }

    async fn letters_waiting_for_the_rate_are_released_at_stop(harness: Harness) {
        let harness = paced(harness, "0.01");
        invite_many(&harness.team, 5).await;
        let worker = harness.worker();
        let (monitor, stop) = (worker.monitor(), tokio_util::sync::CancellationToken::new());
        let task = tokio::spawn(worker.run(stop.clone()));
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        let metrics = async || crate::exposition::Exposition::read(&monitor.metrics().await);
        // The job of the letter that was sent runs until it is counted. Were it among the running
        // ones, another letter could still be in Redis at the stop, and would stay leased.
        eventually("the job of the first letter ends", async || {
            metrics().await.sum("guestlist_runs_total") == 1.0
        }).await;
        eventually("the slots are taken by letters that wait", async || {
            let leased = harness.waiting(outbox::State::Leased).await.len();
            leased == 4 && metrics().await.value("guestlist_queue_running") == 4.0
        }).await;
        stop.cancel();
        let drained = tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
        assert_eq!(drained.abandoned, 0);
        assert_eq!(harness.letters().len(), 1);
        let back = harness.waiting(outbox::State::Ready).await;
        assert_eq!(back.len(), 4, "{back:?}");
        for message in back {
            assert_eq!((message.attempts, message.faults), (0, 0), "{message:?}");
            // The worker's clock follows the database's, to some milliseconds; the rate's next slot
            // is in 100 s.
            let wait = message.run_at - harness.team.guestlist.now();
            assert!(wait < TimeDelta::seconds(1), "{message:?}");
        }
        assert_eq!(metrics().await.value("guestlist_letter_turn_wait_seconds_count"), 1.0);
    }

    async fn invitation_revoked_while_waiting_for_the_rate_is_not_sent(harness: Harness) {
        let harness = paced(harness, "0.2");
        invite_many(&harness.team, 2).await;
        let worker = harness.start();
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        let first = harness.letters().remove(0);
        let open = {
            let mut tx = harness.team.begin().await;
            let page = guestlist::Paging::first(2);
            harness.team.guestlist.pending(&mut tx, harness.team.organization.id, &page).await.unwrap().items
        };
        let other = open.iter().find(|one| !first.contains(&format!("To: {}", one.email))).unwrap();
        harness.team.in_transaction(async |tx| {
            harness.team.guestlist.act(member(OLIVIA)).revoke(tx, other.id).await
        }).await.unwrap();
        eventually("the outbox is empty", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(harness.letters().len(), 1, "the revoked one was read again after its wait");
    }

    async fn letters_written_to_a_folder_keep_the_rate(harness: Harness) {
        let harness = paced(harness, "20");
        let rate: Rate = "20".parse().unwrap();
        invite_many(&harness.team, 20).await;
        let folder = tempfile::tempdir().unwrap();
        let mut context = harness.context();
        let url = format!("file:{}", folder.path().display());
        context.mailer = Mailer::new(url.parse().unwrap(), MailerSettings::default());
        let worker = guestlist_jobs::Worker::new(context, harness.queue.clone(), harness.settings);
        let began = Instant::now();
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        assert!(began.elapsed() >= rate.interval() * (20 - rate.burst()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_letter_leaves_without_the_rate_while_redis_is_down() {
    let mut redis = guestlist_testkit::RedisServer::start().await.unwrap();
    let queue = Queue::redis(&redis.url().parse().unwrap(), "paced");
    let team = Team::on(crate::postgres::schema().await).await;
    let harness = paced(Harness::new(team, queue).await, "0.5");
    invite_many(&harness.team, 4).await;
    let worker = harness.start();
    harness.smtp.until(|seen| seen.letters.len() == 1).await;
    redis.kill();
    // The next letter may have its turn already; those after it have none.
    let sent = harness.letters().len();
    eventually("the worker has noticed", async || {
        harness.queue.answers().await.is_err()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = harness.letters().len();
    assert!(now <= sent + 1, "{sent} and then {now} letters");
    redis.restart().await.unwrap();
    eventually("everything is sent", async || {
        harness.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_eq!(harness.letters().len(), 4);
}
