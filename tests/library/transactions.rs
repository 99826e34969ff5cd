//! Everything commits together or not at all, in the host's own transaction.

use guestlist::{Actor, Database, Error, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, member, name, person, the_host, user};

on_both_databases! {
    async fn rollback_by_the_host_undoes_everything(team: Team) {
        let mut tx = team.begin().await;
        let invite = team.invitation_of("bob@example.com", "agent");
        team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(&mut tx, invite).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(team.history().await, ["organization_created"]);
        assert!(team.messages().await.is_empty());
        team.invite(OLIVIA, "bob@example.com", "agent").await.expect("the address is free");
    }

    async fn user_created_in_the_same_transaction_can_accept(team: Team) {
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
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        team.guestlist.accept(&mut tx, &token, &person("bob")).await.unwrap();
        tx.commit().await.unwrap();
        assert!(team.membership("bob").await.is_some());
    }

    async fn host_deadlock_is_a_retryable_conflict(team: Team) {
        if !crate::has_many_writers(&team) {
            return; // There the second of the two waits for its turn before it has any lock.
        }
        let there = crate::support::Team::on(team.database.clone()).await;
        let (here, there) = (team.organization.id, there.organization.id);
        let rename = async |tx: &mut guestlist::Transaction, id| {
            team.guestlist.act(member(OLIVIA)).in_organization(id).rename(tx, name("Renamed")).await.map(drop)
        };
        let (mut one, mut other) = (team.begin().await, team.begin().await);
        rename(&mut one, here).await.unwrap();
        rename(&mut other, there).await.unwrap();
        let in_turn = async |mut tx: guestlist::Transaction, id| {
            let renamed = rename(&mut tx, id).await;
            match &renamed {
                Ok(()) => tx.commit().await.unwrap(),
                Err(_) => tx.rollback().await.unwrap(),
            }
            renamed
        };
        let outcomes: [_; 2] = tokio::join!(in_turn(one, there), in_turn(other, here)).into();
        let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Conflict(_)))).count();
        assert_eq!((conflicts, outcomes.iter().filter(|outcome| outcome.is_ok()).count()), (1, 1), "{outcomes:?}");
        for id in [here, there] {
            team.in_transaction(async |tx| rename(tx, id).await).await.expect("the loser tries again");
        }
    }

    async fn a_mutation_without_a_transaction_is_refused(team: Team) {
        let invite = team.invitation_of("bob@example.com", "agent");
        let refused = match &team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(&mut *connection, invite).await
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(&mut *connection, invite).await
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        assert!(matches!(refused, Err(Error::NoTransaction)));
        assert_eq!(team.history().await.len(), 1);
    }

    async fn repeated_migration_changes_nothing(team: Team) {
        let (one, other) = tokio::join!(guestlist::migrate(&team.database), guestlist::migrate(&team.database));
        assert_eq!((one.unwrap(), other.unwrap()), (0, 0));
        assert_eq!(team.history().await.len(), 1);
    }

    async fn operations_can_be_spawned(team: Team) {
        let spawned = {
            let team = team.clone();
            tokio::spawn(async move { team.invite(OLIVIA, "bob@example.com", "agent").await })
        };
        spawned.await.unwrap().expect("futures are Send");
        let database = team.database.clone();
        let migrated = tokio::spawn(async move { guestlist::migrate(&database).await });
        migrated.await.unwrap().expect("this one too");
    }

    async fn every_mutation_requires_a_transaction(team: Team) {
        team.join("bob", "agent").await;
        let invitation = team.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        let (token, id, owner, bob) = (team.token(&invitation), team.organization.id, user(OLIVIA), user("bob"));
        let guestlist = &team.guestlist;
        let mut connection = team.database.acquire().await.unwrap();
        let connection = &mut connection;
        let report = worker::DeliveryReport::new(invitation.id, 1, guestlist::Delivery::Failed, None);
        let refused = [
            guestlist.create(&mut *connection, name("B"), &person("x")).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).rename(&mut *connection, name("B")).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).delete(&mut *connection).await,
            guestlist.act(Actor::member(&owner)).in_organization(id).invite_all(&mut *connection, vec![]).await.map(drop),
            guestlist.act(Actor::member(&owner)).resend(&mut *connection, invitation.id).await.map(drop),
            guestlist.act(Actor::member(&owner)).revoke(&mut *connection, invitation.id).await.map(drop),
            guestlist.act(Actor::member(&owner)).show_link(&mut *connection, invitation.id).await.map(drop),
            guestlist.accept(&mut *connection, &token, &person("carl")).await.map(drop),
            guestlist.decline(&mut *connection, &token).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).change_role(&mut *connection, &bob, &"admin".parse().unwrap()).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).remove(&mut *connection, &bob).await,
            guestlist.act(Actor::member(&bob)).in_organization(id).leave(&mut *connection).await,
            guestlist.act(Actor::member(&owner)).in_organization(id).transfer_ownership(&mut *connection, &bob).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).suspend(&mut *connection, &bob).await.map(drop),
            guestlist.act(Actor::member(&owner)).in_organization(id).reinstate(&mut *connection, &bob).await.map(drop),
            guestlist.forget_user(&mut *connection, &person("bob")).await.map(drop),
            guestlist.act(the_host()).in_organization(id).set_seats(&mut *connection, Some(1)).await.map(drop),
            guestlist.act(Actor::member(&owner)).change_invitation_role(&mut *connection, invitation.id, &"admin".parse().unwrap()).await.map(drop),
            guestlist.record_session(&mut *connection, id, &bob, &"s".parse().unwrap()).await,
            worker::expire_due(&mut *connection, team.now(), 1).await.map(drop),
            worker::remind_due(&mut *connection, team.now(), team.now(), 1).await.map(drop),
            worker::record_delivery(&mut *connection, team.now(), &report).await,
        ];
        for (place, refused) in refused.into_iter().enumerate() {
            assert!(matches!(refused, Err(Error::NoTransaction)), "{place}: {refused:?}");
        }
    }
}

