use std::time::Duration;

use chrono::TimeDelta;
use guestlist::{Clock, Delivery, Filter, Paging, Status, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

async fn sweep(team: &Team, limit: u32) -> usize {
    let mut tx = team.begin().await;
    let expired = worker::expire_due(&mut tx, team.now(), limit)
        .await
        .expect("swept");
    tx.commit().await.expect("committed");
    expired
}

async fn remind(team: &Team, lead: TimeDelta) -> usize {
    let mut tx = team.begin().await;
    let reminded = worker::remind_due(&mut tx, team.now(), team.now() + lead, 100)
        .await
        .expect("swept");
    tx.commit().await.expect("committed");
    reminded
}

on_both_databases! {
    async fn overdue_invitations_are_recorded_in_batches_once_each(team: Team) {
        for number in 0..5 {
            team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        assert_eq!(sweep(&team, 10).await, 0);
        team.advance_clock(TimeDelta::days(7));
        let fresh = team.invite(OLIVIA, "fresh@example.com", "agent").await.unwrap();
        assert_eq!((sweep(&team, 3).await, sweep(&team, 3).await, sweep(&team, 3).await), (3, 2, 0));
        assert_eq!(team.invitation(fresh.id).await.status, Status::Pending);
        let expired = team.history().await.iter().filter(|kind| **kind == "invitation_expired").count();
        assert_eq!(expired, 5);
        assert_eq!(team.messages().await.iter().filter(|kind| *kind == "send_notice").count(), 5);
    }

    async fn lists_show_expiry_before_any_sweep(team: Team) {
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(8));
        let mut tx = team.begin().await;
        let id = team.organization.id;
        assert!(team.guestlist.pending(&mut tx, id, &Paging::first(9)).await.unwrap().items.is_empty());
        let expired = Filter::Only(Status::Expired);
        assert_eq!(team.guestlist.invitations(&mut tx, id, expired, &Paging::first(9)).await.unwrap().items.len(), 1);
        drop(tx);
        sweep(&team, 10).await;
        let mut tx = team.begin().await;
        assert_eq!(team.guestlist.invitations(&mut tx, id, expired, &Paging::first(9)).await.unwrap().items.len(), 1);
    }

    async fn delivered_invitation_gets_one_reminder(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let unsent = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        let report = worker::DeliveryReport::new(invitation.id, 1, Delivery::Sent, None);
        let mut tx = team.begin().await;
        worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(remind(&team, TimeDelta::days(2)).await, 0);
        team.advance_clock(TimeDelta::days(5));
        remind(&team, TimeDelta::days(2)).await;
        assert_eq!(remind(&team, TimeDelta::days(2)).await, 0);
        let reminders = team.messages().await.iter().filter(|kind| *kind == "send_reminder").count();
        assert_eq!(reminders, 1, "{unsent:?} has nothing to be reminded of");
    }

    async fn missing_mailbox_is_suppressed_until_resend(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let report = worker::DeliveryReport::new(invitation.id, 1, Delivery::Failed, Some("550 5.1.1 no such user".to_owned())).suppressing();
        let mut tx = team.begin().await;
        worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
        let found = worker::suppression(&mut tx, team.now(), &invitation.email).await.unwrap();
        assert_eq!(found.map(|found| found.reason).as_deref(), Some("550 5.1.1 no such user"));
        tx.commit().await.unwrap();
        let failed = team.invitation(invitation.id).await;
        assert_eq!((failed.status, failed.delivery), (Status::Pending, Delivery::Failed));
        assert_eq!(team.history().await.last(), Some(&"invitation_undeliverable"));
        team.advance_clock(TimeDelta::minutes(2));
        team.resend(OLIVIA, invitation.id).await.unwrap();
        let mut tx = team.begin().await;
        assert_eq!(worker::suppression(&mut tx, team.now(), &invitation.email).await.unwrap(), None);
        worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
        let renewed = team.guestlist.invitation(&mut tx, invitation.id).await.unwrap().unwrap();
        assert_eq!(renewed.delivery, Delivery::Queued, "a report on an older letter changes nothing");
    }

    async fn old_data_is_deleted_in_batches(team: Team) {
        for number in 0..3 {
            let invitation = team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
            team.revoke(OLIVIA, invitation.id).await.unwrap();
        }
        let open = team.invite(OLIVIA, "open@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(401));
        let horizon = team.now() - TimeDelta::days(400);
        let mut tx = team.begin().await;
        assert_eq!(worker::delete_closed_invitations(&mut tx, horizon, 2).await.unwrap(), 2);
        assert_eq!(worker::delete_closed_invitations(&mut tx, horizon, 2).await.unwrap(), 1);
        assert_eq!(worker::delete_old_events(&mut tx, horizon, 100).await.unwrap(), 8);
        tx.commit().await.unwrap();
        team.invitation(open.id).await;
    }

    async fn closed_or_expired_invitation_gets_no_reminder(team: Team) {
        let revoked = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        team.advance_clock(TimeDelta::days(6));
        assert_eq!(remind(&team, TimeDelta::days(2)).await, 0, "closed");
        team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        assert_eq!(remind(&team, TimeDelta::days(2)).await, 0, "too early");
        team.advance_clock(TimeDelta::days(7));
        assert_eq!(remind(&team, TimeDelta::days(2)).await, 0, "too late");
    }

    async fn sweep_skips_rows_locked_by_another(team: Team) {
        if !crate::has_many_writers(&team) {
            return;
        }
        for number in 0..2 {
            team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        let soon = TimeDelta::days(8);
        let mut slow = team.begin().await;
        assert_eq!(worker::remind_due(&mut slow, team.now(), team.now() + soon, 1).await.unwrap(), 1);
        let quick = tokio::time::timeout(Duration::from_secs(10), remind(&team, soon)).await;
        assert_eq!(quick.expect("no waiting"), 1);
        slow.commit().await.unwrap();
        team.advance_clock(soon);
        let mut slow = team.begin().await;
        assert_eq!(worker::expire_due(&mut slow, team.now(), 1).await.unwrap(), 1);
        let quick = tokio::time::timeout(Duration::from_secs(10), sweep(&team, 10)).await;
        assert_eq!(quick.expect("no waiting"), 1);
    }

    async fn counted_letters_are_deleted_when_no_window_reaches_them(team: Team) {
        let team = team.configured(|builder| builder.limits(guestlist::Limits::default()));
        for number in 0..3 {
            team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        let first = team.now();
        team.advance_clock(TimeDelta::days(2));
        team.invite(OLIVIA, "late@example.com", "agent").await.unwrap();
        let mut tx = team.begin().await;
        assert_eq!(worker::delete_old_letters(&mut tx, first, 9).await.unwrap(), 0);
        let horizon = team.now() - TimeDelta::days(1);
        assert_eq!(worker::delete_old_letters(&mut tx, horizon, 2).await.unwrap(), 2);
        assert_eq!(worker::delete_old_letters(&mut tx, horizon, 9).await.unwrap(), 1);
    }

    async fn deferred_letter_suppresses_no_address(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let mut tx = team.begin().await;
        for delivery in [Delivery::Deferred, Delivery::Suppressed, Delivery::Sent] {
            let report = worker::DeliveryReport::new(invitation.id, 1, delivery, None).suppressing();
            worker::record_delivery(&mut tx, team.now(), &report).await.unwrap();
            assert_eq!(worker::suppression(&mut tx, team.now(), &invitation.email).await.unwrap(), None);
        }
        tx.commit().await.unwrap();
        assert_eq!(team.history().await.last(), Some(&"invitation_created"));
    }

    async fn failure_suppresses_nothing_unless_reported(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let spam = Some("550 5.7.1 this message looks like spam".to_owned());
        let report = worker::DeliveryReport::new(invitation.id, 1, Delivery::Failed, spam);
        team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await).await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.delivery, Delivery::Failed);
        assert_eq!(team.history().await.last(), Some(&"invitation_undeliverable"));
        let mut tx = team.begin().await;
        assert_eq!(worker::suppression(&mut tx, team.now(), &invitation.email).await.unwrap(), None);
    }

    async fn a_lifetime_is_between_a_second_and_a_year(team: Team) {
        for (asked, given) in [(Duration::ZERO, TimeDelta::seconds(1)), (Duration::MAX, TimeDelta::days(366))] {
            let team = team.configured(|builder| builder.lifetime(asked));
            let email = format!("p{}@example.com", asked.as_secs());
            let invitation = team.invite(OLIVIA, &email, "agent").await.unwrap();
            assert_eq!(invitation.expires_at - team.now(), given);
        }
    }

    async fn worker_learns_its_clock_offset(team: Team) {
        let mut connection = team.database.acquire().await.unwrap();
        for hours in [0, 2, -2] {
            let shifted = team.configured(|builder| builder.clock(Clock::Shifted(TimeDelta::hours(hours))));
            let skew = worker::clock_skew(&shifted.guestlist, &mut connection).await.unwrap();
            assert!((skew - TimeDelta::hours(hours)).abs() < TimeDelta::seconds(5), "{hours} h: {skew}");
        }
    }
}
