//! Whatever two people do at the same moment, it comes out as if one had been first.
//!
//! The table of pairs is generated from `operation.rs`: each operation against each and against
//! itself, on the same rows. Both orders are run first, one operation after the other; then the two
//! run at once, and the answers and every row must be those of one of the orders. Ids, nonces and
//! the like are replaced by what they stand for. Besides, some things may never be (`violations` in
//! `outcome.rs`), and no deadlock and no busy database may reach a host.
//!
//! How it is shown to fail, on Postgres, by hand, with one round a pair:
//!
//! - `lock::organization` only reads its row instead of updating it: some 90 pairs go red, those of
//!   owners, double invitations, superseding, seats, and deadlocks among what a host does in one
//!   transaction.
//! - `find_locked` without `FOR UPDATE`: the pairs of `ExpireEarly` and `Expire` with what acts on
//!   the invitation that they expire.
//! - The unique index of pending invitations made an ordinary one, and the `ON CONFLICT` that names
//!   it shortened: the test of the index alone. The table stays green, since the lock suffices;
//!   without both, it shows two pending invitations of one address.
//!
//! SQLite has one writer at a time, so that taking the lock away breaks nothing there; what is
//! raced for is the file, and that a host waits instead of failing.
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

use crate::fixture::{Scene, World};
use crate::operation::Operation;
use crate::support::{OLIVIA, Team};
use crate::transaction::Turn;

const SCENES: [Scene; 3] = [Scene::Plenty, Scene::LastSeat, Scene::LastLetter];

/// The pairs are dealt to so many tests, so that they share the machine.
const SHARES: usize = 4;

/// With so many rounds a pair that is seen in one order only is no accident.
const ENOUGH_TO_SEE_BOTH: u32 = 20;

async fn a_share_comes_out_serial(mut team: Team, share: usize) {
    let rounds = strength::rounds(1, 200);
    for scene in SCENES {
        let world = Arc::new(World::of(team, scene).await);
        let pairs = table::pairs(&Operation::of(scene));
        let dealt: Vec<_> = pairs.into_iter().skip(share).step_by(SHARES).collect();
        let tally = table::race_all(&world, &dealt, rounds, share as u64).await;
        println!("{}", tally.measured(&world.team.database, rounds));
        println!("seen in one order only: {:?}", tally.one_way);
        tally.assert_serial();
        if rounds >= ENOUGH_TO_SEE_BOTH {
            tally.assert_open();
        }
        let world = Arc::into_inner(world).expect("the races are over");
        team = Team::on(world.leave().await).await;
    }
}

on_both_databases! {
    async fn every_operation_succeeds_when_nobody_interferes(team: Team) {
        let world = World::of(team, Scene::Plenty).await;
        for operation in Operation::ALL {
            world.restore().await;
            let mut tx = world.team.begin().await;
            let turn = Turn { world: &world, tx: &mut tx };
            let result = operation.run(turn).await;
            assert!(result.is_ok(), "{operation:?}: {result:?}");
        }
    }

    async fn the_index_refuses_a_second_pending_invitation_without_anybodys_help(team: Team) {
        let first = team.invite(OLIVIA, "ivy@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, first.id).await.unwrap();
        team.invite(OLIVIA, "ivy@example.com", "agent").await.unwrap();
        let reopen = "UPDATE guestlist_invitations SET status = 'pending' WHERE status = 'revoked'";
        let refused = match &team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => sqlx::query(reopen).execute(pool).await.map(drop),
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => sqlx::query(reopen).execute(pool).await.map(drop),
        };
        let refused = refused.unwrap_err();
        assert!(refused.as_database_error().is_some_and(|error| error.is_unique_violation()), "{refused}");
    }

    async fn the_first_share_of_all_pairs_is_serial(team: Team) {
        a_share_comes_out_serial(team, 0).await;
    }

    async fn the_second_share_of_all_pairs_is_serial(team: Team) {
        a_share_comes_out_serial(team, 1).await;
    }

    async fn the_third_share_of_all_pairs_is_serial(team: Team) {
        a_share_comes_out_serial(team, 2).await;
    }

    async fn the_fourth_share_of_all_pairs_is_serial(team: Team) {
        a_share_comes_out_serial(team, 3).await;
    }
}
