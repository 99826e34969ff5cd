use chrono::TimeDelta;
use guestlist::{Delivery, Error, LimitKind, ResendPolicy, Status, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, person};

on_both_databases! {
    async fn resend_renews_the_lifetime_and_sends_a_letter(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(3));
        let renewed = team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(renewed.expires_at, team.now() + TimeDelta::days(7));
        assert_eq!(renewed.letters, 2);
        assert_eq!(team.invitation(invitation.id).await, renewed);
        assert_eq!(team.messages().await, ["send_invitation", "send_invitation"]);
        assert_eq!(team.history().await.last(), Some(&"invitation_resent"));
        team.accept(&team.token(&invitation), &person("bob")).await.expect("the older link works");
    }

    async fn resending_too_soon_names_the_wait(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::seconds(59));
        match team.resend(OLIVIA, invitation.id).await {
            Err(Error::Throttled { limit: LimitKind::Invitation, retry_after }) => {
                team.advance_clock(TimeDelta::from_std(retry_after).unwrap());
                team.resend(OLIVIA, invitation.id).await.expect("after that long");
            }
            other => panic!("{other:?}"),
        }
    }

    async fn resend_revives_an_expired_invitation_with_a_new_link(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let old = team.token(&invitation);
        team.advance_clock(TimeDelta::days(8));
        let renewed = team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(renewed.status, Status::Pending);
        assert!(matches!(team.accept(&old, &person("bob")).await, Err(Error::LinkReplaced)));
        team.accept(&team.token(&renewed), &person("bob")).await.expect("the new link works");
    }

    async fn rotated_link_is_refused_as_replaced(team: Team) {
        let team = team.configured(|builder| builder.resend_policy(ResendPolicy::Rotate));
        let mut invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut old = Vec::new();
        for _ in 0..10 {
            old.push(team.token(&invitation));
            team.advance_clock(TimeDelta::minutes(2));
            invitation = team.resend(OLIVIA, invitation.id).await.unwrap();
        }
        for token in &old[2..] {
            assert!(matches!(team.accept(token, &person("bob")).await, Err(Error::LinkReplaced)));
        }
        for token in &old[..2] {
            assert!(matches!(team.accept(token, &person("bob")).await, Err(Error::InvalidToken)));
        }
        team.accept(&team.token(&invitation), &person("bob")).await.expect("the newest link works");
    }

    async fn resending_needs_permission_to_grant_the_role(team: Team) {
        team.join("adam", "admin").await;
        let owner = team.invite(OLIVIA, "bob@example.com", "owner").await.unwrap();
        team.advance_clock(TimeDelta::minutes(2));
        assert!(matches!(team.resend("adam", owner.id).await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.resend("mallory", owner.id).await, Err(Error::NotFound)));
    }

    async fn closed_invitation_is_not_resent(team: Team) {
        let revoked = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let declined = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        team.advance_clock(TimeDelta::minutes(2));
        for invitation in [revoked, declined] {
            let refused = team.resend(OLIVIA, invitation.id).await;
            assert!(matches!(refused, Err(Error::InvitationClosed { .. })), "{refused:?}");
        }
    }

    async fn expired_invitation_is_not_resent_beside_a_newer_one(team: Team) {
        let old = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(8));
        let new = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::minutes(2));
        let refused = team.resend(OLIVIA, old.id).await;
        assert!(matches!(refused, Err(Error::AlreadyPending { invitation }) if invitation == new.id), "{refused:?}");
    }

    async fn member_joined_another_way_gets_no_resend(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(7));
        team.join("bob", "agent").await;
        team.advance_clock(TimeDelta::minutes(2));
        let refused = team.resend(OLIVIA, invitation.id).await;
        assert!(matches!(refused, Err(Error::AlreadyMember { .. })), "{refused:?}");
    }

    async fn resent_invitation_is_reminded_of_again(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for letter in 1..=2 {
            let report = worker::DeliveryReport::new(invitation.id, letter, Delivery::Sent, None);
            let mut tx = team.begin().await;
            worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
            team.advance_clock(TimeDelta::days(6));
            assert_eq!(worker::remind_due(&mut tx, team.now(), team.now() + TimeDelta::days(2), 10).await.unwrap(), 1);
            tx.commit().await.unwrap();
            team.resend(OLIVIA, invitation.id).await.unwrap();
        }
    }

    async fn resend_lifts_a_suppression_caused_elsewhere(team: Team) {
        let other = crate::support::Team::on(team.database.clone()).await;
        let first = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let second = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut tx = team.begin().await;
        for (invitation, delivery) in [(&first, Delivery::Failed), (&second, Delivery::Suppressed)] {
            let detail = Some("550 5.1.1 no\0such user".to_owned());
            let report = worker::DeliveryReport::new(invitation.id, 1, delivery, detail).suppressing();
            worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
        }
        tx.commit().await.unwrap();
        team.advance_clock(TimeDelta::minutes(2));
        team.resend(OLIVIA, second.id).await.unwrap();
        let mut tx = team.begin().await;
        assert_eq!(worker::suppression(&mut tx, team.now(), &second.email).await.unwrap(), None);
    }

    async fn permanent_failure_is_recorded_once(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let report = async |delivery, letter| {
            let report = worker::DeliveryReport::new(invitation.id, letter, delivery, None);
            team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await).await.unwrap();
            team.invitation(invitation.id).await.delivery
        };
        report(Delivery::Failed, 1).await;
        let events = team.events().await.len();
        assert_eq!(report(Delivery::Failed, 1).await, Delivery::Failed);
        assert_eq!(report(Delivery::Sent, 1).await, Delivery::Failed, "what failed for good did not arrive later");
        assert_eq!(team.events().await.len(), events);
        team.advance_clock(TimeDelta::hours(1));
        team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(report(Delivery::Sent, 2).await, Delivery::Sent, "the next letter has its own fate");
    }
}
