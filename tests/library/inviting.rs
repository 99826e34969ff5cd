use guestlist::{Delivery, Error, Filter, Paging, Status};

use crate::on_both_databases;
use crate::support::{OLIVIA, user};

on_both_databases! {
    async fn an_invitation_is_stored_with_its_event_and_the_promise_of_its_letter(team: Team) {
        let invitation = team.invite(OLIVIA, "Bob@Example.com", "manager").await.unwrap();
        assert_eq!(invitation.email.as_str(), "Bob@example.com");
        assert_eq!(invitation.expires_at, team.now() + chrono::TimeDelta::days(7));
        let stored = team.invitation(invitation.id).await;
        assert_eq!(stored, invitation);
        assert_eq!((stored.status, stored.delivery), (Status::Pending, Delivery::Queued));
        assert_eq!(team.history().await, ["organization_created", "invitation_created"]);
        assert_eq!(team.messages().await, ["send_invitation"]);
    }

    async fn an_address_has_one_open_invitation_however_it_is_spelled(team: Team) {
        let first = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let again = team.invite(OLIVIA, "BOB@EXAMPLE.COM", "manager").await;
        assert!(matches!(again, Err(Error::AlreadyPending { invitation }) if invitation == first.id), "{again:?}");
        assert_eq!(team.messages().await.len(), 1);
        team.invite(OLIVIA, "bob+work@example.com", "agent").await.expect("another invitee");
    }

    async fn a_member_is_not_invited_again(team: Team) {
        team.join("bob", "agent").await;
        let again = team.invite(OLIVIA, "BOB@example.com", "admin").await;
        assert!(matches!(again, Err(Error::AlreadyMember { user }) if user.as_str() == "bob"));
    }

    async fn nobody_invites_above_what_their_role_may_grant(team: Team) {
        team.join("adam", "admin").await;
        team.join("mia", "manager").await;
        let owner = team.invite("adam", "eve@example.com", "owner").await;
        assert!(matches!(owner, Err(Error::Forbidden { .. })), "{owner:?}");
        let agent = team.invite("mia", "eve@example.com", "agent").await;
        assert!(matches!(agent, Err(Error::Forbidden { .. })), "{agent:?}");
        team.invite("adam", "eve@example.com", "admin").await.expect("an admin invites admins");
    }

    async fn a_stranger_learns_nothing_and_an_unknown_role_is_named(team: Team) {
        let stranger = team.invite("mallory", "eve@example.com", "agent").await;
        assert!(matches!(stranger, Err(Error::NotFound)));
        let unknown = team.invite(OLIVIA, "eve@example.com", "boss").await;
        let message = unknown.expect_err("unknown").to_string();
        assert_eq!(message, "there is no role boss; the roles are agent, manager, admin, owner");
    }

    async fn superseding_revokes_the_open_invitation_in_the_same_transaction(team: Team) {
        let old = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let invite = team.invitation_of("bob@example.com", "manager").superseding();
        let new = team.in_transaction(async |tx| team.library.invite(tx, &user(OLIVIA), invite).await).await.unwrap();
        assert_eq!(team.invitation(old.id).await.status, Status::Revoked);
        assert_eq!(team.invitation(new.id).await.status, Status::Pending);
        assert_eq!(
            team.history().await,
            ["organization_created", "invitation_created", "invitation_revoked", "invitation_created"]
        );
    }

    async fn an_admin_cannot_supersede_an_invitation_to_owner(team: Team) {
        team.join("adam", "admin").await;
        let old = team.invite(OLIVIA, "bob@example.com", "owner").await.unwrap();
        let invite = team.invitation_of("bob@example.com", "agent").superseding();
        let new = team.in_transaction(async |tx| team.library.invite(tx, &user("adam"), invite).await).await;
        assert!(matches!(new, Err(Error::Forbidden { .. })));
        assert_eq!(team.invitation(old.id).await.status, Status::Pending);
    }

    async fn an_address_can_be_invited_again_after_every_end(team: Team) {
        let revoked = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let declined = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        let expired = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.pass(chrono::TimeDelta::days(7));
        let accepted = team.invite(OLIVIA, "bob@example.com", "agent").await.expect("no worker has to run");
        assert_eq!(team.invitation(expired.id).await.status, Status::Expired);
        team.accept(&team.token(&accepted), &crate::support::person("bob")).await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        team.invite(OLIVIA, "bob@example.com", "agent").await.expect("after removal");
    }

    async fn of_many_invites_one_refused_leaves_the_others(team: Team) {
        let emails = ["a@example.com", "b@example.com", "A@example.com", "c@example.com"];
        let invites = emails.iter().map(|email| team.invitation_of(email, "agent")).collect();
        let outcomes =
            team.in_transaction(async |tx| team.library.invite_all(tx, &user(OLIVIA), invites).await).await.unwrap();
        let refused: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::code)).collect();
        assert_eq!(refused, [None, None, Some("already_pending"), None]);
        assert_eq!(team.messages().await.len(), 3);
    }

    async fn invitations_are_listed_page_by_page_and_by_status(team: Team) {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap().id);
        }
        team.revoke(OLIVIA, ids[1]).await.unwrap();
        let mut tx = team.begin().await;
        let mut paging = Paging::first(2);
        let mut seen = Vec::new();
        loop {
            let page = team.library.pending(&mut tx, team.organization.id, &paging).await.unwrap();
            seen.extend(page.items.iter().map(|invitation| invitation.id));
            let Some(next) = page.next else { break };
            paging = Paging::after(next, 2);
        }
        assert_eq!(seen, [ids[0], ids[2], ids[3], ids[4]]);
        let revoked = Filter::Only(Status::Revoked);
        let page = team.library.invitations(&mut tx, team.organization.id, revoked, &Paging::first(9)).await.unwrap();
        assert_eq!(page.items.len(), 1);
        let bad = Paging::after("nonsense".to_owned().into(), 2);
        let refused = team.library.pending(&mut tx, team.organization.id, &bad).await;
        assert!(matches!(refused, Err(Error::InvalidCursor)));
    }

    async fn two_hosts_inviting_one_address_at_once_store_one_invitation(team: Team) {
        for round in 0..20 {
            let email = format!("r{round}@example.com");
            let (one, other) =
                tokio::join!(team.invite(OLIVIA, &email, "agent"), team.invite(OLIVIA, &email, "agent"));
            let winners = [&one, &other].iter().filter(|result| result.is_ok()).count();
            assert_eq!(winners, 1, "{one:?} {other:?}");
            let refused = [one, other].into_iter().find_map(Result::err).unwrap();
            assert!(matches!(refused, Error::AlreadyPending { .. }), "{refused:?}");
        }
        assert_eq!(team.messages().await.len(), 20);
    }
}
