//! The organization that is raced over, the same to the last row in every round.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use guestlist::worker::{DeliveryReport, record_delivery};
use guestlist::{
    Database, Delivery, Guestlist, Invitation, Limit, Limits, OrganizationId, Seats, Transaction,
};
use sqlx::AssertSqlSafe;

use crate::outcome::State;
use crate::rows;
use crate::support::{OLIVIA, Team, address, user};

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing is.
    Plenty,
    /// One more person has room.
    LastSeat,
    /// One more letter may leave the organization.
    LastLetter,
}

/// Olivia and Bob own it, and so does Sue, who is suspended; Adam is an admin, Gus an agent. Ivy's
/// invitation is open and her letter was delivered; Dora's is overdue, and nobody recorded it yet.
/// Adam invited both. Every active member is signed in once, as `session of` their name.
pub struct World {
    pub team: Team,
    ivy: Invitation,
    dora: Invitation,
    /// Puts every row back.
    restoration: String,
    tables: Vec<String>,
    /// Reads every row.
    pub reading: String,
    /// The nonces of links that were mailed before.
    pub mailed: BTreeSet<String>,
}

/// The members who take a seat.
const ACTIVE: [&str; 4] = [OLIVIA, "bob", "adam", "gus"];

impl World {
    /// Sets the scene in an empty database, through the public API, and copies its rows.
    pub async fn of(team: Team, scene: Scene) -> Self {
        team.join("bob", "owner").await;
        team.join("adam", "admin").await;
        team.join("gus", "agent").await;
        team.join("sue", "owner").await;
        let acme = team.organization.id;
        team.in_transaction(async |tx| {
            let sue = &user("sue");
            team.guestlist.suspend(tx, &user(OLIVIA), acme, sue).await
        })
        .await
        .expect("suspended");
        for who in ACTIVE {
            sign_in(&team, who).await;
        }
        let dora = invited_by_adam(&team, "dora").await;
        team.pass(TimeDelta::days(6));
        let ivy = invited_by_adam(&team, "ivy").await;
        team.pass(TimeDelta::days(2));
        let tables = rows::tables(&team.database).await;
        for table in &tables {
            let rows = if is_of_the_past(table) {
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
            .filter(|table| !is_of_the_past(table))
            .map(|table| format!("INSERT INTO {table} SELECT * FROM copy_of_{table};"));
        let reading = rows::reading(&team.database, &tables).await;
        let mut world = Self {
            restoration: deletes.chain(inserts).collect(),
            tables,
            team: team.configured(|builder| match scene {
                Scene::Plenty => builder,
                Scene::LastSeat => builder.seats(Seats::at_most(ONE_MORE)),
                Scene::LastLetter => builder.limits(one_letter_a_day()),
            }),
            ivy,
            dora,
            reading,
            mailed: BTreeSet::new(),
        };
        world.mailed = State::read(&world).await.nonces();
        world
    }

    pub fn guestlist(&self) -> &Guestlist {
        &self.team.guestlist
    }

    pub fn acme(&self) -> OrganizationId {
        self.team.organization.id
    }

    /// Somebody's invitation as it was when the scene was set.
    pub fn invitation(&self, whose: &str) -> &Invitation {
        match whose {
            "dora" => &self.dora,
            _ => &self.ivy,
        }
    }

    /// What the letter of that invitation carries.
    pub fn link(&self, whose: &str) -> String {
        self.team.token(self.invitation(whose))
    }

    /// Puts every row back, in one transaction.
    pub async fn restore(&self) {
        run(&self.team.database, self.restoration.clone()).await;
    }

    /// Clears away what many restorations leave behind, where the database does not do it at once.
    pub async fn tidy(&self) {
        match &self.team.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => {
                let vacuum = AssertSqlSafe(format!("VACUUM {}", self.tables.join(", ")));
                sqlx::query(vacuum).execute(pool).await.expect("vacuumed");
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => {}
        }
    }

    /// Leaves an empty database for the next scene.
    pub async fn leave(self) -> Database {
        let database = self.team.database;
        for table in self.tables {
            let text = format!("DELETE FROM {table}; DROP TABLE copy_of_{table};");
            run(&database, text).await;
        }
        database
    }
}

/// Those who are active, Ivy, and one.
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
    let report = DeliveryReport {
        invitation: invitation.id,
        letter: invitation.letters,
        delivery: Delivery::Sent,
        detail: None,
    };
    team.in_transaction(async |tx| record_delivery(tx, team.now(), &report).await)
        .await
        .expect("recorded");
    team.invitation(invitation.id).await
}

fn one_letter_a_day() -> Limits {
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let limits = Limits::none().resend_interval(std::time::Duration::from_secs(60));
    limits.organization(Limit {
        letters: 1,
        window: day,
    })
}

/// Whether the table only grows: a round begins without a history and without promises.
fn is_of_the_past(table: &str) -> bool {
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
    }
    .expect("the script runs");
    tx.commit().await.expect("committed");
}
