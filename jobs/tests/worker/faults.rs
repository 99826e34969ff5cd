//! Failures around a worker.

use chrono::TimeDelta;
use guestlist::outbox;
use guestlist_jobs::queue::Queue;
use guestlist_testkit::RedisServer;
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::{Harness, eventually, invite_many};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team};

fn assert_one_letter_each(harness: &Harness, count: usize) {
    assert_eq!(harness.letters().len(), count);
    for number in 0..count {
        assert_eq!(
            harness.letters_to(&format!("p{number}@example.com")).len(),
            1,
            "p{number}"
        );
    }
}

async fn execute(harness: &Harness, statement: &'static str) {
    match harness.database() {
        guestlist::Database::Postgres(pool) => {
            sqlx::query(statement).execute(pool).await.unwrap();
        }
        guestlist::Database::Sqlite(pool) => {
            sqlx::query(statement).execute(pool).await.unwrap();
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

on_both_stacks! {
    async fn killed_workers_leases_expire_and_are_taken_over(harness: Harness) {
        let stalled = Script::default().on(Stage::Data, Action::Stall);
        let stalling = Harness::new(harness.team.clone(), harness.queue.clone()).await.with_mail_server(stalled).await;
        invite_many(&harness.team, 1).await;
        let worker = stalling.start();
        stalling.smtp.until(|seen| seen.heard("DATA") == 1).await;
        worker.kill().await;
        drop(stalling);
        assert!(harness.letters().is_empty());
        harness.team.advance_clock(TimeDelta::seconds(21));
        let queue = if matches!(harness.team.database, guestlist::Database::Sqlite(_)) { Queue::memory() } else { crate::harness::redis() };
        let harness = Harness { queue, ..harness };
        harness.while_time_passes(harness.work_until_idle()).await;
        assert_one_letter_each(&harness, 1);
    }

    async fn letter_with_a_lost_lease_is_aborted(harness: Harness) {
        let stalled = Script::default().on(Stage::Data, Action::Stall);
        let harness = harness.with_mail_server(stalled).await;
        invite_many(&harness.team, 1).await;
        let worker = harness.start();
        harness.smtp.until(|seen| seen.heard("DATA") == 1).await;
        // Another worker takes the message over, as after a pause of this process. Done in SQL,
        // since this worker's own relay might be first.
        let taken = "UPDATE guestlist_outbox SET generation = generation + 10";
        match harness.database() {
            guestlist::Database::Postgres(pool) => drop(sqlx::query(taken).execute(pool).await.unwrap()),
            guestlist::Database::Sqlite(pool) => drop(sqlx::query(taken).execute(pool).await.unwrap()),
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        harness.smtp.until(|seen| seen.closed == 1).await;
        assert!(harness.letters().is_empty());
        let held = harness.waiting(outbox::State::Leased).await;
        assert_eq!(held[0].generation, 11, "the other's lease is left alone");
        worker.stop().await;
    }

    async fn letters_without_a_slot_are_released_at_stop(harness: Harness) {
        // Twice as many letters as connections, and no connection becomes free.
        let stalled = Script::default().rule(Rule::new(Stage::Data, Action::Stall).times(8));
        let harness = harness.with_mail_server(stalled).await;
        invite_many(&harness.team, 8).await;
        let worker = harness.start();
        harness.smtp.until(|seen| seen.heard("DATA") == 4).await;
        // A lease is not enough: its dispatch may still be in Redis for any worker to fetch.
        eventually("all are in this worker's hands", async || harness.queue.status().running == 8).await;
        worker.ask_to_stop();
        // The stop may find the relay in a round, which then leases a released letter for the next worker.
        let released = async || {
            let leased = harness.waiting(outbox::State::Leased).await;
            let again = leased.into_iter().filter(|message| message.generation > 1);
            harness.waiting(outbox::State::Ready).await.into_iter().chain(again).collect::<Vec<_>>()
        };
        eventually("letters without a slot are released", async || released().await.len() == 4).await;
        for message in released().await {
            assert_eq!((message.attempts, message.faults), (0, 0), "it cost them nothing");
        }
        assert_eq!(harness.smtp.seen().heard("DATA"), 4);
        worker.kill().await;
    }

    async fn unknown_message_kind_stops_no_other(harness: Harness) {
        invite_many(&harness.team, 2).await;
        let rename = "UPDATE guestlist_outbox SET kind = 'send_pigeon'
                      WHERE id = (SELECT id FROM guestlist_outbox ORDER BY id LIMIT 1)";
        execute(&harness, rename).await;
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 1);
        let dead = harness.waiting(guestlist::outbox::State::Dead).await;
        assert_eq!(dead.len(), 1);
        assert!(dead[0].last_error.as_ref().unwrap().contains("send_pigeon"));
    }

    async fn letter_to_an_unreadable_address_waits_and_stops_no_other(harness: Harness) {
        invite_many(&harness.team, 2).await;
        execute(&harness, "UPDATE guestlist_invitations SET email = 'p0@localhost' WHERE email = 'p0@example.com'").await;
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 1);
        let waiting = harness.waiting(outbox::State::Ready).await;
        assert_eq!((waiting.len(), waiting[0].faults), (1, 1));
        let error = waiting[0].last_error.as_ref().unwrap();
        assert!(error.contains("\"email\": the part after the @ is not a domain name"), "{error}");
        execute(&harness, "UPDATE guestlist_invitations SET email = 'p0@example.com' WHERE email = 'p0@localhost'").await;
        harness.team.advance_clock(TimeDelta::seconds(2));
        harness.work_until_idle().await;
        assert_one_letter_each(&harness, 2);
    }

    async fn notice_of_an_unreadable_event_is_given_up_with_the_reason(harness: Harness) {
        harness.team.join("bob", "agent").await;
        harness.team.join("adam", "agent").await;
        harness.work_until_idle().await;
        harness.team.remove(OLIVIA, "bob").await.unwrap();
        harness.team.change_role(OLIVIA, "adam", "manager").await.unwrap();
        for edit in [
            r#"UPDATE guestlist_events SET before = '{"email":"bob","role":"agent"}' WHERE kind = 'member_removed'"#,
            r#"UPDATE guestlist_events SET after = '{"email":"adam@example.com"}' WHERE kind = 'role_changed'"#,
        ] {
            execute(&harness, edit).await;
        }
        harness.work_until_idle().await;
        let dead = harness.waiting(outbox::State::Dead).await;
        let mut errors: Vec<_> = dead.iter().map(|message| message.last_error.as_deref().unwrap()).collect();
        errors.sort_unstable();
        assert_eq!(errors, [
            "the email in the event cannot be read: an e-mail address has exactly one @",
            "the role in the event cannot be read: it is missing",
        ]);
    }

    async fn two_workers_send_no_letter_twice(harness: Harness) {
        invite_many(&harness.team, 200).await;
        let (one, other) = (harness.start(), harness.start());
        eventually("everything is sent", async || harness.counts().await.is_empty()).await;
        one.stop().await;
        other.stop().await;
        assert_one_letter_each(&harness, 200);
    }

    async fn deferrals_do_not_count_as_faults(harness: Harness) {
        let busy = Rule::new(Stage::Rcpt, "450 4.2.1 busy").times(12);
        let harness = harness.with_mail_server(Script::default().rule(busy)).await;
        invite_many(&harness.team, 1).await;
        for deferrals in 1..=12 {
            harness.work_until_idle().await;
            assert_eq!(harness.waiting(outbox::State::Ready).await[0].attempts, deferrals);
            harness.team.advance_clock(TimeDelta::minutes(145));
        }
        let mut context = harness.context();
        let fails = std::sync::atomic::AtomicBool::new(true);
        context.link = std::sync::Arc::new(move |token| {
            assert!(!fails.swap(false, std::sync::atomic::Ordering::SeqCst), "it fails once");
            format!("https://app.example.com/join/{}", token.expose())
        });
        let worker = guestlist_jobs::Worker::new(context, harness.queue.clone(), harness.settings);
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        let message = harness.waiting(outbox::State::Ready).await.remove(0);
        assert_eq!((message.attempts, message.faults), (13, 1));
        harness.team.advance_clock(TimeDelta::seconds(2));
        harness.work_until_idle().await;
        assert_one_letter_each(&harness, 1);
    }

    async fn always_panicking_job_is_given_up_and_stops_no_other(harness: Harness) {
        invite_many(&harness.team, 3).await;
        let mut context = harness.context();
        let poison = harness.team.token(&{
            let mut tx = harness.team.begin().await;
            let page = guestlist::Paging::first(1);
            harness.team.guestlist.pending(&mut tx, harness.team.organization.id, &page).await.unwrap().items.remove(0)
        });
        context.link = std::sync::Arc::new(move |token| {
            assert_ne!(token.expose(), poison, "this letter cannot be written");
            format!("https://app.example.com/join/{}", token.expose())
        });
        let stop = tokio_util::sync::CancellationToken::new();
        let worker = guestlist_jobs::Worker::new(context, harness.queue.clone(), harness.settings);
        let worker = tokio::spawn(worker.run(stop.clone()));
        eventually("the others are sent", async || harness.letters().len() == 2).await;
        eventually("it is given up", async || {
            // Only while it waits: a lease that ends during the job would count as the end of a worker.
            let ready = harness.waiting(outbox::State::Ready).await;
            if ready.iter().all(|message| message.run_at > harness.team.now()) && !ready.is_empty() {
                harness.team.advance_clock(TimeDelta::minutes(11));
            }
            harness.waiting(guestlist::outbox::State::Dead).await.len() == 1
        }).await;
        stop.cancel();
        worker.await.unwrap();
        assert_eq!(harness.letters().len(), 2);
        let dead = harness.waiting(guestlist::outbox::State::Dead).await;
        assert_eq!(dead[0].attempts, 10);
        assert!(dead[0].last_error.as_ref().unwrap().contains("panicked"));
    }
}

/// Blocks all recording: the test locks the rows that would be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_two_letters_per_connection_are_unrecorded() {
    let team = Team::on(crate::postgres::schema().await).await;
    let harness = Harness::new(team, crate::harness::redis()).await;
    invite_many(&harness.team, 40).await;
    let guestlist::Database::Postgres(pool) = harness.database() else {
        panic!("on Postgres")
    };
    let mut holding = pool.begin().await.unwrap();
    let lock = "SELECT count(*) FROM (SELECT FROM guestlist_invitations FOR UPDATE) AS held";
    let held: (i64,) = sqlx::query_as(lock).fetch_one(&mut *holding).await.unwrap();
    assert_eq!(held.0, 40);
    let worker = harness.start();
    harness.smtp.until(|seen| seen.letters.len() == 8).await;
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
    assert_eq!(harness.letters().len(), 8);
    holding.rollback().await.unwrap();
    eventually("everything is sent", async || {
        harness.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&harness, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_flush_during_work_loses_and_repeats_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&redis.url().parse().unwrap(), "flushed");
    let harness = Harness::new(Team::on(crate::postgres::schema().await).await, queue).await;
    let harness = harness.on_system_clock();
    invite_many(&harness.team, 300).await;
    let worker = harness.start();
    for letters in [30, 280] {
        harness
            .smtp
            .until(|seen| seen.letters.len() >= letters)
            .await;
        redis.command::<()>("FLUSHALL").await.unwrap();
    }
    eventually("everything is sent", async || {
        harness.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&harness, 300);
    let left: Vec<String> = redis.command("KEYS *").await.unwrap();
    assert!(
        left.len() <= 1,
        "nothing but constant keys is left: {left:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keys_of_other_types_lose_and_repeat_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&redis.url().parse().unwrap(), "damaged");
    let harness = Harness::new(Team::on(crate::postgres::schema().await).await, queue).await;
    let harness = harness.on_system_clock();
    invite_many(&harness.team, 300).await;
    let worker = harness.start();
    harness.smtp.until(|seen| seen.letters.len() >= 30).await;
    let keys = harness.queue.keys();
    for (key, _) in keys.iter().filter(|(key, _)| !key.contains('*')) {
        redis.words::<()>(&["SET", key, "not ours"]).await.unwrap();
    }
    eventually("everything is sent", async || {
        harness.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&harness, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_wait_until_redis_is_back() {
    let mut redis = RedisServer::start().await.unwrap();
    let queue = Queue::redis(&redis.url().parse().unwrap(), "down");
    let harness = Harness::new(Team::on(crate::postgres::schema().await).await, queue).await;
    let harness = harness.on_system_clock();
    redis.kill();
    let worker = harness.start();
    invite_many(&harness.team, 20).await;
    redis.restart().await.unwrap();
    eventually("everything is sent", async || {
        harness.counts().await.is_empty()
    })
    .await;
    worker.stop().await;
    assert_one_letter_each(&harness, 20);
}
