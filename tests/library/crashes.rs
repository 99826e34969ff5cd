//! Crashes of workers: counted from the first lease that expires, and forgotten when the task ends.

use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox::{self, Cost, Interrupted, Message, State};

use crate::letter_dates::lease;
use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

/// Begins the task as a worker does, and ends the worker.
async fn crash(team: &Team) {
    let message = lease(team).await;
    if message.crashes.is_some() {
        let begin = async |tx: &mut _| outbox::begin_counted(tx, message.ticket()).await;
        assert!(team.in_transaction(begin).await.unwrap());
    }
    team.advance_clock(TimeDelta::seconds(20));
}

async fn postpone(team: &Team, message: &Message, cost: Cost) {
    let (ticket, now) = (message.ticket(), team.now());
    team.in_transaction(async |tx| {
        outbox::postpone(tx, ticket, now, Duration::ZERO, cost, "no", None).await
    })
    .await
    .unwrap();
}

on_both_databases! {
    async fn starts_count_from_the_first_expired_lease(team: Team) {
        team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for crashes in [None, Some(0), Some(1), Some(2)] {
            let message = lease(&team).await;
            assert_eq!(message.crashes, crashes);
            team.in_transaction(async |tx| outbox::release(tx, &[message.ticket()]).await).await.unwrap();
            crash(&team).await;
        }
        // A lease that expires before its task begins counts nothing.
        for _ in 0..5 {
            assert_eq!(lease(&team).await.crashes, Some(3));
            team.advance_clock(TimeDelta::seconds(20));
        }
    }

    async fn the_end_of_a_task_forgets_its_crashes(team: Team) {
        team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for (cost, left) in [
            (Cost::Attempt, None),
            (Cost::Refusal, None),
            (Cost::Fault, None),
            (Cost::Nothing, Some(1)),
            (Cost::NotBegun, Some(2)),
        ] {
            for _ in 0..3 {
                crash(&team).await;
            }
            let message = lease(&team).await;
            assert_eq!(message.crashes, Some(2));
            let attempts = message.attempts + i64::from(left.is_none());
            postpone(&team, &message, cost).await;
            let message = lease(&team).await;
            assert_eq!((message.crashes, message.attempts), (left, attempts), "{cost:?}");
            postpone(&team, &message, Cost::Attempt).await;
            let message = lease(&team).await;
            team.in_transaction(async |tx| outbox::release(tx, &[message.ticket()]).await).await.unwrap();
        }
    }

    async fn retry_forgets_crashes(team: Team) {
        team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for all in [false, true] {
            crash(&team).await;
            crash(&team).await;
            let message = lease(&team).await;
            let (ticket, now) = (message.ticket(), team.now());
            let mut tx = team.begin().await;
            outbox::give_up(&mut tx, ticket, now, "no", None).await.unwrap();
            if all {
                assert_eq!(outbox::retry_dead(&mut tx, now).await.unwrap(), 1);
            } else {
                assert!(outbox::retry(&mut tx, now, message.id).await.unwrap());
            }
            tx.commit().await.unwrap();
            let message = lease(&team).await;
            assert_eq!(message.crashes, None);
            team.in_transaction(async |tx| outbox::release(tx, &[message.ticket()]).await).await.unwrap();
        }
    }

    async fn interrupted_task_is_due_at_once_unless_its_letter_may_be_sent(team: Team) {
        team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for (was_begun, may_be_sent) in [(false, false), (true, false), (true, true)] {
            crash(&team).await;
            let message = lease(&team).await;
            team.advance_clock(TimeDelta::seconds(1));
            let interrupted = Interrupted::new(message.ticket(), was_begun, may_be_sent);
            team.in_transaction(async |tx| outbox::interrupt(tx, &[interrupted]).await).await.unwrap();
            let list = async |tx: &mut _| outbox::list(tx, team.now(), State::Ready, None, 9).await;
            let ready = team.in_transaction(list).await.unwrap();
            assert_eq!(ready.is_empty(), may_be_sent);
            team.advance_clock(TimeDelta::seconds(20));
            let message = lease(&team).await;
            let crashes = may_be_sent.then_some(0);
            assert_eq!(message.crashes, crashes, "{interrupted:?}");
            postpone(&team, &message, Cost::Attempt).await;
        }
    }

    async fn interrupted_letter_keeps_its_date_once_it_was_begun(team: Team) {
        for (was_begun, may_be_sent) in [(false, false), (true, false), (true, true)] {
            let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
            team.invite(OLIVIA, &email, "agent").await.unwrap();
            let first = lease(&team).await;
            let interrupted = Interrupted::new(first.ticket(), was_begun, may_be_sent);
            team.in_transaction(async |tx| outbox::interrupt(tx, &[interrupted]).await).await.unwrap();
            team.advance_clock(TimeDelta::seconds(60));
            let second = lease(&team).await;
            let date = if was_begun { first.date() } else { team.now() };
            assert_eq!(second.date(), date, "{interrupted:?}");
            team.in_transaction(async |tx| outbox::complete(tx, &[second.id.into()]).await).await.unwrap();
        }
    }
}