/// The host waits first, so that Postgres would end the deadlock by cancelling the host.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_yields_to_a_waiting_host() {
    let team = crate::support::Team::on(crate::postgres::schema().await).await;
    let one = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
    let other = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
    let sent =
        |invitation| worker::DeliveryReport::new(invitation, 1, guestlist::Delivery::Sent, None);
    let mut host = team.begin().await;
    let pid = backend(&mut host).await;
    let mut settling = worker::begin(&team.database).await.unwrap();
    let (olivia, now) = (user(OLIVIA), team.now());
    let revoke = async |tx: &mut guestlist::Transaction, id| {
        team.guestlist
            .act(Actor::member(&olivia))
            .revoke(tx, id)
            .await
            .map(drop)
    };
    let record = async |tx: &mut guestlist::Transaction, id| {
        worker::record_delivery(tx, now, &sent(id)).await
    };
    revoke(&mut host, one.id).await.unwrap();
    record(&mut settling, other.id).await.unwrap();
    let (revoked, recorded) = tokio::join!(
        async {
            team.guestlist
                .act(member(OLIVIA))
                .revoke(&mut host, other.id)
                .await
        },
        async {
            until_it_waits(&team.database, pid).await;
            let recorded = record(&mut settling, one.id).await;
            settling.rollback().await.unwrap();
            recorded
        }
    );
    assert!(matches!(recorded, Err(Error::Conflict(_))), "{recorded:?}");
    revoked.expect("the host notices nothing");
}

/// Simulates a worker machine that loses its connection between a statement and the commit.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_of_a_silent_worker_are_freed_within_seconds() {
    let team = crate::support::Team::on(crate::postgres::schema().await).await;
    let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
    let sent = worker::DeliveryReport::new(invitation.id, 1, guestlist::Delivery::Sent, None);
    let mut silent = worker::begin(&team.database).await.unwrap();
    worker::record_delivery(&mut silent, team.now(), &sent)
        .await
        .unwrap();
    let mut tries = 0;
    loop {
        let mut next = worker::begin(&team.database).await.unwrap();
        match worker::record_delivery(&mut next, team.now(), &sent).await {
            Ok(()) => break next.commit().await.unwrap(),
            Err(error) => assert!(matches!(error, Error::Conflict(_)), "{error:?}"),
        }
        tries += 1;
        assert!(tries < 20, "half a second each");
    }
    assert!(tries > 4, "it has seconds to go on");
    let committed = silent.commit().await;
    assert!(
        matches!(committed, Err(Error::Database(_))),
        "{committed:?}"
    );
}

