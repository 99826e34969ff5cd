use std::time::Duration;

use guestlist::{Delivery, Error, Filter, Limit, Limits, Paging, Status};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member};

on_both_databases! {
    async fn invitation_is_stored_with_its_event_and_message(team: Team) {
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

    async fn inviting_above_the_own_grants_is_refused(team: Team) {
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

    async fn superseding_revokes_the_open_invitation(team: Team) {
        let old = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let invite = team.invitation_of("bob@example.com", "manager").superseding();
        let new = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(tx, invite).await).await.unwrap();
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
        let new = team.in_transaction(async |tx| team.guestlist.act(member("adam")).in_organization(team.organization.id).invite(tx, invite).await).await;
        assert!(matches!(new, Err(Error::Forbidden { .. })));
        assert_eq!(team.invitation(old.id).await.status, Status::Pending);
    }

    async fn an_address_can_be_invited_again_after_every_end(team: Team) {
        let revoked = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let declined = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        let expired = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(chrono::TimeDelta::days(7));
        let accepted = team.invite(OLIVIA, "bob@example.com", "agent").await.expect("no worker has to run");
        assert_eq!(team.invitation(expired.id).await.status, Status::Expired);
        team.accept(&team.token(&accepted), &crate::support::person("bob")).await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        team.invite(OLIVIA, "bob@example.com", "agent").await.expect("after removal");
    }

    async fn one_refused_invite_leaves_the_others(team: Team) {
        let emails = ["a@example.com", "b@example.com", "A@example.com", "c@example.com"];
        let invites = emails.iter().map(|email| team.invitation_of(email, "agent")).collect();
        let outcomes =
            team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite_all(tx, invites).await).await.unwrap();
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
            let page = team.guestlist.pending(&mut tx, team.organization.id, &paging).await.unwrap();
            seen.extend(page.items.iter().map(|invitation| invitation.id));
            let Some(next) = page.next else { break };
            paging = Paging::after(next, 2);
        }
        assert_eq!(seen, [ids[0], ids[2], ids[3], ids[4]]);
        let revoked = Filter::Only(Status::Revoked);
        let page = team.guestlist.invitations(&mut tx, team.organization.id, revoked, &Paging::first(9)).await.unwrap();
        assert_eq!(page.items.len(), 1);
        let bad = Paging::after("nonsense".to_owned().into(), 2);
        let refused = team.guestlist.pending(&mut tx, team.organization.id, &bad).await;
        assert!(matches!(refused, Err(Error::InvalidCursor)));
    }

    async fn concurrent_invites_of_one_address_store_one(team: Team) {
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

    async fn a_refused_invite_leaves_the_open_one_as_it_was(team: Team) {
        let old = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let one_an_hour = Limit::new(1, Duration::from_secs(3600));
        let limited = team.configured(|builder| builder.limits(Limits::none().actor(one_an_hour)));
        limited.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        let invites = vec![team.invitation_of("bob@example.com", "manager").superseding()];
        let outcomes = limited
            .in_transaction(async |tx| limited.guestlist.act(member(OLIVIA)).in_organization(limited.organization.id).invite_all(tx, invites).await)
            .await
            .unwrap();
        assert!(matches!(outcomes[0], Err(Error::Throttled { .. })), "{outcomes:?}");
        assert_eq!(team.invitation(old.id).await.status, Status::Pending);
    }

    async fn a_lost_race_counts_no_letter(team: Team) {
        let two_an_hour = Limit::new(2, Duration::from_secs(3600));
        let team = team.configured(|builder| builder.limits(Limits::none().recipient(two_an_hour)));
        for email in ["bob@example.com", "BOB@example.com"] {
            let invites = vec![team.invitation_of(email, "agent"), team.invitation_of(email, "agent")];
            team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite_all(tx, invites).await).await.unwrap();
        }
        team.invite(OLIVIA, "bob+2@example.com", "agent").await.expect("one letter was promised, not four");
    }

    async fn overlapping_batches_do_not_deadlock(team: Team) {
        for round in 0..5 {
            let batch = |reversed: bool| {
                let mut emails: Vec<_> = (0..20).map(|number| format!("r{round}p{number}@example.com")).collect();
                if reversed {
                    emails.reverse();
                }
                let team = team.clone();
                async move {
                    let invites = emails.iter().map(|email| team.invitation_of(email, "agent").superseding()).collect();
                    team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite_all(tx, invites).await).await
                }
            };
            let (one, other) = tokio::join!(tokio::spawn(batch(false)), tokio::spawn(batch(true)));
            for outcomes in [one.unwrap(), other.unwrap()] {
                assert!(outcomes.expect("no deadlock").iter().all(Result::is_ok));
            }
        }
    }

    async fn invite_during_deletion_leaves_nothing(team: Team) {
        for _ in 0..10 {
            let team = Team::on(team.database.clone()).await;
            let id = team.organization.id;
            let deletion = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).delete(tx).await);
            let (invited, deleted) = tokio::join!(team.invite(OLIVIA, "bob@example.com", "agent"), deletion);
            deleted.expect("deleted");
            assert!(matches!(invited, Ok(_) | Err(Error::NotFound)), "{invited:?}");
            let mut tx = team.begin().await;
            let left = team.guestlist.invitations(&mut tx, id, Filter::All, &Paging::first(9)).await.unwrap();
            assert!(left.items.is_empty());
        }
    }

    async fn a_page_holds_at_least_one_item_and_at_most_the_limit(team: Team) {
        for number in 0..3 {
            team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        let mut tx = team.begin().await;
        for (limit, expected, more) in [(0, 1, true), (2, 2, true), (3, 3, false), (u32::MAX, 3, false)] {
            let page = team.guestlist.pending(&mut tx, team.organization.id, &Paging::first(limit)).await.unwrap();
            assert_eq!((page.items.len(), page.next.is_some()), (expected, more), "limit {limit}");
        }
    }

    async fn an_invitation_of_another_organization_is_not_listed(team: Team) {
        let other = Team::on(team.database.clone()).await;
        team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut tx = team.begin().await;
        for filter in [Filter::All, Filter::Only(Status::Pending), Filter::Only(Status::Expired), Filter::Only(Status::Revoked)] {
            let page = team.guestlist.invitations(&mut tx, other.organization.id, filter, &Paging::first(9)).await.unwrap();
            assert!(page.items.is_empty(), "{filter:?}");
        }
    }

    async fn revoking_needs_permission_to_grant_the_role(team: Team) {
        team.join("adam", "admin").await;
        team.join("mia", "manager").await;
        let owner = team.invite(OLIVIA, "bob@example.com", "owner").await.unwrap();
        let agent = team.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        assert!(matches!(team.revoke("adam", owner.id).await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.revoke("mia", agent.id).await, Err(Error::Forbidden { .. })));
        team.revoke("adam", agent.id).await.expect("an admin withdraws what an owner sent");
        assert!(matches!(team.revoke("adam", agent.id).await, Err(Error::InvitationClosed { status: Status::Revoked })));
        team.advance_clock(chrono::TimeDelta::days(7));
        assert!(matches!(team.revoke(OLIVIA, owner.id).await, Err(Error::InvitationExpired { .. })));
    }
}
