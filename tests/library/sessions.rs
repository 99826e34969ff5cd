use guestlist::{Error, OrganizationId, SessionKey, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, user};

fn key(text: &str) -> SessionKey {
    text.parse().expect("a session key")
}

async fn record(team: &Team, who: &str, session: &str) -> Result<(), Error> {
    let id = team.organization.id;
    team.in_transaction(async |tx| {
        team.guestlist
            .record_session(tx, id, &user(who), &key(session))
            .await
    })
    .await
}

async fn ended(team: &Team, organization: OrganizationId, who: &str) -> Vec<(String, bool)> {
    let mut tx = team.begin().await;
    let ended = worker::ended_sessions(&mut tx, organization, Some(&user(who)), 100)
        .await
        .expect("read");
    ended
        .into_iter()
        .map(|ended| (ended.session.as_str().to_owned(), ended.is_shared))
        .collect()
}

async fn live(team: &Team, who: &str) -> Vec<String> {
    let mut tx = team.begin().await;
    let sessions = team
        .guestlist
        .sessions(&mut tx, team.organization.id, &user(who))
        .await
        .expect("read");
    sessions
        .iter()
        .map(|session| session.as_str().to_owned())
        .collect()
}

on_both_databases! {
    async fn only_a_member_has_sessions(team: Team) {
        assert!(matches!(record(&team, "mallory", "s1").await, Err(Error::NotFound)));
        record(&team, OLIVIA, "s1").await.unwrap();
        record(&team, OLIVIA, "s1").await.expect("recording again is fine");
        assert_eq!(live(&team, OLIVIA).await, ["s1"]);
        let id = team.organization.id;
        team.in_transaction(async |tx| team.guestlist.forget_session(tx, id, &user(OLIVIA), &key("s1")).await)
            .await
            .unwrap();
        assert!(live(&team, OLIVIA).await.is_empty());
    }

    async fn removal_ends_the_members_sessions_in_one_organization(team: Team) {
        let other = Team::on(team.database.clone()).await;
        for joined in [&team, &other] {
            joined.join("bob", "agent").await;
        }
        record(&team, "bob", "here").await.unwrap();
        record(&team, "bob", "both").await.unwrap();
        record(&other, "bob", "both").await.unwrap();
        record(&other, "bob", "there").await.unwrap();
        record(&team, OLIVIA, "olivia").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        let expected = [("both".to_owned(), true), ("here".to_owned(), false)];
        assert_eq!(ended(&team, team.organization.id, "bob").await, expected);
        assert_eq!(live(&other, "bob").await, ["both", "there"]);
        assert_eq!(live(&team, OLIVIA).await, ["olivia"]);
    }

    async fn old_purge_leaves_sessions_of_a_new_membership(team: Team) {
        team.join("bob", "agent").await;
        record(&team, "bob", "old").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        team.join("bob", "agent").await;
        record(&team, "bob", "new").await.unwrap();
        let id = team.organization.id;
        assert_eq!(ended(&team, id, "bob").await, [("old".to_owned(), false)]);
        let mut tx = team.begin().await;
        let purged = worker::ended_sessions(&mut tx, id, Some(&user("bob")), 100).await.unwrap();
        worker::forget_ended_sessions(&mut tx, id, &purged).await.unwrap();
        tx.commit().await.unwrap();
        assert!(ended(&team, id, "bob").await.is_empty());
        assert_eq!(live(&team, "bob").await, ["new"]);
    }

    async fn deletion_ends_all_sessions_of_the_organization(team: Team) {
        team.join("bob", "agent").await;
        record(&team, "bob", "b").await.unwrap();
        record(&team, OLIVIA, "o").await.unwrap();
        let id = team.organization.id;
        team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).delete(tx).await).await.unwrap();
        let mut tx = team.begin().await;
        assert_eq!(worker::ended_sessions(&mut tx, id, None, 100).await.unwrap().len(), 2);
    }

    async fn session_recorded_during_removal_is_ended_or_refused(team: Team) {
        for round in 0..20 {
            let who = format!("p{round}");
            team.join(&who, "agent").await;
            let (recorded, removed) = tokio::join!(record(&team, &who, "s"), team.remove(OLIVIA, &who));
            removed.expect("removed");
            assert!(live(&team, &who).await.is_empty(), "a session outlived its membership");
            assert_eq!(ended(&team, team.organization.id, &who).await.len(), usize::from(recorded.is_ok()));
        }
    }

    async fn a_session_recorded_again_before_its_purge_is_alive(team: Team) {
        team.join("bob", "agent").await;
        record(&team, "bob", "s").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        let id = team.organization.id;
        let mut tx = team.begin().await;
        let purged = worker::ended_sessions(&mut tx, id, Some(&user("bob")), 100).await.unwrap();
        drop(tx);
        team.join("bob", "agent").await;
        record(&team, "bob", "s").await.unwrap();
        let mut tx = team.begin().await;
        worker::forget_ended_sessions(&mut tx, id, &purged).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(live(&team, "bob").await, ["s"]);
    }

    async fn forgetting_a_session_leaves_ended_ones_to_the_purge(team: Team) {
        team.join("bob", "agent").await;
        record(&team, "bob", "s").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        let id = team.organization.id;
        team.in_transaction(async |tx| team.guestlist.forget_session(tx, id, &user("bob"), &key("s")).await)
            .await
            .unwrap();
        assert_eq!(ended(&team, id, "bob").await.len(), 1);
    }

    async fn deleting_an_organization_leaves_the_sessions_of_others(team: Team) {
        let other = Team::on(team.database.clone()).await;
        record(&other, OLIVIA, "there").await.unwrap();
        record(&team, OLIVIA, "here").await.unwrap();
        let id = team.organization.id;
        team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).delete(tx).await).await.unwrap();
        assert_eq!(live(&other, OLIVIA).await, ["there"]);
    }

    async fn purge_returns_the_number_forgotten(team: Team) {
        let id = team.organization.id;
        for who in ["bob", "eve"] {
            team.join(who, "agent").await;
            for session in ["1", "s'2", "s \"3\""] {
                record(&team, who, session).await.unwrap();
            }
            team.remove(OLIVIA, who).await.unwrap();
        }
        let mut tx = team.begin().await;
        let bobs = worker::ended_sessions(&mut tx, id, Some(&user("bob")), 100).await.unwrap();
        assert_eq!(worker::forget_ended_sessions(&mut tx, id, &[]).await.unwrap(), 0);
        assert_eq!(worker::forget_ended_sessions(&mut tx, OrganizationId::from(uuid::Uuid::nil()), &bobs).await.unwrap(), 0);
        assert_eq!(worker::forget_ended_sessions(&mut tx, id, &bobs[..2]).await.unwrap(), 2);
        assert_eq!(worker::forget_ended_sessions(&mut tx, id, &bobs).await.unwrap(), 1);
        assert_eq!(worker::forget_ended_sessions(&mut tx, id, &bobs).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(ended(&team, id, "eve").await.len(), 3);
    }

    async fn a_purge_takes_batches_of_one_organization(team: Team) {
        let other = Team::on(team.database.clone()).await;
        for joined in [&team, &other] {
            joined.join("bob", "agent").await;
            for session in ["a", "b", "c"] {
                record(joined, "bob", session).await.unwrap();
            }
            joined.remove(OLIVIA, "bob").await.unwrap();
        }
        let mut tx = team.begin().await;
        let id = team.organization.id;
        for left in [2, 1] {
            let batch = worker::ended_sessions(&mut tx, id, Some(&user("bob")), 2).await.unwrap();
            assert_eq!(batch.len(), left);
            worker::forget_ended_sessions(&mut tx, id, &batch).await.unwrap();
        }
        drop(tx);
        assert_eq!(ended(&other, other.organization.id, "bob").await.len(), 3);
    }
}
