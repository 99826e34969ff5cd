//! What the clock makes due.

use chrono::TimeDelta;
use guestlist::{Clock, Status};

use crate::on_both_stacks;
use crate::support::{OLIVIA, Team};
use crate::workbench::{Workbench, eventually};

on_both_stacks! {
    async fn an_invitee_is_reminded_once_before_the_end(bench: Workbench) {
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        bench.team.pass(TimeDelta::days(5));
        bench.work_until_idle().await;
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 2);
    }

    async fn without_reminders_none_is_sent(bench: Workbench) {
        let settings = guestlist_jobs::Settings { reminder: None, ..bench.settings };
        let bench = Workbench { settings, ..bench };
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        bench.team.pass(TimeDelta::days(6));
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 1);
    }

    async fn history_older_than_it_is_kept_is_deleted(bench: Workbench) {
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.team.revoke(OLIVIA, invitation.id).await.unwrap();
        bench.work_until_idle().await;
        bench.team.pass(TimeDelta::days(401));
        let worker = bench.start();
        eventually("the history is gone", async || bench.team.events().await.is_empty()).await;
        worker.stop().await;
    }
}

/// Only Postgres can disagree with this machine: an SQLite file has its clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_clock_is_off_stands_down() {
    let team = Team::on(crate::postgres::schema().await).await;
    let bench = Workbench::new(team, crate::workbench::redis()).await;
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
