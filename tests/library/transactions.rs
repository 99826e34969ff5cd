//! Together or not at all, in the host's own transaction.

use guestlist::{Database, Error, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, name, person, user};

on_both_databases! {
    async fn what_the_host_rolls_back_never_happened(team: Team) {
        let mut tx = team.begin().await;
        let invite = team.invitation_of("bob@example.com", "agent");
        team.library.invite(&mut tx, &user(OLIVIA), invite).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(team.history().await, ["organization_created"]);
        assert!(team.messages().await.is_empty());
        team.invite(OLIVIA, "bob@example.com", "agent").await.expect("the address is free");
    }

    async fn a_user_the_host_creates_in_the_same_transaction_can_accept(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let mut tx = team.begin().await;
        match &mut tx {
            #[cfg(feature = "postgres")]
            guestlist::Transaction::Postgres(tx) => {
                sqlx::query("CREATE TABLE users (id text)").execute(&mut **tx).await.unwrap();
                sqlx::query("INSERT INTO users VALUES ('bob')").execute(&mut **tx).await.unwrap();
            }
            #[cfg(feature = "sqlite")]
            guestlist::Transaction::Sqlite(tx) => {
                sqlx::query("CREATE TABLE users (id text)").execute(&mut **tx).await.unwrap();
                sqlx::query("INSERT INTO users VALUES ('bob')").execute(&mut **tx).await.unwrap();
            }
        }
        team.library.accept(&mut tx, &token, &person("bob")).await.unwrap();
        tx.commit().await.unwrap();
        assert!(team.membership("bob").await.is_some());
    }

    async fn a_mutation_without_a_transaction_is_refused(team: Team) {
        let invite = team.invitation_of("bob@example.com", "agent");
        let refused = match &team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                team.library.invite(&mut *connection, &user(OLIVIA), invite).await
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                team.library.invite(&mut *connection, &user(OLIVIA), invite).await
            }
        };
        assert!(matches!(refused, Err(Error::NoTransaction)));
        assert_eq!(team.history().await.len(), 1);
    }

    async fn migrating_again_changes_nothing_and_lives_beside_the_hosts_migrations(team: Team) {
        let (one, other) = tokio::join!(guestlist::migrate(&team.database), guestlist::migrate(&team.database));
        one.unwrap();
        other.unwrap();
        assert_eq!(team.history().await.len(), 1);
    }

    async fn operations_can_be_spawned(team: Team) {
        let spawned = {
            let team = team.clone();
            tokio::spawn(async move { team.invite(OLIVIA, "bob@example.com", "agent").await })
        };
        spawned.await.unwrap().expect("futures are Send");
    }

    async fn every_mutation_asks_for_a_transaction(team: Team) {
        team.join("bob", "agent").await;
        let invitation = team.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        let (token, id, owner, bob) = (team.token(&invitation), team.organization.id, user(OLIVIA), user("bob"));
        let library = &team.library;
        let mut connection = team.database.acquire().await.unwrap();
        let connection = &mut connection;
        let report = worker::DeliveryReport {
            invitation: invitation.id, letter: 1, delivery: guestlist::Delivery::Failed, detail: None,
        };
        let refused = [
            library.create(&mut *connection, name("B"), &person("x")).await.map(drop),
            library.rename(&mut *connection, &owner, id, name("B")).await.map(drop),
            library.delete(&mut *connection, &owner, id).await,
            library.invite_all(&mut *connection, &owner, vec![]).await.map(drop),
            library.resend(&mut *connection, &owner, invitation.id).await.map(drop),
            library.revoke(&mut *connection, &owner, invitation.id).await.map(drop),
            library.show_link(&mut *connection, &owner, invitation.id).await.map(drop),
            library.accept(&mut *connection, &token, &person("carl")).await.map(drop),
            library.decline(&mut *connection, &token).await.map(drop),
            library.change_role(&mut *connection, &owner, id, &bob, &"admin".parse().unwrap()).await.map(drop),
            library.remove(&mut *connection, &owner, id, &bob).await,
            library.leave(&mut *connection, &bob, id).await,
            library.transfer_ownership(&mut *connection, &owner, id, &bob).await.map(drop),
            library.record_session(&mut *connection, id, &bob, &"s".parse().unwrap()).await,
            worker::expire_due(&mut *connection, team.now(), 1).await.map(drop),
            worker::remind_due(&mut *connection, team.now(), team.now(), 1).await.map(drop),
            worker::record_delivery(&mut *connection, team.now(), &report).await,
        ];
        for (place, refused) in refused.into_iter().enumerate() {
            assert!(matches!(refused, Err(Error::NoTransaction)), "{place}: {refused:?}");
        }
    }
}
