//! Work that becomes due by the clock.

use chrono::TimeDelta;
use guestlist::{Clock, Status, outbox};
use guestlist_jobs::queue::Queue;
use guestlist_testkit::smtp::{Action, Script, Stage};

use crate::harness::{Harness, eventually};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team};

on_both_stacks! {
    async fn invitee_is_reminded_once_before_expiry(harness: Harness) {
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::days(5));
        harness.work_until_idle().await;
        harness.work_until_idle().await;
        assert_eq!(harness.letters_to("bob@example.com").len(), 2);
    }

    async fn without_reminders_none_is_sent(harness: Harness) {
        let mut harness = harness;
        harness.settings.reminder = None;
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::days(6));
        harness.work_until_idle().await;
        assert_eq!(harness.letters_to("bob@example.com").len(), 1);
    }

    async fn history_beyond_its_retention_is_deleted(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.team.revoke(OLIVIA, invitation.id).await.unwrap();
        harness.work_until_idle().await;
        harness.team.advance_clock(TimeDelta::days(401));
        let worker = harness.start();
        eventually("the history is gone", async || harness.team.events().await.is_empty()).await;
        worker.stop().await;
    }
}

/// Only on Postgres: SQLite uses this machine's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_with_a_wrong_clock_does_nothing() {
    let team = Team::on(crate::postgres::schema().await).await;
    let harness = Harness::new(team, crate::harness::redis()).await;
    let with_clock = |clock: Clock| Harness {
        team: harness.team.configured(|builder| builder.clock(clock)),
        queue: harness.queue.clone(),
        smtp: harness.smtp.clone(),
        sessions: Vec::new(),
        settings: harness.settings,
        smtp_url: None,
        mailer: harness.mailer,
    };
    for shift in [TimeDelta::hours(2), TimeDelta::hours(-2)] {
        let right = with_clock(Clock::System);
        let email = format!("p{}@example.com", shift.num_hours());
        let invitation = right.team.invite(OLIVIA, &email, "agent").await.unwrap();
        let wrong = with_clock(Clock::Shifted(shift)).start();
        let sent = harness.smtp.until(|seen| {
            seen.letters
                .iter()
                .any(|letter| letter.text().contains(&email))
        });
        let nothing = tokio::time::timeout(std::time::Duration::from_secs(2), sent).await;
        nothing.expect_err("it does nothing by a wrong clock");
        wrong.stop().await;
        assert_eq!(harness.reread(&invitation).await.status, Status::Pending);
        right.work_until_idle().await;
        assert_eq!(harness.letters_to(&email).len(), 1);
    }
}

/// The worker with the right clock keeps its leases; the one with the wrong clock keeps those it
/// took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_different_clocks_keep_their_leases() {
    for seconds in [25, -25] {
        let team = Team::on(crate::postgres::schema().await).await;
        let stalled = Script::default().on(Stage::Data, Action::Stall);
        let harness = Harness::new(team, crate::harness::redis())
            .await
            .with_mail_server(stalled)
            .await;
        let with_clock = |clock: Clock| Harness {
            team: harness.team.configured(|builder| builder.clock(clock)),
            queue: Queue::memory(),
            smtp: harness.smtp.clone(),
            sessions: Vec::new(),
            settings: harness.settings,
            smtp_url: None,
            mailer: harness.mailer,
        };
        let (right, wrong) = (
            with_clock(Clock::System),
            with_clock(Clock::Shifted(TimeDelta::seconds(seconds))),
        );
        right
            .team
            .invite(OLIVIA, "bob@example.com", "agent")
            .await
            .unwrap();
        let (first, second) = if seconds > 0 {
            (right, wrong)
        } else {
            (wrong, right)
        };
        let holder = first.start();
        harness.smtp.until(|seen| seen.heard("DATA") == 1).await;
        let other = second.start();
        let again = harness.smtp.until(|seen| seen.heard("DATA") == 2);
        let none = tokio::time::timeout(std::time::Duration::from_secs(2), again).await;
        none.expect_err("nobody takes what another is at work on");
        assert_eq!(first.waiting(outbox::State::Leased).await[0].generation, 1);
        holder.kill().await;
        other.kill().await;
    }
}
