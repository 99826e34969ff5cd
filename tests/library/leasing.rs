use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox::{self, Cost, FairCursor, Lease, Message, Priority, State};
use guestlist::{Ticket, Transaction};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

const LEASE: Duration = Duration::from_secs(20);
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

async fn lease(team: &Team, limit: usize) -> Vec<Lease> {
    let mut tx = team.begin().await;
    let mut cursor = FairCursor::of(Priority::LETTER);
    let leases = outbox::lease(&mut tx, &mut cursor, team.now(), LEASE, limit)
        .await
        .expect("leased");
    tx.commit().await.expect("committed");
    leases
}

async fn invite(team: &Team, count: usize) {
    for number in 0..count {
        team.invite(OLIVIA, &format!("p{number}@example.com"), "agent")
            .await
            .expect("invited");
    }
}

async fn list(team: &Team, state: State) -> Vec<Message> {
    let mut tx = team.begin().await;
    outbox::list(&mut tx, team.now(), state, None, 10)
        .await
        .expect("read")
}

/// The message of a lease, unless its generation changed.
async fn take(tx: &mut Transaction, lease: &Lease) -> Option<Message> {
    outbox::take_all(tx, &[lease.ticket])
        .await
        .expect("read")
        .pop()
}

/// The ticket of a lease that came so many leases of its message later.
fn other_generation(ticket: Ticket, later: i64) -> Ticket {
    Ticket::new(ticket.message, ticket.generation + later)
}

