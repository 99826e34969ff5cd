//! Actors: a member is bound by a role, the host and an operator by what keeps data right.

use guestlist::{Actor, Database, Error, Grantor, Invite, Origin, Seats, Status, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, person, the_host, user};

fn operator() -> Actor {
    Actor::operator("ada@ops".parse().unwrap(), "ticket 4711".parse().unwrap())
}

async fn invite_as(
    team: &Team,
    actor: Actor,
    email: &str,
    role: &str,
) -> Result<guestlist::Invitation, Error> {
    let invite = Invite::new(email.parse().unwrap(), role.parse().unwrap());
    team.in_transaction(async |tx| {
        team.guestlist
            .act(actor)
            .in_organization(team.organization.id)
            .invite(tx, invite)
            .await
    })
    .await
}

on_both_databases! {
    async fn host_and_operator_are_bound_by_no_rank(team: Team) {
        let id = team.organization.id;
        for (number, actor) in [the_host(), operator()].into_iter().enumerate() {
            let bob = format!("bob{number}");
            team.join(&bob, "agent").await;
            team.in_transaction(async |tx| {
                let acting = team.guestlist.act(actor.clone()).in_organization(id);
                acting.change_role(&mut *tx, &user(&bob), &"owner".parse().unwrap()).await?;
                acting.suspend(&mut *tx, &user(&bob)).await?;
                acting.reinstate(&mut *tx, &user(&bob)).await?;
                acting.remove(&mut *tx, &user(&bob)).await
            })
            .await
            .unwrap();
            assert_eq!(team.membership(&bob).await, None);
            let last = team.events().await.pop().unwrap();
            assert_eq!(last.attribution.actor, Some(actor));
        }
    }

    async fn host_is_bound_by_owner_seats_and_roles(team: Team) {
        let team = team.configured(|builder| builder.seats(Seats::at_most(1)));
        let id = team.organization.id;
        let removed = team.in_transaction(async |tx| {
            team.guestlist.act(the_host()).in_organization(id).remove(tx, &user(OLIVIA)).await
        });
        assert!(matches!(removed.await, Err(Error::LastOwner { .. })));
        let invited = invite_as(&team, the_host(), "bob@example.com", "agent").await;
        assert!(matches!(invited, Err(Error::NoSeat { seats: 1 })));
        let unknown = invite_as(&team, the_host(), "bob@example.com", "chief").await;
        assert!(matches!(unknown, Err(Error::UnknownRole { .. })));
        let left = team.in_transaction(async |tx| team.guestlist.act(the_host()).in_organization(id).leave(tx).await);
        assert!(matches!(left.await, Err(Error::NoMember)));
    }

    async fn member_cannot_set_seats(team: Team) {
        let id = team.organization.id;
        let set = team.in_transaction(async |tx| {
            team.guestlist.act(member(OLIVIA)).in_organization(id).set_seats(tx, Some(9)).await
        });
        assert!(matches!(set.await, Err(Error::Forbidden { .. })));
        let mut tx = team.begin().await;
        let stored = team.guestlist.organization(&mut tx, id).await.unwrap().unwrap();
        assert_eq!(stored.seats(), None);
    }

    async fn host_gives_the_kept_role_and_nobody_steps_down(team: Team) {
        team.join("bob", "agent").await;
        let id = team.organization.id;
        let heir = team.in_transaction(async |tx| {
            team.guestlist.act(the_host()).in_organization(id).transfer_ownership(tx, &user("bob")).await
        });
        assert_eq!(heir.await.unwrap().role.as_str(), "owner");
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("owner"));
    }

    async fn grant_of_the_host_needs_no_member_behind_it(team: Team) {
        for (number, actor) in [the_host(), operator()].into_iter().enumerate() {
            let name = format!("bob{number}");
            let email = format!("{name}@example.com");
            let invitation = invite_as(&team, actor.clone(), &email, "owner").await.unwrap();
            assert_eq!(invitation.granted_by, Grantor::from(&actor));
            let mut tx = team.begin().await;
            let found = worker::letter_facts(&team.guestlist, &mut tx, &[invitation.id]).await.unwrap();
            assert!(found[0].grant_holds && found[0].inviter.is_none());
            assert!(worker::grant_holds(&team.guestlist, &mut tx, &invitation).await.unwrap());
            drop(tx);
            let bob = guestlist::User::new(user(&name), email.parse().unwrap());
            team.accept(&team.token(&invitation), &bob).await.unwrap();
            assert_eq!(team.invitation(invitation.id).await.status, Status::Accepted);
        }
        // Now that there are other owners, the first one may go, and a grant of hers goes with her.
        let hers = team.invite(OLIVIA, "eve@example.com", "agent").await.unwrap();
        team.remove("bob0", OLIVIA).await.unwrap();
        let refused = team.accept(&team.token(&hers), &person("eve")).await;
        assert!(matches!(refused, Err(Error::InviterLostRight)), "{refused:?}");
    }

    /// The release before this one writes `granted_by` at a resend and does not know its kind.
    async fn member_named_by_an_older_release_is_checked(team: Team) {
        team.join("adam", "admin").await;
        let invitation = invite_as(&team, the_host(), "bob@example.com", "agent").await.unwrap();
        let text = "UPDATE guestlist_invitations SET granted_by = 'adam'";
        match &team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => drop(sqlx::query(text).execute(pool).await.unwrap()),
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => drop(sqlx::query(text).execute(pool).await.unwrap()),
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        team.remove(OLIVIA, "adam").await.unwrap();
        let refused = team.accept(&team.token(&invitation), &person("bob")).await;
        assert!(matches!(refused, Err(Error::InviterLostRight)), "{refused:?}");
    }

    async fn resend_by_the_host_takes_the_grant_over(team: Team) {
        team.join("adam", "admin").await;
        let invitation = team.invite("adam", "bob@example.com", "agent").await.unwrap();
        team.remove(OLIVIA, "adam").await.unwrap();
        team.advance_clock(chrono::TimeDelta::hours(1));
        let resent = team.in_transaction(async |tx| team.guestlist.act(operator()).resend(tx, invitation.id).await);
        let resent = resent.await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.granted_by, resent.granted_by);
        team.accept(&team.token(&resent), &person("bob")).await.unwrap();
    }

    async fn events_carry_actor_reason_and_origin(team: Team) {
        let origin = Origin::new("web".parse().unwrap())
            .request_id("r-1".parse().unwrap())
            .client("203.0.113.7".parse().unwrap());
        let bound = Team { guestlist: team.guestlist.with_origin(origin.clone()), ..team.clone() };
        invite_as(&bound, operator(), "bob@example.com", "agent").await.unwrap();
        bound.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        let events = team.events().await;
        let [created, by_operator, by_member] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(created.attribution.origin, None);
        assert_eq!(by_operator.attribution.actor, Some(operator()));
        assert_eq!(by_member.attribution.actor, Some(member(OLIVIA)));
        for event in [by_operator, by_member] {
            assert_eq!(event.attribution.origin.as_ref(), Some(&origin));
        }
        let json = serde_json::to_value(by_operator).unwrap();
        assert_eq!(
            (&json["actor"], &json["actor_kind"], &json["reason"], &json["channel"], &json["client"]),
            (&"ada@ops".into(), &"operator".into(), &"ticket 4711".into(), &"web".into(), &"203.0.113.7".into())
        );
    }
}
