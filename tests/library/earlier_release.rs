//! Messages that a worker of a release before `letter_date` handled, as in a rolling upgrade.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::outbox::{self, Cost, FairCursor, Priority};
use guestlist::{MessageId, Ticket};

use crate::letter_dates::execute;
use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

const LEASE: Duration = Duration::from_secs(20);
const A_MINUTE: Duration = Duration::from_secs(60);
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// The statement with which that release puts back a letter whose last byte was not answered. It leases
/// without `leased_at` and `letter_date`.
const UNANSWERED: &str =
    "UPDATE guestlist_outbox SET leased_until = NULL, leased_at = NULL, letter_date = NULL,
    attempts = attempts + 1, faults = faults + 1, last_error = 'no answer'";

/// Leases the message, and returns its ticket and the date of its letter.
async fn lease(team: &Team) -> (Ticket, DateTime<Utc>) {
    let mut cursor = FairCursor::of(Priority::LETTER);
    let mut tx = team.begin().await;
    let leases = outbox::lease(&mut tx, &mut cursor, team.now(), LEASE, 1).await;
    let ticket = leases.expect("leased")[0].ticket;
    let message = outbox::take_all(&mut tx, &[ticket])
        .await
        .expect("read")
        .remove(0);
    tx.commit().await.expect("committed");
    (ticket, message.date())
}

/// Postpones a leased message whose letter was not begun.
async fn postpone(team: &Team, ticket: Ticket, after: Duration, cost: Cost) {
    let postpone = async |tx: &mut guestlist::Transaction| {
        outbox::postpone(tx, ticket, team.now(), after, cost, "later", None).await
    };
    team.in_transaction(postpone).await.expect("postponed");
    team.advance_clock(TimeDelta::from_std(after).expect("short"));
}

async fn retry(team: &Team, message: Option<MessageId>) {
    team.in_transaction(async |tx| match message {
        Some(id) => outbox::retry(tx, team.now(), id).await.map(drop),
        None => outbox::retry_dead(tx, team.now()).await.map(drop),
    })
    .await
    .expect("retried");
}

on_both_databases! {
    async fn letter_that_was_not_answered_keeps_its_date(team: Team) {
        for earlier in [[UNANSWERED].as_slice(), &[UNANSWERED, UNANSWERED]] {
            let created = team.now();
            team.invite(OLIVIA, &format!("a{}{}@example.com", earlier.len(), created.timestamp()), "agent").await.unwrap();
            for statement in earlier {
                lease(&team).await;
                execute(&team, statement).await;
                team.advance_clock(TimeDelta::hours(1));
            }
            let (mut ticket, date) = lease(&team).await;
            assert_eq!(date, created, "{earlier:?}");
            for cost in [Cost::Nothing, Cost::Fault, Cost::Attempt] {
                postpone(&team, ticket, A_MINUTE, cost).await;
                let leased = lease(&team).await;
                assert_eq!(leased.1, created, "{cost:?}");
                ticket = leased.0;
            }
            team.in_transaction(async |tx| outbox::complete(tx, &[ticket.message.into()]).await).await.unwrap();
        }
    }

    async fn letter_that_was_not_answered_keeps_its_date_when_retried(team: Team) {
        let created = team.now();
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        for by_id in [true, false] {
            team.advance_clock(TimeDelta::hours(1));
            let (ticket, _) = lease(&team).await;
            team.in_transaction(async |tx| outbox::give_up(tx, ticket, team.now(), "no answer", None).await)
                .await
                .unwrap();
            execute(&team, "UPDATE guestlist_outbox SET letter_date = NULL, faults = 20, attempts = 21, late_since = NULL").await;
            retry(&team, by_id.then_some(ticket.message)).await;
            assert_eq!(lease(&team).await.1, created);
            execute(&team, "UPDATE guestlist_outbox SET leased_until = NULL, letter_date = NULL").await;
        }
    }

    async fn letter_that_was_not_begun_is_dated_anew(team: Team) {
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::hours(1));
        for cost in [Cost::Nothing, Cost::Attempt, Cost::Refusal, Cost::Fault, Cost::Nothing] {
            let (ticket, date) = lease(&team).await;
            assert_eq!(date, team.now(), "before {cost:?}");
            postpone(&team, ticket, A_MINUTE, cost).await;
        }
        assert_eq!(lease(&team).await.1, team.now());
    }

    // It leaves `late_since` as it was, although the recipient's server asked for the delay.
    async fn delay_beyond_an_hour_is_not_late(team: Team) {
        let promised = team.now();
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let (ticket, _) = lease(&team).await;
        let postpone = async |tx: &mut guestlist::Transaction| {
            outbox::postpone(tx, ticket, team.now(), TWO_HOURS, Cost::Nothing, "later", None).await
        };
        team.in_transaction(postpone).await.expect("postponed");
        for expected in [None, Some(promised), Some(promised)] {
            let mut tx = team.begin().await;
            let oldest = outbox::oldest_due(&mut tx, team.now(), Priority::LETTER).await;
            assert_eq!(oldest.expect("read"), expected);
            drop(tx);
            team.advance_clock(TimeDelta::hours(1));
        }
    }
}
