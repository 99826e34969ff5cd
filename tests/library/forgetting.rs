//! Removing a user from every organization.

use guestlist::{Error, Forgotten, Status, User};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, address, person, user};

async fn forget(team: &Team, who: &User) -> Result<Forgotten, Error> {
    team.in_transaction(async |tx| team.guestlist.forget_user(tx, who).await)
        .await
}

on_both_databases! {
    async fn forgotten_user_is_gone_and_others_are_unchanged(team: Team) {
        let other = Team::on(team.database.clone()).await;
        let third = Team::on(team.database.clone()).await;
        team.join("bob", "agent").await;
        team.join("carl", "agent").await;
        other.join("bob", "admin").await;
        let session = "shared".parse().unwrap();
        for team in [&team, &other] {
            let id = team.organization.id;
            team.in_transaction(async |tx| team.guestlist.record_session(tx, id, &user("bob"), &session).await).await.unwrap();
        }
        let id = third.invite(OLIVIA, "BOB@example.com", "agent").await.unwrap().id;
        let for_carl = third.invite(OLIVIA, &address("carl"), "agent").await.unwrap().id;

        let forgotten = forget(&team, &person("bob")).await.unwrap();
        let ended: Vec<_> = forgotten.memberships.iter().map(|membership| membership.organization).collect();
        assert_eq!(ended, [team.organization.id, other.organization.id]);
        assert_eq!(forgotten.invitations.iter().map(|invitation| invitation.id).collect::<Vec<_>>(), [id]);

        for team in [&team, &other] {
            assert_eq!(team.membership("bob").await, None);
            let mut tx = team.begin().await;
            assert_eq!(team.guestlist.sessions(&mut tx, team.organization.id, &user("bob")).await.unwrap(), []);
            drop(tx);
            let last = team.events().await.pop().unwrap();
            assert_eq!((last.kind.as_str(), last.attribution.actor, last.subject.as_str()), ("member_forgotten", None, "bob"));
        }
        assert_eq!(third.invitation(id).await.status, Status::Revoked);
        assert_eq!(third.invitation(for_carl).await.status, Status::Pending);
        assert!(team.membership("carl").await.is_some());
        let purges = team.messages().await.iter().filter(|kind| *kind == "purge_sessions").count();
        assert_eq!(purges, 2);
        let notices = team.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        assert_eq!(notices, 3, "three acceptances, and none about the forgotten user");
    }

    async fn last_owner_is_not_forgotten_and_learns_where(team: Team) {
        let alone = Team::on(team.database.clone()).await;
        let shared = Team::on(team.database.clone()).await;
        let member = Team::on(team.database.clone()).await;
        shared.join("bob", "owner").await;
        member.join("bob", "agent").await;
        let pending = member.invite(OLIVIA, "olivia2@example.com", "agent").await.unwrap();
        let olivia = User::new(user(OLIVIA), "olivia2@example.com".parse().unwrap());
        match forget(&team, &olivia).await {
            Err(Error::LastOwner { organizations, .. }) => {
                let mut expected = vec![team.organization.id, alone.organization.id, member.organization.id];
                expected.sort();
                assert_eq!(organizations, expected);
            }
            other => panic!("{other:?}"),
        }
        assert!(shared.membership(OLIVIA).await.is_some(), "nothing ended anywhere");
        assert_eq!(member.invitation(pending.id).await.status, Status::Pending);
    }

    async fn a_suspended_membership_is_forgotten_too(team: Team) {
        team.join("bob", "owner").await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        forget(&team, &person("bob")).await.unwrap();
        let mut tx = team.begin().await;
        let members = team.guestlist.members(&mut tx, team.organization.id, &guestlist::Paging::first(9)).await.unwrap().items;
        assert_eq!(members.len(), 1);
    }

    async fn unverified_address_revokes_no_invitation(team: Team) {
        let invitation = team.invite(OLIVIA, &address("victim"), "agent").await.unwrap();
        let mallory = User::new(user("mallory"), address("victim").parse().unwrap()).unverified();
        forget(&team, &mallory).await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.status, Status::Pending);
    }

    async fn forgetting_leaves_overdue_invitations_to_the_sweep(team: Team) {
        let invitation = team.invite(OLIVIA, &address("bob"), "agent").await.unwrap();
        team.advance_clock(chrono::TimeDelta::days(7));
        forget(&team, &person("bob")).await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.status_at(team.now()), Status::Expired);
        assert_eq!(team.history().await, ["organization_created", "invitation_created"]);
    }

    async fn forgetting_an_unknown_user_writes_nothing(team: Team) {
        let before = team.events().await.len();
        forget(&team, &person("nobody")).await.unwrap();
        assert_eq!(team.events().await.len(), before);
    }
}
