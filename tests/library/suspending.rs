//! A suspended member keeps role and history but has no access.

use guestlist::{Error, EventKind, RoleModel, User};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, address, person, user};

async fn record_session(team: &Team, member: &str, session: &str) -> Result<(), Error> {
    let id = team.organization.id;
    let session = session.parse().unwrap();
    team.in_transaction(async |tx| {
        team.guestlist
            .record_session(tx, id, &user(member), &session)
            .await
    })
    .await
}

on_both_databases! {
    async fn suspended_member_loses_access_and_keeps_the_role(team: Team) {
        team.join("bob", "manager").await;
        record_session(&team, "bob", "s1").await.unwrap();
        team.suspend(OLIVIA, "bob").await.unwrap();
        let id = team.organization.id;
        let mut tx = team.begin().await;
        assert!(team.guestlist.access(&mut tx, &user("bob"), id).await.unwrap().is_none());
        assert_eq!(team.guestlist.sessions(&mut tx, id, &user("bob")).await.unwrap(), []);
        assert!(team.guestlist.find_member(&mut tx, id, &user("bob")).await.unwrap().unwrap().is_suspended());
        let page = guestlist::Paging::first(10);
        assert!(team.guestlist.memberships(&mut tx, &user("bob"), &page).await.unwrap().items.is_empty());
        let members = team.guestlist.members(&mut tx, id, &page).await.unwrap().items;
        let bob = members.iter().find(|member| member.user == user("bob")).unwrap();
        assert_eq!((bob.role.as_str(), bob.suspended_at), ("manager", Some(team.now())));
        drop(tx);
        assert!(team.messages().await.contains(&"purge_sessions".to_owned()));
        assert!(matches!(record_session(&team, "bob", "s2").await, Err(Error::NotFound)));

        team.reinstate(OLIVIA, "bob").await.unwrap();
        let bob = team.membership("bob").await.unwrap();
        assert_eq!((bob.role.as_str(), bob.suspended_at, team.allows("bob", "inbox.reply").await), ("manager", None, true));
        record_session(&team, "bob", "s2").await.unwrap();
        let history = team.history().await;
        assert!(history.ends_with(&["member_suspended", "member_reinstated"]), "{history:?}");
    }

    async fn suspending_and_reinstating_again_is_no_change(team: Team) {
        team.join("bob", "agent").await;
        team.reinstate(OLIVIA, "bob").await.unwrap();
        let before = team.events().await.len();
        team.suspend(OLIVIA, "bob").await.unwrap();
        let messages = team.messages().await.len();
        team.suspend(OLIVIA, "bob").await.unwrap();
        assert_eq!((team.events().await.len(), team.messages().await.len()), (before + 1, messages));
    }

    async fn suspending_needs_the_permission_to_remove(team: Team) {
        for (who, role) in [("adam", "admin"), ("mia", "manager"), ("bob", "agent")] {
            team.join(who, role).await;
        }
        assert!(matches!(team.suspend("mia", "bob").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.suspend("adam", OLIVIA).await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.suspend("stranger", "bob").await, Err(Error::NotFound)));
        assert!(matches!(team.suspend("adam", "stranger").await, Err(Error::NotFound)));
        team.suspend("adam", "bob").await.unwrap();
        assert!(matches!(team.reinstate("mia", "bob").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.reinstate("bob", "bob").await, Err(Error::NotFound)), "a suspended member cannot reinstate themselves");
        team.reinstate("adam", "bob").await.unwrap();
    }

    async fn last_active_owner_cannot_go_on_any_path(team: Team) {
        team.join("bob", "owner").await;
        team.join("adam", "admin").await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        let last = |result: Result<(), Error>| assert!(matches!(result, Err(Error::LastOwner { .. })), "{result:?}");
        last(team.suspend(OLIVIA, OLIVIA).await.map(drop));
        last(team.leave(OLIVIA).await);
        last(team.remove(OLIVIA, OLIVIA).await);
        last(team.change_role(OLIVIA, OLIVIA, "admin").await.map(drop));
        assert!(matches!(team.transfer(OLIVIA, "bob").await, Err(Error::Suspended)));
        team.change_role(OLIVIA, "bob", "agent").await.expect("a suspended owner is no owner to keep");
        team.change_role(OLIVIA, "bob", "owner").await.expect("nor is one made by promotion");
        last(team.leave(OLIVIA).await);
        team.remove(OLIVIA, "bob").await.expect("and may be removed");
    }

    async fn the_account_owner_of_the_two_role_model_is_not_suspended(team: Team) {
        let team = team.configured(|builder| builder.role_model(RoleModel::two_role()));
        team.join("adam", "admin").await;
        assert!(matches!(team.suspend("adam", OLIVIA).await, Err(Error::Forbidden { .. })));
    }

    async fn invitations_of_a_suspended_member_are_on_hold(team: Team) {
        team.join("adam", "admin").await;
        let invitation = team.invite("adam", "eve@example.com", "agent").await.unwrap();
        team.suspend(OLIVIA, "adam").await.unwrap();
        let token = team.token(&invitation);
        assert!(matches!(team.accept(&token, &person("eve")).await, Err(Error::InviterLostRight)));
        team.reinstate(OLIVIA, "adam").await.unwrap();
        team.accept(&token, &person("eve")).await.expect("the granter is active again");
    }

    async fn suspension_cannot_be_evaded_by_an_invitation(team: Team) {
        team.join("bob", "agent").await;
        let other_address = team.invite(OLIVIA, "bob2@example.com", "manager").await.unwrap();
        let accepted = team.events().await.into_iter().find(|event| event.kind == EventKind::InvitationAccepted).unwrap();
        let first = team.invitation(accepted.subject.parse().unwrap()).await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        assert!(matches!(team.invite(OLIVIA, &address("bob"), "agent").await, Err(Error::AlreadyMember { .. })));
        let again = team.accept(&team.token(&first), &person("bob")).await;
        assert!(matches!(again, Err(Error::Suspended)), "{again:?}");
        let bob = User::new(user("bob"), "bob2@example.com".parse().unwrap());
        let other = team.accept(&team.token(&other_address), &bob).await;
        assert!(matches!(other, Err(Error::Suspended)), "{other:?}");
        assert!(team.invitation(other_address.id).await.is_pending(team.now()), "it is still pending");
        assert_eq!(team.membership("bob").await, None);
    }
}
