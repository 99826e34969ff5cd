//! An organization has no more members than seats.

use guestlist::{Error, Seats};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, person, the_host, user};

fn seated(team: &Team, seats: Seats) -> Team {
    team.configured(|builder| builder.seats(seats))
}

async fn set_seats(team: &Team, seats: Option<u32>) -> Option<u32> {
    let id = team.organization.id;
    team.in_transaction(async |tx| {
        team.guestlist
            .act(the_host())
            .in_organization(id)
            .set_seats(tx, seats)
            .await
    })
    .await
    .expect("set")
    .seats()
}

fn no_seat<T: std::fmt::Debug>(result: Result<T, Error>, of: u32) {
    assert!(
        matches!(result, Err(Error::NoSeat { seats }) if seats == of),
        "{result:?}"
    );
}

on_both_databases! {
    async fn pending_invitation_takes_a_seat_until_it_ends(team: Team) {
        let team = seated(&team, Seats::at_most(2));
        let first = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let messages = team.messages().await.len();
        no_seat(team.invite(OLIVIA, "b@example.com", "agent").await, 2);
        assert_eq!(team.messages().await.len(), messages);
        team.revoke(OLIVIA, first.id).await.unwrap();
        let second = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        team.advance_clock(chrono::TimeDelta::days(7));
        team.invite(OLIVIA, "c@example.com", "agent").await.expect("the second is over, recorded or not");
        no_seat(team.resend(OLIVIA, second.id).await, 2);
    }

    async fn pending_invitation_keeps_its_seat(team: Team) {
        let team = seated(&team, Seats::at_most(2));
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.accept(&team.token(&invitation), &person("bob")).await.unwrap();
        no_seat(team.invite(OLIVIA, "c@example.com", "agent").await, 2);
        team.remove(OLIVIA, "bob").await.unwrap();
        team.invite(OLIVIA, "c@example.com", "agent").await.expect("a seat is free again");
    }

    async fn superseding_and_resending_take_no_second_seat(team: Team) {
        let team = seated(&team, Seats::at_most(2));
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let invite = team.invitation_of("A@example.com", "manager").superseding();
        let newer = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(tx, invite).await).await.unwrap();
        team.advance_clock(chrono::TimeDelta::hours(1));
        team.resend(OLIVIA, newer.id).await.expect("it has its seat");
    }

    async fn without_pending_only_members_take_seats(team: Team) {
        let team = seated(&team, Seats::at_most(2).without_pending());
        let one = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let two = team.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        team.accept(&team.token(&one), &person("bob")).await.unwrap();
        no_seat(team.accept(&team.token(&two), &person("carl")).await, 2);
        assert!(team.invitation(two.id).await.is_pending(team.now()), "it can be accepted when a seat is free");
        no_seat(team.invite(OLIVIA, "d@example.com", "agent").await, 2);
        team.leave("bob").await.unwrap();
        team.accept(&team.token(&two), &person("carl")).await.unwrap();
    }

    async fn seats_set_by_the_host_override_the_default(team: Team) {
        let team = seated(&team, Seats::at_most(1));
        no_seat(team.invite(OLIVIA, "a@example.com", "agent").await, 1);
        assert_eq!(set_seats(&team, Some(2)).await, Some(2));
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let events = team.events().await.len();
        assert_eq!(set_seats(&team, Some(2)).await, Some(2));
        assert_eq!(team.events().await.len(), events, "the same again is no change");
        assert_eq!(set_seats(&team, Some(0)).await, Some(0));
        no_seat(team.accept(&team.token(&invitation), &person("a")).await, 0);
        assert!(team.membership(OLIVIA).await.is_some(), "members stay");
        assert_eq!(set_seats(&team, None).await, None);
        let last = team.events().await.pop().unwrap();
        assert_eq!((last.kind.as_str(), last.before.unwrap()["seats"].as_i64()), ("seats_changed", Some(0)));
        let unlimited = seated(&team, Seats::unlimited());
        unlimited.accept(&team.token(&invitation), &person("a")).await.unwrap();
    }

    async fn seats_of_an_unknown_organization_are_refused(team: Team) {
        let id = uuid::Uuid::now_v7().into();
        let unknown = team.in_transaction(async |tx| team.guestlist.act(the_host()).in_organization(id).set_seats(tx, Some(1)).await).await;
        assert!(matches!(unknown, Err(Error::NotFound)));
    }

    async fn suspension_frees_a_seat_and_reinstatement_needs_one(team: Team) {
        let team = seated(&team, Seats::at_most(2));
        team.join("bob", "agent").await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        team.join("carl", "agent").await;
        no_seat(team.reinstate(OLIVIA, "bob").await, 2);
        team.remove(OLIVIA, "carl").await.unwrap();
        let promised = team.invite(OLIVIA, "dora@example.com", "agent").await.unwrap();
        no_seat(team.reinstate(OLIVIA, "bob").await, 2);
        team.accept(&team.token(&promised), &person("dora")).await.expect("the seat was promised");
        team.remove(OLIVIA, "dora").await.unwrap();
        team.reinstate(OLIVIA, "bob").await.expect("a seat is free");
    }

    async fn member_raised_by_invitation_needs_no_second_seat(team: Team) {
        let team = seated(&team, Seats::at_most(3));
        team.join("bob", "agent").await;
        let invitation = team.invite(OLIVIA, "bob2@example.com", "manager").await.unwrap();
        set_seats(&team, Some(2)).await;
        let bob = guestlist::User::new(user("bob"), "bob2@example.com".parse().unwrap());
        let bob = team.accept(&team.token(&invitation), &bob).await.unwrap();
        assert_eq!(bob.role.as_str(), "manager");
    }

    async fn batch_invite_fills_only_the_free_seats(team: Team) {
        let team = seated(&team, Seats::at_most(4));
        let invites = (0..6).map(|number| team.invitation_of(&format!("p{number}@example.com"), "agent")).collect();
        let outcomes = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite_all(tx, invites).await).await.unwrap();
        let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::code)).collect();
        assert_eq!(codes, [None, None, None, Some("no_seat"), Some("no_seat"), Some("no_seat")]);
    }
}
