//! A pause of all sending, as readers of invitations see it.

use chrono::TimeDelta;
use guestlist::worker::{self, DeliveryReport};
use guestlist::{Delivery, Filter, Invitation, Paging, Status};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

async fn pause(team: &Team, reason: &str) {
    let now = team.now();
    let until = now + TimeDelta::minutes(1);
    team.in_transaction(async |tx| worker::pause_mail(tx, now, until, "worker-1", reason).await)
        .await
        .unwrap();
}

/// The delivery state of an invitation by every read.
async fn delivery(team: &Team, invitation: &Invitation) -> Delivery {
    let guestlist = &team.guestlist;
    let alone = team.invitation(invitation.id).await;
    let token = team.token(invitation);
    let mut tx = team.begin().await;
    let opened = guestlist.open(&mut tx, &token).await.unwrap();
    let ids = [invitation.id];
    let letter = worker::letter_facts(guestlist, &mut tx, &ids)
        .await
        .unwrap();
    let mut all = vec![opened, letter[0].invitation.clone()];
    for filter in [Filter::All, Filter::Only(Status::Pending)] {
        let (organization, paging) = (team.organization.id, Paging::default());
        let page = guestlist
            .invitations(&mut tx, organization, filter, &paging)
            .await;
        all.extend(page.unwrap().items);
    }
    all.retain(|found| found.id == invitation.id);
    assert_eq!(all.len(), 4);
    assert!(
        all.iter().all(|found| *found == alone),
        "{all:?} and {alone:?}"
    );
    alone.delivery
}

on_both_databases! {
    async fn queued_letters_are_paused_while_sending_is(team: Team) {
        let queued = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let sent = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        let report = DeliveryReport::new(sent.id, 1, Delivery::Sent, None);
        team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await).await.unwrap();
        assert_eq!(delivery(&team, &queued).await, Delivery::Queued);
        pause(&team, "535 5.7.8 bad credentials").await;
        assert_eq!(delivery(&team, &queued).await, Delivery::Paused);
        assert_eq!(delivery(&team, &sent).await, Delivery::Sent, "it has left");
        let resumed = async || team.in_transaction(async |tx| worker::resume_mail(tx).await).await.unwrap();
        assert_eq!((resumed().await, resumed().await), (true, false));
        assert_eq!(delivery(&team, &queued).await, Delivery::Queued);
    }

    async fn paused_invitation_can_be_changed_and_stays_queued(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        pause(&team, "421 try later").await;
        team.advance_clock(TimeDelta::minutes(2));
        team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(delivery(&team, &invitation).await, Delivery::Paused);
        let report = DeliveryReport::new(invitation.id, 2, Delivery::Paused, None);
        team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await).await.unwrap();
        team.in_transaction(async |tx| worker::resume_mail(tx).await).await.unwrap();
        assert_eq!(delivery(&team, &invitation).await, Delivery::Queued, "nothing was written to it");
    }

    async fn pause_of_a_dead_worker_ends_by_itself(team: Team) {
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        pause(&team, "421 try later").await;
        team.advance_clock(TimeDelta::minutes(16) - TimeDelta::seconds(1));
        assert_eq!(delivery(&team, &invitation).await, Delivery::Paused);
        team.advance_clock(TimeDelta::seconds(1));
        assert_eq!(delivery(&team, &invitation).await, Delivery::Queued);
        let mut tx = team.begin().await;
        assert_eq!(worker::mail_pause(&mut tx, team.now()).await.unwrap(), None);
    }

    async fn renewed_pause_keeps_its_beginning(team: Team) {
        let read = async || {
            let mut tx = team.begin().await;
            worker::mail_pause(&mut tx, team.now()).await.unwrap().expect("paused")
        };
        let began = team.now();
        pause(&team, "421 try later").await;
        team.advance_clock(TimeDelta::minutes(2));
        pause(&team, "421 still\r\nlater").await;
        let renewed = read().await;
        assert_eq!((renewed.since, renewed.until), (began, team.now() + TimeDelta::minutes(1)));
        assert_eq!((renewed.reason.as_str(), renewed.worker.as_str()), ("421 still  later", "worker-1"));
        team.advance_clock(TimeDelta::minutes(20));
        pause(&team, "421 try later").await;
        assert_eq!(read().await.since, team.now(), "the earlier pause counted no longer");
    }
}

/// A connection of its own, so that only this read prepares statements on it.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_is_read_once_in_the_same_statement() {
    let team = Team::on(crate::postgres::schema().await).await;
    let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
    #[allow(irrefutable_let_patterns)]
    let guestlist::Database::Postgres(pool) = &team.database else {
        unreachable!("a schema of Postgres")
    };
    let mut connection = pool.acquire().await.unwrap();
    crate::statements::forget(&mut connection).await;
    let read = team
        .guestlist
        .invitation(&mut *connection, invitation.id)
        .await;
    read.unwrap().expect("found");
    let prepared = sqlx::query_scalar("SELECT name FROM pg_prepared_statements").persistent(false);
    let prepared: Vec<String> = prepared.fetch_all(&mut *connection).await.unwrap();
    let [statement] = prepared.as_slice() else {
        panic!("one statement: {prepared:?}")
    };
    let explain = format!("EXPLAIN EXECUTE {statement} ('{}')", invitation.id);
    let explain = sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).persistent(false);
    let plan: Vec<String> = explain.fetch_all(&mut *connection).await.unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("InitPlan") && !plan.contains("SubPlan"),
        "{plan}"
    );
}