on_both_databases! {
    async fn message_has_one_holder_until_its_lease_ends(team: Team) {
        invite(&team, 1).await;
        let first = lease(&team, 10).await;
        assert_eq!(first.len(), 1);
        assert!(lease(&team, 10).await.is_empty());
        team.advance_clock(TimeDelta::seconds(20));
        let second = lease(&team, 10).await;
        assert_eq!(second[0].ticket, other_generation(first[0].ticket, 1));
        let mut tx = team.begin().await;
        assert!(take(&mut tx, &first[0]).await.is_none(), "the generation changed");
        assert!(take(&mut tx, &second[0]).await.is_some());
    }

    async fn take_all_skips_messages_of_another_generation(team: Team) {
        invite(&team, 4).await;
        let first = lease(&team, 4).await;
        team.advance_clock(TimeDelta::seconds(20));
        let second = lease(&team, 1).await[0];
        let mut tx = team.begin().await;
        let given_up = first.iter().find(|lease| lease.ticket.message != second.ticket.message).unwrap();
        outbox::give_up(&mut tx, given_up.ticket, team.now(), "no", None).await.unwrap();
        let asked: Vec<_> = first.iter().map(|lease| lease.ticket).collect();
        let taken = outbox::take_all(&mut tx, &asked).await.unwrap();
        let taken: HashSet<_> = taken.iter().map(|message| message.id).collect();
        let mut held: HashSet<_> = first.iter().map(|lease| lease.ticket.message).collect();
        held.remove(&second.ticket.message);
        held.remove(&given_up.ticket.message);
        assert_eq!(taken, held);
        let taken = outbox::take_all(&mut tx, &[second.ticket]).await.unwrap();
        assert_eq!(taken.iter().map(Message::ticket).collect::<Vec<_>>(), [second.ticket]);
        assert!(outbox::take_all(&mut tx, &[]).await.unwrap().is_empty());
    }

    async fn a_repeated_postponement_counts_once(team: Team) {
        invite(&team, 1).await;
        let held = lease(&team, 1).await[0];
        for _ in 0..2 {
            let mut tx = team.begin().await;
            outbox::postpone(&mut tx, held.ticket, team.now(), FIVE_MINUTES, Cost::Refusal, "no", None).await.unwrap();
            tx.commit().await.unwrap();
        }
        let messages = outbox::list(&mut team.begin().await, team.now(), State::Ready, None, 10).await.unwrap();
        assert_eq!((messages[0].attempts, messages[0].refusals), (1, 1));
    }

    async fn an_outbox_is_idle_when_nothing_is_due_or_held(team: Team) {
        let is_idle = async || outbox::is_idle(&mut team.begin().await, team.now()).await.unwrap();
        assert!(is_idle().await);
        invite(&team, 1).await;
        assert!(!is_idle().await, "a letter is due");
        let held = lease(&team, 1).await[0];
        assert!(!is_idle().await, "a worker has leased it");
        let mut tx = team.begin().await;
        outbox::postpone(&mut tx, held.ticket, team.now(), FIVE_MINUTES, Cost::Attempt, "later", None).await.unwrap();
        tx.commit().await.unwrap();
        assert!(is_idle().await, "it is due later");
        team.join("bob", "agent").await;
        let _ = lease(&team, 10).await;
        team.remove(OLIVIA, "bob").await.unwrap();
        let urgent = outbox::lease(&mut team.begin().await, &mut FairCursor::of(Priority::URGENT), team.now(), LEASE, 1).await.unwrap();
        assert_eq!(urgent.len(), 1, "a purge is due");
        let mut tx = team.begin().await;
        for letter in outbox::list(&mut tx, team.now(), State::Leased, None, 10).await.unwrap() {
            outbox::complete(&mut tx, &[letter.id.into()]).await.unwrap();
        }
        for letter in outbox::list(&mut tx, team.now(), State::Ready, None, 10).await.unwrap() {
            if letter.kind != "purge_sessions" { outbox::complete(&mut tx, &[letter.id.into()]).await.unwrap(); }
        }
        tx.commit().await.unwrap();
        assert!(!is_idle().await, "nothing but the purge is left");
    }

    async fn only_an_expired_lease_counts_as_lapsed(team: Team) {
        invite(&team, 3).await;
        let first = lease(&team, 10).await;
        assert!(first.iter().all(|lease| !lease.follows_a_lapse), "they were not leased before");
        let mut tx = team.begin().await;
        outbox::release(&mut tx, &[first[0].ticket]).await.unwrap();
        outbox::postpone(&mut tx, first[1].ticket, team.now(), Duration::ZERO, Cost::Attempt, "later", None).await.unwrap();
        tx.commit().await.unwrap();
        team.advance_clock(TimeDelta::seconds(20));
        let mut second = lease(&team, 10).await;
        second.sort_by_key(|lease| lease.ticket.message);
        let lapsed: Vec<_> = second.iter().map(|lease| (lease.ticket.message, lease.follows_a_lapse)).collect();
        assert_eq!(lapsed, [(first[0].ticket.message, false), (first[1].ticket.message, false), (first[2].ticket.message, true)]);
    }

    async fn bounded_count_stops_at_its_limit(team: Team) {
        invite(&team, 5).await;
        let held = lease(&team, 2).await;
        let mut tx = team.begin().await;
        outbox::give_up(&mut tx, held[0].ticket, team.now(), "no", None).await.unwrap();
        tx.commit().await.unwrap();
        let counts = async |most| {
            let mut tx = team.begin().await;
            let counts = outbox::counts_within(&mut tx, team.now(), most).await.unwrap();
            assert!(counts.iter().all(|count| count.kind == "send_invitation"));
            counts.into_iter().map(|count| (count.state, count.count)).collect::<Vec<_>>()
        };
        assert_eq!(counts(100).await, [(State::Dead, 1), (State::Leased, 1), (State::Ready, 3)]);
        let few: i64 = counts(2).await.iter().map(|(_, count)| count).sum();
        assert_eq!(few, 3, "two alive and one dead");
        assert_eq!(counts(0).await, []);
    }

    async fn oldest_due_message_waited_longest(team: Team) {
        let oldest = async |priority| {
            let mut tx = team.begin().await;
            outbox::oldest_due(&mut tx, team.now(), priority).await.unwrap()
        };
        let due = async || outbox::due(&mut team.begin().await, team.now()).await.unwrap();
        assert_eq!(oldest(Priority::LETTER).await, None);
        assert_eq!(due().await, []);
        let began = team.now();
        invite(&team, 1).await;
        team.advance_clock(TimeDelta::seconds(5));
        team.invite(OLIVIA, "later@example.com", "agent").await.unwrap();
        assert_eq!(oldest(Priority::LETTER).await, Some(began));
        assert_eq!(due().await, [Priority::LETTER]);
        assert_eq!(oldest(Priority::URGENT).await, None);
        lease(&team, 2).await;
        assert_eq!(oldest(Priority::LETTER).await, Some(began), "leased ones count");
        assert_eq!(due().await, []);
        team.join("bob", "agent").await;
        team.remove(OLIVIA, "bob").await.unwrap();
        assert_eq!(due().await[0], Priority::URGENT);
    }

    async fn concurrent_leases_do_not_overlap(team: Team) {
        invite(&team, 40).await;
        let (a, b, c) = tokio::join!(lease(&team, 20), lease(&team, 20), lease(&team, 20));
        let all: Vec<_> = [a, b, c].concat();
        let ids: HashSet<_> = all.iter().map(|lease| lease.ticket.message).collect();
        assert_eq!(ids.len(), all.len());
        let rest = lease(&team, 100).await;
        assert_eq!(all.len() + rest.len(), 40);
    }

    async fn released_lease_is_due_with_a_new_generation(team: Team) {
        invite(&team, 2).await;
        let held = lease(&team, 2).await;
        let tickets = [held[0].ticket, other_generation(held[1].ticket, -1)];
        let mut tx = team.begin().await;
        outbox::release(&mut tx, &tickets).await.unwrap();
        tx.commit().await.unwrap();
        let again = lease(&team, 2).await;
        let again: Vec<_> = again.iter().map(|lease| lease.ticket).collect();
        assert_eq!(again, [other_generation(held[0].ticket, 1)]);
    }

    async fn concurrent_renewals_do_not_deadlock(team: Team) {
        invite(&team, 100).await;
        let mut tickets: Vec<_> = lease(&team, 100).await.iter().map(|lease| lease.ticket).collect();
        let until = team.now() + TimeDelta::seconds(60);
        let renewing = tickets.clone();
        let database = team.database.clone();
        let renewals = tokio::spawn(async move {
            for _ in 0..50 {
                outbox::renew(&mut database.begin().await.unwrap(), until, &renewing).await.unwrap();
            }
        });
        tickets.reverse();
        for _ in 0..50 {
            outbox::renew(&mut team.begin().await, until, &tickets).await.unwrap();
        }
        renewals.await.unwrap();
        let mut tx = team.begin().await;
        let completions: Vec<_> = tickets.iter().map(|ticket| ticket.message.into()).collect();
        outbox::complete(&mut tx, &completions).await.unwrap();
        assert!(outbox::is_idle(&mut tx, team.now()).await.unwrap());
    }

    async fn only_held_leases_are_renewed(team: Team) {
        invite(&team, 2).await;
        let held = lease(&team, 2).await;
        let tickets = [held[0].ticket, other_generation(held[1].ticket, -1)];
        let mut tx = team.begin().await;
        let until = team.now() + TimeDelta::seconds(60);
        assert_eq!(outbox::renew(&mut tx, until, &tickets).await.unwrap(), [held[0].ticket]);
        tx.commit().await.unwrap();
        team.advance_clock(TimeDelta::seconds(30));
        assert_eq!(lease(&team, 10).await.len(), 1);
    }

    async fn session_purge_is_not_in_the_letter_lane(team: Team) {
        team.join("bob", "agent").await;
        invite(&team, 3).await;
        team.remove(OLIVIA, "bob").await.unwrap();
        let mut tx = team.begin().await;
        let mut cursor = FairCursor::of(Priority::URGENT);
        let urgent = outbox::lease(&mut tx, &mut cursor, team.now(), LEASE, 10).await.unwrap();
        assert_eq!(urgent.len(), 1);
        assert!(urgent[0].is_urgent());
        let message = take(&mut tx, &urgent[0]).await.unwrap();
        let task = message.task().unwrap();
        assert!(matches!(task, outbox::Task::PurgeSessions { user: Some(user) } if user.as_str() == "bob"));
        tx.commit().await.unwrap();
        let letters = lease(&team, 10).await;
        assert!(!letters.is_empty());
        assert!(letters.iter().all(|lease| !lease.is_urgent()));
    }

    async fn postponed_message_returns_and_dead_one_stays_dead(team: Team) {
        invite(&team, 1).await;
        let held = lease(&team, 1).await[0];
        let mut tx = team.begin().await;
        outbox::postpone(&mut tx, held.ticket, team.now(), FIVE_MINUTES, Cost::Attempt, "450 busy", None).await.unwrap();
        tx.commit().await.unwrap();
        assert!(lease(&team, 1).await.is_empty());
        team.advance_clock(TimeDelta::minutes(5));
        let held = lease(&team, 1).await[0];
        let mut tx = team.begin().await;
        let message = take(&mut tx, &held).await.unwrap();
        assert_eq!((message.attempts, message.last_error.as_deref()), (1, Some("450 busy")));
        outbox::give_up(&mut tx, other_generation(held.ticket, -1), team.now(), "stale", None).await.unwrap();
        assert!(take(&mut tx, &held).await.is_some(), "a stale generation gives up nothing");
        outbox::give_up(&mut tx, held.ticket, team.now(), "554 no", None).await.unwrap();
        let dead = outbox::list(&mut tx, team.now(), State::Dead, None, 10).await.unwrap();
        assert_eq!((dead.len(), dead[0].state(team.now())), (1, State::Dead));
        tx.commit().await.unwrap();
        team.advance_clock(TimeDelta::days(1));
        assert!(lease(&team, 1).await.is_empty());
        let mut tx = team.begin().await;
        assert!(outbox::is_idle(&mut tx, team.now()).await.unwrap());
        assert!(outbox::retry(&mut tx, team.now(), held.ticket.message).await.unwrap());
        tx.commit().await.unwrap();
        let revived = lease(&team, 1).await[0];
        assert!(revived.ticket.generation > held.ticket.generation);
    }

    async fn completed_message_is_settled_under_any_lease(team: Team) {
        invite(&team, 1).await;
        let stale = lease(&team, 1).await[0];
        team.advance_clock(TimeDelta::seconds(20));
        lease(&team, 1).await;
        let mut tx = team.begin().await;
        outbox::complete(&mut tx, &[stale.ticket.message.into()]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = team.begin().await;
        assert_eq!(outbox::counts(&mut tx, team.now()).await.unwrap(), []);
    }

    async fn operators_can_count_and_discard_messages(team: Team) {
        invite(&team, 3).await;
        let held = lease(&team, 1).await[0];
        let mut tx = team.begin().await;
        let counts = outbox::counts(&mut tx, team.now()).await.unwrap();
        let seen: Vec<_> = counts.iter().map(|count| (count.state, count.count)).collect();
        assert_eq!(seen, [(State::Leased, 1), (State::Ready, 2)]);
        assert!(!outbox::discard(&mut tx, team.now(), held.ticket.message).await.unwrap(), "a worker has leased it");
        let waiting = outbox::list(&mut tx, team.now(), State::Ready, None, 10).await.unwrap();
        assert!(outbox::discard(&mut tx, team.now(), waiting[0].id).await.unwrap());
        assert_eq!(outbox::retry_dead(&mut tx, team.now()).await.unwrap(), 0);
    }

    async fn lease_skips_rows_locked_by_another_worker(team: Team) {
        if !crate::has_many_writers(&team) {
            return;
        }
        invite(&team, 2).await;
        let mut slow = team.begin().await;
        let held = outbox::lease(&mut slow, &mut FairCursor::of(Priority::LETTER), team.now(), LEASE, 1).await.unwrap();
        let quick = tokio::time::timeout(Duration::from_secs(10), lease(&team, 10)).await.expect("no waiting");
        assert_eq!(quick.len(), 1);
        assert_ne!(quick[0].ticket.message, held[0].ticket.message);
    }

    async fn stale_generation_settles_nothing(team: Team) {
        invite(&team, 1).await;
        let stale = lease(&team, 1).await[0];
        team.advance_clock(TimeDelta::seconds(20));
        let held = lease(&team, 1).await[0];
        let mut tx = team.begin().await;
        outbox::postpone(&mut tx, stale.ticket, team.now(), FIVE_MINUTES, Cost::Refusal, "stale", None).await.unwrap();
        outbox::give_up(&mut tx, stale.ticket, team.now(), "stale", None).await.unwrap();
        let message = take(&mut tx, &held).await.expect("still held");
        assert_eq!((message.attempts, message.refusals, message.last_error), (0, 0, None));
    }

    async fn time_of_the_first_refusal_is_kept(team: Team) {
        invite(&team, 1).await;
        let first_refusal = team.now() + TimeDelta::minutes(5);
        let costs = [Cost::Attempt, Cost::Refusal, Cost::Nothing, Cost::Fault, Cost::Refusal];
        let counted = [(1, 0, 0), (2, 0, 1), (2, 0, 1), (3, 1, 1), (4, 1, 2)];
        for (cost, expected) in costs.into_iter().zip(counted) {
            let held = lease(&team, 1).await[0];
            team.in_transaction(async |tx| outbox::postpone(tx, held.ticket, team.now(), FIVE_MINUTES, cost, "no", None).await).await.unwrap();
            let message = list(&team, State::Ready).await.remove(0);
            assert_eq!((message.attempts, message.faults, message.refusals), expected, "{cost:?}");
            assert_eq!(message.refused_at, (message.refusals > 0).then_some(first_refusal), "{cost:?}");
            team.advance_clock(TimeDelta::minutes(5));
        }
        let message = list(&team, State::Ready).await.remove(0);
        team.in_transaction(async |tx| outbox::retry(tx, team.now(), message.id).await).await.unwrap();
        let message = list(&team, State::Ready).await.remove(0);
        assert_eq!((message.attempts, message.refusals, message.refused_at), (0, 0, None), "retried anew");
        let held = lease(&team, 1).await[0];
        team.in_transaction(async |tx| {
            outbox::postpone(&mut *tx, held.ticket, team.now(), Duration::ZERO, Cost::Refusal, "no", None).await?;
            outbox::give_up(&mut *tx, held.ticket, team.now(), "no", None).await?;
            outbox::retry_dead(&mut *tx, team.now()).await
        }).await.unwrap();
        let message = list(&team, State::Ready).await.remove(0);
        assert_eq!((message.attempts, message.refusals, message.refused_at), (0, 0, None), "all dead retried");
    }

    async fn retry_resets_dead_messages_and_skips_leased_ones(team: Team) {
        invite(&team, 3).await;
        let held = lease(&team, 2).await;
        let mut tx = team.begin().await;
        for lease in &held {
            assert!(!outbox::retry(&mut tx, team.now(), lease.ticket.message).await.unwrap(), "a worker has leased it");
            outbox::give_up(&mut tx, lease.ticket, team.now(), "554 \0no\r\n", None).await.unwrap();
        }
        let dead = outbox::list(&mut tx, team.now(), State::Dead, None, 10).await.unwrap();
        assert_eq!((dead[0].attempts, dead[0].last_error.as_deref()), (1, Some("554  no  ")));
        let behind = outbox::list(&mut tx, team.now(), State::Dead, Some(dead[0].id), 10).await.unwrap();
        assert_eq!(behind.iter().map(|message| message.id).collect::<Vec<_>>(), [dead[1].id]);
        assert!(!outbox::is_idle(&mut tx, team.now()).await.unwrap(), "one was never leased");
        assert!(outbox::retry(&mut tx, team.now(), dead[0].id).await.unwrap());
        assert_eq!(outbox::retry_dead(&mut tx, team.now()).await.unwrap(), 1);
        let ready = outbox::list(&mut tx, team.now(), State::Ready, None, 10).await.unwrap();
        assert_eq!(ready.iter().map(|message| message.attempts).collect::<Vec<_>>(), [0, 0, 0]);
    }

    async fn only_the_named_messages_are_settled(team: Team) {
        invite(&team, 2).await;
        let held = lease(&team, 2).await;
        let mut tx = team.begin().await;
        outbox::complete(&mut tx, &[]).await.unwrap();
        outbox::complete(&mut tx, &[held[0].ticket.message.into()]).await.unwrap();
        assert!(take(&mut tx, &held[0]).await.is_none());
        assert!(take(&mut tx, &held[1]).await.is_some());
    }
}

/// An update that is not heap-only writes an entry into each index of the outbox.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn leases_write_no_index_entries() {
    let team = Team::on(crate::postgres::schema().await).await;
    let invites = (0..500).map(|n| team.invitation_of(&format!("p{n}@example.com"), "agent"));
    let acting = team.guestlist.act(crate::support::member(OLIVIA));
    let acting = acting.in_organization(team.organization.id);
    let invites = invites.collect();
    team.in_transaction(async |tx| acting.invite_all(tx, invites).await)
        .await
        .unwrap();
    let mut tx = team.begin().await;
    let mut cursor = FairCursor::of(Priority::LETTER);
    let leases = outbox::lease(&mut tx, &mut cursor, team.now(), LEASE, 500)
        .await
        .unwrap();
    assert_eq!(leases.len(), 500);
    #[allow(irrefutable_let_patterns)]
    let Transaction::Postgres(tx) = &mut tx else {
        unreachable!("a schema of Postgres")
    };
    let heap_only = "SELECT n_tup_hot_upd FROM pg_stat_xact_user_tables
                     WHERE relid = 'guestlist_outbox'::regclass";
    let heap_only: i64 = sqlx::query_scalar(heap_only)
        .fetch_one(&mut **tx)
        .await
        .unwrap();
    assert!(heap_only >= 490, "{heap_only} of 500");
}