/// Bob joins another organization while the deletion of his account waits for the first one's lock.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_joining_during_deletion_is_forgotten_there_too() {
    let team = crate::support::Team::on(crate::postgres::schema().await).await;
    let elsewhere = crate::support::Team::on(team.database.clone()).await;
    let elsewhere = crate::support::Team {
        keys: team.keys.clone(),
        guestlist: team.guestlist.clone(),
        ..elsewhere
    };
    team.join("bob", "agent").await;
    let bob = guestlist::User::new(user("bob"), "bob@example.org".parse().unwrap());
    let invitation = elsewhere.invite(OLIVIA, bob.email.as_str(), "agent").await;
    let token = elsewhere.token(&invitation.unwrap());
    let (mut host, mut deletion) = (team.begin().await, team.begin().await);
    let pid = backend(&mut deletion).await;
    let olivia = user(OLIVIA);
    let acting = team
        .guestlist
        .act(Actor::member(&olivia))
        .in_organization(team.organization.id);
    acting.rename(&mut host, name("Held")).await.unwrap();
    let deleting = async {
        let forgotten = team
            .guestlist
            .forget_user(&mut deletion, &person("bob"))
            .await;
        deletion.commit().await.unwrap();
        forgotten.unwrap()
    };
    let (forgotten, ()) = tokio::join!(deleting, async {
        until_it_waits(&team.database, pid).await;
        team.guestlist
            .accept(&mut host, &token, &bob)
            .await
            .unwrap();
        host.commit().await.unwrap();
    });
    assert_eq!(forgotten.memberships.len(), 2);
    assert_eq!(elsewhere.membership("bob").await, None);
}

#[cfg(feature = "postgres")]
async fn backend(tx: &mut guestlist::Transaction) -> i32 {
    match tx {
        guestlist::Transaction::Postgres(tx) => {
            let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
            pid.fetch_one(&mut **tx).await.unwrap()
        }
        #[cfg(feature = "sqlite")]
        guestlist::Transaction::Sqlite(_) => unreachable!("a schema of Postgres"),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

#[cfg(feature = "postgres")]
async fn until_it_waits(database: &Database, pid: i32) {
    let mut tx = database.begin().await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let waits: bool = match &mut tx {
            guestlist::Transaction::Postgres(tx) => {
                let waits = sqlx::query_scalar("SELECT cardinality(pg_blocking_pids($1)) > 0");
                waits.bind(pid).fetch_one(&mut **tx).await.unwrap()
            }
            #[cfg(feature = "sqlite")]
            guestlist::Transaction::Sqlite(_) => unreachable!("a schema of Postgres"),
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        if waits {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "it does not wait");
    }
}

/// Uses a connection of its own, so that only invites prepare statements on it.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invite_takes_one_lock_one_query_and_one_insert() {
    let team = crate::support::Team::on(crate::postgres::schema().await).await;
    #[allow(irrefutable_let_patterns)]
    let Database::Postgres(pool) = &team.database else {
        unreachable!("a schema of Postgres")
    };
    let mut connection = pool.acquire().await.unwrap();
    crate::statements::forget(&mut connection).await;
    let mut tx = sqlx::Connection::begin(&mut *connection).await.unwrap();
    for email in ["a@example.com", "b@example.com"] {
        let invite = team.invitation_of(email, "agent");
        let invited = team
            .guestlist
            .act(member(OLIVIA))
            .in_organization(team.organization.id)
            .invite(&mut *tx, invite)
            .await;
        invited.unwrap();
    }
    let invites =
        ["c@example.com", "d@example.com"].map(|email| team.invitation_of(email, "agent"));
    let invited = team
        .guestlist
        .act(member(OLIVIA))
        .in_organization(team.organization.id)
        .invite_all(&mut *tx, invites.into())
        .await;
    assert!(invited.unwrap().iter().all(Result::is_ok));
    let prepared = sqlx::query_scalar(
        "SELECT left(statement, 6) FROM pg_prepared_statements ORDER BY prepare_time",
    );
    let prepared: Vec<String> = prepared
        .persistent(false)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    // One statement inserts a single row, the other any number of rows.
    assert_eq!(prepared, ["UPDATE", "SELECT", "WITH p", "WITH p"]);
}
