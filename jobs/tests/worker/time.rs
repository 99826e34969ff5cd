//! What the clock makes due.

use chrono::TimeDelta;
use guestlist::{Clock, Status, outbox};
use guestlist_jobs::queue::Queue;

use crate::harness::{Workbench, eventually};
use crate::on_both_stacks;
use crate::smtp::{Act, Script};
use crate::support::{OLIVIA, Team};

on_both_stacks! {
    async fn an_invitee_is_reminded_once_before_the_end(bench: Workbench) {
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        bench.team.advance_clock(TimeDelta::days(5));
        bench.work_until_idle().await;
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 2);
    }

    async fn without_reminders_none_is_sent(bench: Workbench) {
        let settings = guestlist_jobs::Settings { reminder: None, ..bench.settings };
        let bench = Workbench { settings, ..bench };
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        bench.team.advance_clock(TimeDelta::days(6));
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 1);
    }

    async fn history_older_than_it_is_kept_is_deleted(bench: Workbench) {
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.team.revoke(OLIVIA, invitation.id).await.unwrap();
        bench.work_until_idle().await;
        bench.team.advance_clock(TimeDelta::days(401));
        let worker = bench.start();
        eventually("the history is gone", async || bench.team.events().await.is_empty()).await;
        worker.stop().await;
    }
}

/// Only Postgres can disagree with this machine: an SQLite file has its clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_clock_is_off_stands_down() {
    let team = Team::on(crate::postgres::schema().await).await;
    let bench = Workbench::new(team, crate::harness::redis()).await;
    let with_clock = |clock: Clock| Workbench {
        team: bench.team.configured(|builder| builder.clock(clock)),
        queue: bench.queue.clone(),
        smtp: bench.smtp.clone(),
        sessions: Vec::new(),
        settings: bench.settings,
    };
    for shift in [TimeDelta::hours(2), TimeDelta::hours(-2)] {
        let right = with_clock(Clock::System);
        let email = format!("p{}@example.com", shift.num_hours());
        let invitation = right.team.invite(OLIVIA, &email, "agent").await.unwrap();
        let wrong = with_clock(Clock::Shifted(shift)).start();
        let sent = bench
            .smtp
            .until(|seen| seen.letters.iter().any(|letter| letter.contains(&email)));
        let nothing = tokio::time::timeout(std::time::Duration::from_secs(2), sent).await;
        nothing.expect_err("it does nothing by a wrong clock");
        wrong.stop().await;
        assert_eq!(bench.reread(&invitation).await.status, Status::Pending);
        right.work_until_idle().await;
        assert_eq!(bench.letters_to(&email).len(), 1);
    }
}

/// Whose clock is right keeps what it holds; whose clock is off holds what it took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_clocks_differ_by_more_than_a_lease_keep_what_they_hold() {
    for seconds in [25, -25] {
        let team = Team::on(crate::postgres::schema().await).await;
        let stalled = Script::default().on("DATA", Act::Stall);
        let bench = Workbench::new(team, crate::harness::redis())
            .await
            .with_mail_server(stalled)
            .await;
        let with_clock = |clock: Clock| Workbench {
            team: bench.team.configured(|builder| builder.clock(clock)),
            queue: Queue::memory(),
            smtp: bench.smtp.clone(),
            sessions: Vec::new(),
            settings: bench.settings,
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
        bench.smtp.until(|seen| seen.heard("DATA") == 1).await;
        let other = second.start();
        let again = bench.smtp.until(|seen| seen.heard("DATA") == 2);
        let none = tokio::time::timeout(std::time::Duration::from_secs(2), again).await;
        none.expect_err("nobody takes what another is at work on");
        assert_eq!(first.waiting(outbox::State::Leased).await[0].generation, 1);
        holder.kill().await;
        other.kill().await;
    }
}
