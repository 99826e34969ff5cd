//! The date of a letter: that of its lease, until the mail server may have received a part of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::outbox::{self, Cost, FairCursor, Message, Priority, State};
use guestlist::{Database, Ticket};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

const LEASE: Duration = Duration::from_secs(20);
const AN_HOUR: TimeDelta = TimeDelta::hours(1);

/// The end of a lease.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The worker stopped before the job began.
    Released,
    /// The mail server was not sent the letter.
    Unsent(Cost),
    /// The mail server was sent the letter, or a part of it.
    Sent(Cost),
    /// The same, and the message was given up, and is retried by an operator.
    SentAndDead,
    /// The message was given up before the letter was sent, and is retried by an operator.
    UnsentAndDead,
    /// Nobody knows.
    Expired,
}

const UNSENT: [End; 5] = [
    End::Released,
    End::Unsent(Cost::Nothing),
    End::Unsent(Cost::Attempt),
    End::Unsent(Cost::Fault),
    End::UnsentAndDead,
];
const SENT: [End; 6] = [
    End::Sent(Cost::Nothing),
    End::Sent(Cost::Attempt),
    End::Sent(Cost::Refusal),
    End::Sent(Cost::Fault),
    End::SentAndDead,
    End::Expired,
];

/// Leases the only message that is due.
pub(crate) async fn lease(team: &Team) -> Message {
    let mut tx = team.begin().await;
    let mut cursor = FairCursor::of(Priority::LETTER);
    let leases = outbox::lease(&mut tx, &mut cursor, team.now(), LEASE, 1).await;
    let tickets: Vec<Ticket> = leases.unwrap().iter().map(|lease| lease.ticket).collect();
    let message = outbox::take_all(&mut tx, &tickets).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    message
}

/// Ends a lease, and lets an hour pass.
async fn end(team: &Team, message: &Message, end: End) {
    let (ticket, now, none) = (message.ticket(), team.now(), Duration::ZERO);
    let date = message.date();
    let mut tx = team.begin().await;
    match end {
        End::Released => outbox::release(&mut tx, &[ticket]).await,
        End::Unsent(cost) => outbox::postpone(&mut tx, ticket, now, none, cost, "no", None).await,
        End::Sent(cost) => {
            outbox::postpone(&mut tx, ticket, now, none, cost, "no", Some(date)).await
        }
        End::SentAndDead => outbox::give_up(&mut tx, ticket, now, "no", Some(date)).await,
        End::UnsentAndDead => outbox::give_up(&mut tx, ticket, now, "no", None).await,
        End::Expired => Ok(()),
    }
    .unwrap();
    if matches!(end, End::SentAndDead | End::UnsentAndDead) {
        assert!(outbox::retry(&mut tx, now, message.id).await.unwrap());
    }
    tx.commit().await.unwrap();
    team.advance_clock(AN_HOUR);
}

/// Runs a statement outside of the library.
pub(crate) async fn execute(team: &Team, statement: &'static str) {
    match &team.database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

/// Invites a person whose letter is the only message, an hour ago.
async fn invite(team: &Team) -> DateTime<Utc> {
    execute(team, "DELETE FROM guestlist_outbox").await;
    let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
    team.invite(OLIVIA, &email, "agent").await.unwrap();
    let promised = team.now();
    team.advance_clock(AN_HOUR);
    promised
}

on_both_databases! {
    async fn unsent_letter_has_the_date_of_its_lease(team: Team) {
        for first in UNSENT {
            for second in UNSENT {
                invite(&team).await;
                for ended in [first, second] {
                    let message = lease(&team).await;
                    assert_eq!(message.date(), team.now(), "{first:?}, {second:?}");
                    end(&team, &message, ended).await;
                }
                assert_eq!(lease(&team).await.date(), team.now(), "{first:?}, {second:?}");
            }
        }
    }

    async fn letter_that_may_be_sent_keeps_its_date(team: Team) {
        for sent in SENT {
            for later in UNSENT.into_iter().chain(SENT) {
                invite(&team).await;
                end(&team, &lease(&team).await, End::Released).await;
                let date = team.now();
                for ended in [sent, later] {
                    let message = lease(&team).await;
                    assert_eq!(message.date(), date, "{sent:?}, {later:?}");
                    end(&team, &message, ended).await;
                }
                assert_eq!(lease(&team).await.date(), date, "{sent:?}, {later:?}");
            }
        }
    }

    async fn renewal_changes_no_date(team: Team) {
        invite(&team).await;
        let message = lease(&team).await;
        team.advance_clock(TimeDelta::seconds(10));
        let until = team.now() + LEASE;
        let renew = async |tx: &mut _| outbox::renew(tx, until, &[message.ticket()]).await;
        assert_eq!(team.in_transaction(renew).await.unwrap(), [message.ticket()]);
        let leased = outbox::list(&mut team.begin().await, team.now(), State::Leased, None, 1).await;
        assert_eq!(leased.unwrap()[0].date(), message.date());
    }

    // A worker of the release before does not know the columns, and dates a letter by its creation.
    async fn lease_of_an_earlier_release_dates_by_creation(team: Team) {
        let leased = "UPDATE guestlist_outbox SET leased_until = run_at, generation = generation + 1";
        for first in UNSENT {
            let promised = invite(&team).await;
            end(&team, &lease(&team).await, first).await;
            execute(&team, leased).await;
            for _ in 0..2 {
                let message = lease(&team).await;
                assert_eq!(message.date(), promised, "after {first:?}, its worker may have sent it");
                end(&team, &message, End::Released).await;
            }
        }
    }
}
