//! An organization with many invitations does not delay the letters of others.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox::{self, FairCursor, Lease, Priority};
use guestlist::{Invite, Organization, OrganizationId};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, name, person};

async fn lease(team: &Team, cursor: &mut FairCursor, limit: usize) -> Vec<Lease> {
    let mut tx = team.begin().await;
    let leases = outbox::lease(&mut tx, cursor, team.now(), Duration::from_secs(20), limit);
    let leases = leases.await.unwrap();
    tx.commit().await.unwrap();
    leases
}

async fn organization(team: &Team) -> Organization {
    let create = async |tx: &mut _| {
        team.guestlist
            .create(tx, name("Other"), &person(OLIVIA))
            .await
    };
    team.in_transaction(create).await.unwrap()
}

async fn invite(team: &Team, organization: OrganizationId, people: usize) {
    let invite = |number| {
        let email = format!("p{number}@example.com").parse().unwrap();
        Invite::new(email, "agent".parse().unwrap())
    };
    let invites = (0..people).map(invite).collect();
    let all = async |tx: &mut _| {
        team.guestlist
            .act(member(OLIVIA))
            .in_organization(organization)
            .invite_all(tx, invites)
            .await
    };
    team.in_transaction(all).await.unwrap();
}

/// Creates `count` organizations with `letters` letters each, in the order of their ids.
async fn organizations(team: &Team, count: usize, letters: usize) -> Vec<OrganizationId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = organization(team).await.id;
        invite(team, id, letters).await;
        ids.push(id);
    }
    ids.sort();
    ids
}

fn counts(leases: &[Lease]) -> HashMap<OrganizationId, usize> {
    let mut counts = HashMap::new();
    for lease in leases {
        *counts.entry(lease.organization).or_default() += 1;
    }
    counts
}

on_both_databases! {
    async fn single_letter_is_not_delayed_by_anothers_many(team: Team) {
        invite(&team, team.organization.id, 300).await;
        team.advance_clock(TimeDelta::seconds(1));
        let newcomer = organizations(&team, 1, 1).await[0];
        let leases = lease(&team, &mut FairCursor::of(Priority::LETTER), 10).await;
        assert_eq!(leases.len(), 10, "the rest goes to the organization that waited longest");
        assert_eq!(counts(&leases)[&newcomer], 1);
        let place = leases.iter().position(|lease| lease.organization == newcomer);
        assert_eq!(place.map(|place| place <= 1), Some(true), "and goes out first: {place:?}");
    }

    async fn organizations_with_much_to_send_get_equal_shares(team: Team) {
        let all = organizations(&team, 4, 20).await;
        let leases = lease(&team, &mut FairCursor::of(Priority::LETTER), 40).await;
        assert_eq!(counts(&leases), all.iter().map(|id| (*id, 10)).collect());
        for round in leases.chunks(4) {
            assert_eq!(counts(round).len(), 4, "they take turns");
        }
    }

    async fn relay_continues_after_the_last_organization(team: Team) {
        let mut all = organizations(&team, 7, 2).await;
        all.reverse();
        let mut cursor = FairCursor::of(Priority::LETTER);
        let mut order = Vec::new();
        for _ in 0..14 {
            let leases = lease(&team, &mut cursor, 1).await;
            order.extend(leases.iter().map(|lease| lease.organization));
        }
        assert_eq!(order, [all.clone(), all].concat());
        assert!(lease(&team, &mut cursor, 1).await.is_empty());
    }

    async fn due_letter_is_found_behind_many_leased_ones(team: Team) {
        organizations(&team, 40, 1).await;
        let mut cursor = FairCursor::of(Priority::LETTER);
        assert_eq!(lease(&team, &mut cursor, 100).await.len(), 40);
        let due = organizations(&team, 1, 1).await[0];
        let mut fresh = FairCursor::of(Priority::LETTER);
        let leases = lease(&team, &mut fresh, 1).await;
        assert_eq!(counts(&leases), HashMap::from([(due, 1)]));
    }

    async fn relays_with_equal_cursors_do_not_overlap(team: Team) {
        organizations(&team, 5, 8).await;
        let one = async || lease(&team, &mut FairCursor::of(Priority::LETTER), 20).await;
        let (a, b, c) = tokio::join!(one(), one(), one());
        let mut ids: Vec<_> = [a, b, c].concat().iter().map(|lease| lease.ticket.message).collect();
        let leased = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), leased);
        assert_eq!(leased + lease(&team, &mut FairCursor::of(Priority::LETTER), 100).await.len(), 40);
    }
}
