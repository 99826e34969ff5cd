//! Two concurrent operations give the same result as one after the other.
//!
//! The table of pairs is generated from `operation.rs`: each operation against each and against
//! itself, on the same rows. Both orders are run first, one operation after the other. Then the two
//! run at the same time, and the answers and every row must equal those of one of the orders. Ids,
//! nonces and other random values are replaced by names. Some states are never allowed
//! (`violations` in `outcome.rs`), and no deadlock and no busy database may reach a host.
//!
//! Ways in which these tests were seen to fail, on Postgres, by hand, with one round per pair:
//!
//! - `lock::organization` only reads its row instead of updating it: some 90 pairs fail, those of
//!   owners, double invitations, superseding and seats, and deadlocks between hosts that do several
//!   things in one transaction.
//! - `find_locked` without `FOR UPDATE`: the pairs of `ExpireEarly` and `Expire` with operations on
//!   the invitation that they expire.
//! - The unique index of pending invitations made an ordinary one, and the `ON CONFLICT` that names
//!   it shortened: only the test of the index fails. The table passes, since the lock suffices;
//!   without both, it shows two pending invitations of one address.
//!
//! SQLite has one writer at a time, so that removing the lock has no effect there; the tests show
//! that a host waits for the file instead of failing.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "races/fixture.rs"]
mod fixture;
#[path = "races/operation.rs"]
mod operation;
#[path = "races/outcome.rs"]
mod outcome;
#[cfg(feature = "postgres")]
#[path = "support/postgres.rs"]
mod postgres;
#[path = "races/rows.rs"]
mod rows;
#[cfg(feature = "sqlite")]
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "support/strength.rs"]
mod strength;
#[allow(dead_code)]
mod support;
#[path = "races/table.rs"]
mod table;
#[path = "races/transaction.rs"]
mod transaction;

use std::sync::Arc;

use guestlist::Database;

use crate::fixture::{Fixture, Scarcity};
use crate::operation::Operation;
use crate::support::{OLIVIA, Team};
use crate::transaction::OpenTransaction;

const SCARCITIES: [Scarcity; 3] = [Scarcity::Nothing, Scarcity::LastSeat, Scarcity::LastLetter];

/// The number of tests that share the pairs, so that they run in parallel.
const SHARES: usize = 4;

/// The number of rounds from which a pair with only one observed order is no coincidence.
const ENOUGH_TO_SEE_BOTH: u32 = 20;

async fn assert_share_is_serial(mut team: Team, share: usize) {
    let rounds = strength::rounds(1, 200);
    for scarcity in SCARCITIES {
        let fixture = Arc::new(Fixture::new(team, scarcity).await);
        let pairs = table::pairs(&Operation::of(scarcity));
        let share_pairs: Vec<_> = pairs.into_iter().skip(share).step_by(SHARES).collect();
        let results = table::race_all(&fixture, &share_pairs, rounds, share as u64).await;
        println!("{}", results.measured(&fixture.team.database, rounds));
        println!("seen in one order only: {:?}", results.one_order);
        results.assert_serial();
        if rounds >= ENOUGH_TO_SEE_BOTH {
            results.assert_both_orders_occur();
        }
        let fixture = Arc::into_inner(fixture).expect("the races are over");
        team = Team::on(fixture.leave().await).await;
    }
}

on_both_databases! {
    async fn every_operation_succeeds_alone(team: Team) {
        let fixture = Fixture::new(team, Scarcity::Nothing).await;
        for operation in Operation::ALL {
            fixture.restore().await;
            let mut tx = fixture.team.begin().await;
            let transaction = OpenTransaction { fixture: &fixture, tx: &mut tx };
            let result = operation.run(transaction).await;
            assert!(result.is_ok(), "{operation:?}: {result:?}");
        }
    }

    async fn unique_index_alone_refuses_a_second_pending_invitation(team: Team) {
        let first = team.invite(OLIVIA, "ivy@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, first.id).await.unwrap();
        team.invite(OLIVIA, "ivy@example.com", "agent").await.unwrap();
        let reopen = "UPDATE guestlist_invitations SET status = 'pending' WHERE status = 'revoked'";
        let refused = match &team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => sqlx::query(reopen).execute(pool).await.map(drop),
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => sqlx::query(reopen).execute(pool).await.map(drop),
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        let refused = refused.unwrap_err();
        assert!(refused.as_database_error().is_some_and(|error| error.is_unique_violation()), "{refused}");
    }

    async fn first_share_of_all_pairs_is_serial(team: Team) {
        assert_share_is_serial(team, 0).await;
    }

    async fn second_share_of_all_pairs_is_serial(team: Team) {
        assert_share_is_serial(team, 1).await;
    }

    async fn third_share_of_all_pairs_is_serial(team: Team) {
        assert_share_is_serial(team, 2).await;
    }

    async fn fourth_share_of_all_pairs_is_serial(team: Team) {
        assert_share_is_serial(team, 3).await;
    }
}
