//! The organization for the races, with the same rows at the start of every round.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use guestlist::worker::{DeliveryReport, record_delivery};
use guestlist::{
    Database, Delivery, Guestlist, Invitation, Limit, Limits, OrganizationId, Seats, Transaction,
};
use sqlx::AssertSqlSafe;

use crate::outcome::State;
use crate::rows;
use crate::support::{OLIVIA, Team, address, member, user};

/// The resource that is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarcity {
    /// Nothing is scarce.
    Nothing,
    /// There is room for one more member.
    LastSeat,
    /// One more letter may be sent by the organization.
    LastLetter,
}

/// The owners are Olivia, Bob and the suspended Sue; Adam is an admin, Gus an agent. Ivy's
/// invitation is open and her letter was delivered; Dora's is overdue, but not recorded as expired.
/// Adam invited both. Every active member has one session, `session of` their name.
pub struct Fixture {
    pub team: Team,
    ivy: Invitation,
    dora: Invitation,
    /// A script that restores every row.
    restoration: String,
    tables: Vec<String>,
    /// A statement that reads every row.
    pub reading: String,
    /// The nonces of the links that were mailed before.
    pub mailed: BTreeSet<String>,
}

/// The members that take a seat.
const ACTIVE: [&str; 4] = [OLIVIA, "bob", "adam", "gus"];

impl Fixture {
    /// Fills an empty database through the public API and copies its rows.
    pub async fn new(team: Team, scarcity: Scarcity) -> Self {
        team.join("bob", "owner").await;
        team.join("adam", "admin").await;
        team.join("gus", "agent").await;
        team.join("sue", "owner").await;
        let acme = team.organization.id;
        team.in_transaction(async |tx| {
            let sue = &user("sue");
            team.guestlist
                .act(member(OLIVIA))
                .in_organization(acme)
                .suspend(tx, sue)
                .await
        })
        .await
        .expect("suspended");
        for who in ACTIVE {
            sign_in(&team, who).await;
        }
        let dora = invited_by_adam(&team, "dora").await;
        team.advance_clock(TimeDelta::days(6));
        let ivy = invited_by_adam(&team, "ivy").await;
        team.advance_clock(TimeDelta::days(2));
        let tables = rows::tables(&team.database).await;
        for table in &tables {
            let rows = if starts_empty(table) {
                " WHERE false"
            } else {
                ""
            };
            let copy = format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}{rows}");
            run(&team.database, copy).await;
        }
        let deletes = tables.iter().map(|table| format!("DELETE FROM {table};"));
        let inserts = tables
            .iter()
            .filter(|table| !starts_empty(table))
            .map(|table| format!("INSERT INTO {table} SELECT * FROM copy_of_{table};"));
        let reading = rows::reading(&team.database, &tables).await;
        let mut fixture = Self {
            restoration: deletes.chain(inserts).collect(),
            tables,
            team: team.configured(|builder| match scarcity {
                Scarcity::Nothing => builder,
                Scarcity::LastSeat => builder.seats(Seats::at_most(ONE_MORE)),
                Scarcity::LastLetter => builder.limits(one_letter_a_day()),
            }),
            ivy,
            dora,
            reading,
            mailed: BTreeSet::new(),
        };
        fixture.mailed = State::read(&fixture).await.nonces();
        fixture
    }

    pub fn guestlist(&self) -> &Guestlist {
        &self.team.guestlist
    }

    pub fn acme(&self) -> OrganizationId {
        self.team.organization.id
    }

    /// An invitation as it was at the start.
    pub fn invitation(&self, whose: &str) -> &Invitation {
        match whose {
            "dora" => &self.dora,
            _ => &self.ivy,
        }
    }

    /// The link in the letter of that invitation.
    pub fn link(&self, whose: &str) -> String {
        self.team.token(self.invitation(whose))
    }

    /// Restores every row, in one transaction.
    pub async fn restore(&self) {
        run(&self.team.database, self.restoration.clone()).await;
    }

    /// Removes dead rows after many restorations, on Postgres.
    pub async fn vacuum(&self) {
        match &self.team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => {
                let vacuum = AssertSqlSafe(format!("VACUUM {}", self.tables.join(", ")));
                sqlx::query(vacuum).execute(pool).await.expect("vacuumed");
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => {}
            _ => unreachable!("neither Postgres nor SQLite"),
        }
    }

    /// Empties the database for the next fixture.
    pub async fn leave(self) -> Database {
        let database = self.team.database;
        for table in self.tables {
            let text = format!("DELETE FROM {table}; DROP TABLE copy_of_{table};");
            run(&database, text).await;
        }
        database
    }
}

/// The seats of the active members, of Ivy, and of one more.
const ONE_MORE: u32 = 6;

async fn sign_in(team: &Team, who: &str) {
    team.in_transaction(async |tx| {
        let session = format!("session of {who}").parse()?;
        team.guestlist
            .record_session(tx, team.organization.id, &user(who), &session)
            .await
    })
    .await
    .expect("signed in");
}

async fn invited_by_adam(team: &Team, who: &str) -> Invitation {
    let invitation = team.invite("adam", &address(who), "agent").await;
    let invitation = invitation.expect("invited");
    let report = DeliveryReport::new(invitation.id, invitation.letters, Delivery::Sent, None);
    team.in_transaction(async |tx| record_delivery(tx, team.now(), &report).await)
        .await
        .expect("recorded");
    team.invitation(invitation.id).await
}

fn one_letter_a_day() -> Limits {
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let limits = Limits::none().resend_interval(std::time::Duration::from_secs(60));
    limits.organization(Limit::new(1, day))
}

/// The table has no rows at the start of a round: it only records what happens.
fn starts_empty(table: &str) -> bool {
    matches!(
        table,
        "guestlist_events" | "guestlist_outbox" | "guestlist_letters" | "guestlist_suppressions"
    )
}

async fn run(database: &Database, script: String) {
    let script = sqlx::raw_sql(AssertSqlSafe(script));
    let mut tx = database.begin().await.expect("a transaction");
    match &mut tx {
        #[cfg(feature = "postgres")]
        Transaction::Postgres(tx) => script.execute(&mut **tx).await.map(drop),
        #[cfg(feature = "sqlite")]
        Transaction::Sqlite(tx) => script.execute(&mut **tx).await.map(drop),
        _ => unreachable!("neither Postgres nor SQLite"),
    }
    .expect("the script runs");
    tx.commit().await.expect("committed");
}
