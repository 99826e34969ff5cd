//! What breaks around a worker.

use chrono::TimeDelta;
use guestlist::outbox;
use guestlist_jobs::queue::Queue;
use redis::AsyncCommands;

use crate::harness::{Workbench, eventually, invite_many};
use crate::on_both_stacks;
use crate::redis_server::RedisServer;
use crate::support::Team;

fn assert_one_letter_each(bench: &Workbench, count: usize) {
    assert_eq!(bench.letters().len(), count);
    for number in 0..count {
        assert_eq!(
            bench.letters_to(&format!("p{number}@example.com")).len(),
            1,
            "p{number}"
        );
    }
}

on_both_stacks! {
    async fn what_a_killed_worker_held_comes_back_when_its_lease_ends(bench: Workbench) {
        let stalled = crate::smtp::Script::default().on("DATA", crate::smtp::Act::Stall);
        let stalling = Workbench::new(bench.team.clone(), bench.queue.clone()).await.with_mail_server(stalled).await;
        invite_many(&bench.team, 1).await;
        let worker = stalling.start();
        stalling.smtp.until(|seen| seen.heard("DATA") == 1).await;
        worker.kill().await;
        drop(stalling);
        assert!(bench.letters().is_empty());
        bench.team.advance_clock(TimeDelta::seconds(21));
        let queue = if matches!(bench.team.database, guestlist::Database::Sqlite(_)) { Queue::memory() } else { crate::harness::redis() };
        let bench = Workbench { queue, ..bench };
        bench.work_until_idle().await;
        assert_one_letter_each(&bench, 1);
    }

    async fn a_letter_whose_lease_was_lost_is_dropped_before_it_is_finished(bench: Workbench) {
        let stalled = crate::smtp::Script::default().on("DATA", crate::smtp::Act::Stall);
        let bench = bench.with_mail_server(stalled).await;
        invite_many(&bench.team, 1).await;
        let worker = bench.start();
        bench.smtp.until(|seen| seen.heard("DATA") == 1).await;
        // Somebody else takes the message over, as after a pause of this process. By SQL, or this worker's
        // own relay might be first.
        let taken = "UPDATE guestlist_outbox SET generation = generation + 10";
        match bench.database() {
            guestlist::Database::Postgres(pool) => drop(sqlx::query(taken).execute(pool).await.unwrap()),
            guestlist::Database::Sqlite(pool) => drop(sqlx::query(taken).execute(pool).await.unwrap()),
        }
        bench.smtp.until(|seen| seen.closed == 1).await;
        assert!(bench.letters().is_empty());
        let held = bench.waiting(outbox::State::Leased).await;
        assert_eq!(held[0].generation, 11, "the other's lease is left alone");
        worker.stop().await;
    }

    async fn letters_that_had_no_turn_when_the_worker_stops_are_put_back(bench: Workbench) {
        // Twice as many letters as connections, and no connection comes free.
        let stalled = (0..8).fold(crate::smtp::Script::default(), |script, _| script.on("DATA", crate::smtp::Act::Stall));
        let bench = bench.with_mail_server(stalled).await;
        invite_many(&bench.team, 8).await;
        let worker = bench.start();
        bench.smtp.until(|seen| seen.heard("DATA") == 4).await;
        // A lease alone is not enough: its dispatch may still be in Redis, for whoever fetches it next.
        eventually("all are in this worker's hands", async || bench.queue.status().running == 8).await;
        worker.ask_to_stop();
        eventually("those without a turn are back", async || bench.waiting(outbox::State::Ready).await.len() == 4).await;
        for back in bench.waiting(outbox::State::Ready).await {
            assert_eq!((back.attempts, back.faults), (0, 0), "it cost them nothing");
        }
        assert_eq!(bench.smtp.seen().heard("DATA"), 4);
        worker.kill().await;
    }

    async fn an_unknown_kind_is_set_aside_and_everything_else_flows(bench: Workbench) {
        invite_many(&bench.team, 2).await;
        let rename = "UPDATE guestlist_outbox SET kind = 'send_pigeon'
                      WHERE id = (SELECT id FROM guestlist_outbox ORDER BY id LIMIT 1)";
        match bench.database() {
            guestlist::Database::Postgres(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
            guestlist::Database::Sqlite(pool) => drop(sqlx::query(rename).execute(pool).await.unwrap()),
        }
        bench.work_until_idle().await;
        assert_eq!(bench.letters().len(), 1);
        let dead = bench.waiting(guestlist::outbox::State::Dead).await;
        assert_eq!(dead.len(), 1);
        assert!(dead[0].last_error.as_ref().unwrap().contains("send_pigeon"));
    }

    async fn two_workers_share_the_work_without_sending_twice(bench: Workbench) {
        invite_many(&bench.team, 200).await;
        let (one, other) = (bench.start(), bench.start());
        eventually("everything is sent", async || bench.counts().await.is_empty()).await;
        one.stop().await;
        other.stop().await;
        assert_one_letter_each(&bench, 200);
    }

    async fn deferrals_do_not_use_up_what_faults_are_allowed(bench: Workbench) {
        let busy = crate::smtp::Act::Say("450 4.2.1 busy\r\n");
        let script = (0..12).fold(crate::smtp::Script::default(), |script, _| script.on("RCPT", busy));
        let bench = bench.with_mail_server(script).await;
        invite_many(&bench.team, 1).await;
        for deferrals in 1..=12 {
            bench.work_until_idle().await;
            assert_eq!(bench.waiting(outbox::State::Ready).await[0].attempts, deferrals);
            bench.team.advance_clock(TimeDelta::minutes(133));
        }
        let mut context = bench.context();
        let fails = std::sync::atomic::AtomicBool::new(true);
        context.link = std::sync::Arc::new(move |token| {
            assert!(!fails.swap(false, std::sync::atomic::Ordering::SeqCst), "it fails once");
            format!("https://app.example.com/join/{}", token.expose())
        });
        let worker = guestlist_jobs::Worker::new(context, bench.queue.clone(), bench.settings);
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        let message = bench.waiting(outbox::State::Ready).await.remove(0);
        assert_eq!((message.attempts, message.faults), (13, 1));
        bench.team.advance_clock(TimeDelta::seconds(2));
        bench.work_until_idle().await;
        assert_one_letter_each(&bench, 1);
    }

    async fn a_job_that_panics_every_time_is_set_aside_and_everything_else_flows(bench: Workbench) {
        invite_many(&bench.team, 3).await;
        let mut context = bench.context();
        let poison = bench.team.token(&{
            let mut tx = bench.team.begin().await;
            let page = guestlist::Paging::first(1);
            bench.team.guestlist.pending(&mut tx, bench.team.organization.id, &page).await.unwrap().items.remove(0)
        });
        context.link = std::sync::Arc::new(move |token| {
            assert_ne!(token.expose(), poison, "this letter cannot be written");
            format!("https://app.example.com/join/{}", token.expose())
        });
        let stop = tokio_util::sync::CancellationToken::new();
        let worker = guestlist_jobs::Worker::new(context, bench.queue.clone(), bench.settings);
        let worker = tokio::spawn(worker.run(stop.clone()));
        eventually("the others are sent", async || bench.letters().len() == 2).await;
        eventually("it is given up", async || {
            bench.team.advance_clock(TimeDelta::minutes(11));
            bench.waiting(guestlist::outbox::State::Dead).await.len() == 1
        }).await;
        stop.cancel();
        worker.await.unwrap();
        assert_eq!(bench.letters().len(), 2);
        let dead = bench.waiting(guestlist::outbox::State::Dead).await;
        assert_eq!(dead[0].attempts, 10);
        assert!(dead[0].last_error.as_ref().unwrap().contains("panicked"));
    }
}

/// Nothing can be recorded, because the test holds the rows that records are written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_two_letters_a_connection_leave_unrecorded() {
    let team = Team::on(crate::postgres::schema().await).await;
    let bench = Workbench::new(team, crate::harness::redis()).await;
    invite_many(&bench.team, 40).await;
    let guestlist::Database::Postgres(pool) = bench.database() else {
        panic!("on Postgres")
    };
    let mut holding = pool.begin().await.unwrap();
    let lock = "SELECT count(*) FROM (SELECT FROM guestlist_invitations FOR UPDATE) AS held";
    let held: (i64,) = sqlx::query_as(lock).fetch_one(&mut *holding).await.unwrap();
    assert_eq!(held.0, 40);
    let worker = bench.start();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                 AND datname = current_database() AND query LIKE '%guestlist_invitations%'";
    for _ in 0..3 {
        for expected in [1, 0] {
            eventually("a record waits, and gives way", async || {
                let waiting: (i64,) = sqlx::query_as(waits).fetch_one(pool).await.unwrap();
                waiting.0 == expected
            })
            .await;
        }
    }
    assert_eq!(bench.letters().len(), 8);
    holding.rollback().await.unwrap();
    eventually("everything is sent", async || {
        bench.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&bench, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushing_redis_amid_the_work_loses_nothing_and_sends_nothing_twice() {
    let redis = RedisServer::start().await;
    let queue = Queue::redis(&redis.url(), "flushed").unwrap();
    let bench = Workbench::new(Team::on(crate::postgres::schema().await).await, queue).await;
    // Leases follow the team's clock, so it has to go on by itself here.
    let bench = Workbench {
        team: bench
            .team
            .configured(|builder| builder.clock(guestlist::Clock::System)),
        ..bench
    };
    invite_many(&bench.team, 300).await;
    let worker = bench.start();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for letters in [30, 280] {
        bench.smtp.until(|seen| seen.letters.len() >= letters).await;
        let _: () = redis::cmd("FLUSHALL")
            .query_async(&mut connection)
            .await
            .unwrap();
    }
    eventually("everything is sent", async || {
        bench.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&bench, 300);
    let left: Vec<String> = connection.keys("*").await.unwrap();
    assert!(
        left.len() <= 1,
        "nothing but constant keys is left: {left:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_wait_while_redis_is_down_and_leave_when_it_is_back() {
    let mut redis = RedisServer::start().await;
    let queue = Queue::redis(&redis.url(), "down").unwrap();
    let bench = Workbench::new(Team::on(crate::postgres::schema().await).await, queue).await;
    let bench = Workbench {
        team: bench
            .team
            .configured(|builder| builder.clock(guestlist::Clock::System)),
        ..bench
    };
    redis.kill();
    let worker = bench.start();
    invite_many(&bench.team, 20).await;
    redis.restart().await;
    eventually("everything is sent", async || {
        bench.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&bench, 20);
}
