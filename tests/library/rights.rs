//! The rights that a worker needs, compared with those that its statements use.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use guestlist::outbox::{self, Completion, Cost, FairCursor, Message, Priority, State};
use guestlist::worker::{self, DeliveryReport};
use guestlist::{
    Attempt, Database, Delivery, Error, Event, InvitationId, PooledConnection, Schema, Transaction,
};
use sqlx::AssertSqlSafe;

use crate::postgres;
use crate::support::{OLIVIA, Team, user};

/// A team whose worker signs in as a role of its own, which has no right on tables at first.
struct Restricted {
    team: Team,
    role: String,
    /// The database as the role sees it.
    database: Database,
}

impl Restricted {
    async fn new() -> Self {
        let url = postgres::schema_url().await;
        let team = Team::on(postgres::at(&url).await).await;
        let role = format!("worker_{}", uuid::Uuid::now_v7().simple());
        let schema = url.rsplit_once("%3D").unwrap().1;
        for statement in [
            format!("CREATE ROLE {role}"),
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        ] {
            execute(&team, &statement).await;
        }
        let database = Database::connect(&format!("{url}%20-c%20role%3D{role}"), 1).await;
        Self {
            database: database.unwrap(),
            team,
            role,
        }
    }

    async fn grant(&self, right: &str) {
        execute(&self.team, &format!("GRANT {right} TO {}", self.role)).await;
    }

    async fn revoke(&self, right: &str) {
        execute(&self.team, &format!("REVOKE {right} FROM {}", self.role)).await;
    }

    async fn missing(&self) -> Vec<String> {
        let mut connection = self.database.acquire().await.unwrap();
        let missing = worker::missing_rights(&mut connection).await.unwrap();
        missing.iter().map(ToString::to_string).collect()
    }

    /// Runs every statement of a worker as the role, and rolls back.
    async fn work(&self, rows: &Rows) -> Result<(), Error> {
        let mut connection = self.database.acquire().await?;
        read(&self.team, rows, &mut connection).await?;
        drop(connection);
        let mut tx = worker::begin(&self.database).await?;
        write(&self.team, rows, &mut tx).await
    }

    async fn end(self) {
        self.database.close().await;
        execute(&self.team, &format!("DROP OWNED BY {}", self.role)).await;
        execute(&self.team, &format!("DROP ROLE {}", self.role)).await;
    }
}

async fn execute(team: &Team, statement: &str) {
    let Database::Postgres(pool) = &team.database else {
        unreachable!("this database is on Postgres")
    };
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    statement.execute(pool).await.unwrap();
}

/// Rows for every statement of a worker: it writes some of them only for rows that it finds.
struct Rows {
    letters: Vec<Message>,
    invitation: InvitationId,
    event: Event,
}

async fn rows(team: &Team) -> Rows {
    team.join("bob", "agent").await;
    let session = "s1".parse().unwrap();
    let id = team.organization.id;
    team.in_transaction(async |tx| {
        team.guestlist
            .record_session(tx, id, &user("bob"), &session)
            .await
    })
    .await
    .unwrap();
    team.remove(OLIVIA, "bob").await.unwrap();
    let mut invitations = Vec::new();
    for name in ["ann", "carl", "dora"] {
        let email = format!("{name}@example.com");
        invitations.push(team.invite(OLIVIA, &email, "agent").await.unwrap());
    }
    let mut tx = team.begin().await;
    let mut letters = outbox::list(&mut tx, team.now(), State::Ready, None, 100)
        .await
        .unwrap();
    letters.retain(|message| message.kind == "send_invitation");
    Rows {
        letters,
        invitation: invitations[0].id,
        event: team.events().await.pop().unwrap(),
    }
}

async fn read(team: &Team, rows: &Rows, connection: &mut PooledConnection) -> Result<(), Error> {
    let now = team.now();
    Schema::of(&mut *connection).await?;
    worker::installation(&mut *connection).await?;
    worker::clock_skew(&team.guestlist, &mut *connection).await?;
    outbox::due(&mut *connection, now).await?;
    outbox::is_idle(&mut *connection, now).await?;
    outbox::counts_within(&mut *connection, now, 10).await?;
    outbox::oldest_due(&mut *connection, now, Priority::LETTER).await?;
    worker::letter_facts(&team.guestlist, &mut *connection, &[rows.invitation]).await?;
    let ann = "ann@example.com".parse().unwrap();
    worker::suppression(&mut *connection, now, &ann).await?;
    worker::tried_letters(&mut *connection, now).await?;
    worker::accepted_since(&mut *connection, now).await?;
    worker::mail_pause(&mut *connection, now).await?;
    let organization = team.organization.id;
    worker::ended_sessions(&mut *connection, organization, None, 10).await?;
    Event::find(&mut *connection, rows.event.id).await?;
    team.guestlist
        .organization(&mut *connection, organization)
        .await?;
    let invitation = team
        .guestlist
        .invitation(&mut *connection, rows.invitation)
        .await?;
    let invitation = invitation.expect("it is there");
    worker::grant_holds(&team.guestlist, &mut *connection, &invitation).await?;
    let member = user(OLIVIA);
    team.guestlist
        .find_member(&mut *connection, organization, &member)
        .await?;
    Ok(())
}

async fn write(team: &Team, rows: &Rows, tx: &mut Transaction) -> Result<(), Error> {
    let now = team.now();
    let later = now + TimeDelta::days(400);
    let mut cursor = FairCursor::of(Priority::LETTER);
    let leases = outbox::lease(&mut *tx, &mut cursor, now, Duration::from_secs(20), 10).await?;
    let tickets: Vec<_> = leases.iter().map(|lease| lease.ticket).collect();
    let messages = outbox::take_all(&mut *tx, &tickets).await?;
    outbox::renew(&mut *tx, now + TimeDelta::seconds(30), &tickets).await?;
    let bob = "bob@example.com".parse().unwrap();
    let attempt = Attempt::new(now, &messages[0], &bob, "worker-1", Attempt::ACCEPTED);
    worker::record_attempts(&mut *tx, std::slice::from_ref(&attempt)).await?;
    worker::record_attempts_again(&mut *tx, &[attempt]).await?;
    let sent = Completion::of_letter(rows.letters[2].id, rows.invitation, 1);
    outbox::complete(&mut *tx, &[sent]).await?;
    let why = Some("550 5.1.1 no such user".to_owned());
    let failed = DeliveryReport::new(rows.invitation, 1, Delivery::Failed, why).suppressing();
    worker::record_delivery(&mut *tx, now, &failed).await?;
    let after = Duration::from_secs(60);
    outbox::postpone(&mut *tx, tickets[0], now, after, Cost::Fault, "later", None).await?;
    outbox::give_up(&mut *tx, tickets[1], now, "never", None).await?;
    outbox::release(&mut *tx, &tickets).await?;
    let organization = team.organization.id;
    let ended = worker::ended_sessions(&mut *tx, organization, None, 10).await?;
    assert_eq!(
        worker::forget_ended_sessions(&mut *tx, organization, &ended).await?,
        1
    );
    worker::pause_mail(&mut *tx, now, later, "worker-1", "535 bad credentials").await?;
    assert!(worker::resume_mail(&mut *tx).await?);
    assert_ne!(worker::remind_due(&mut *tx, now, later, 10).await?, 0);
    assert_ne!(worker::expire_due(&mut *tx, later, 10).await?, 0);
    let far = later + TimeDelta::days(400);
    worker::delete_old_letters(&mut *tx, far, 10).await?;
    worker::delete_old_attempts(&mut *tx, far, 10).await?;
    worker::delete_expired_suppressions(&mut *tx, far, 10).await?;
    worker::delete_old_events(&mut *tx, far, 10).await?;
    assert_ne!(
        worker::delete_closed_invitations(&mut *tx, far, 10).await?,
        0
    );
    Ok(())
}

/// The permission that Postgres missed; `None` if the work is done.
fn denied(done: Result<(), Error>) -> Option<String> {
    let error = done.err()?.to_string();
    let (_, table) = error
        .split_once("permission denied for table ")
        .expect(&error);
    table.split_whitespace().next().map(str::to_owned)
}

#[tokio::test]
async fn each_right_of_a_worker_is_used_and_missed() {
    let restricted = Restricted::new().await;
    let rows = rows(&restricted.team).await;
    let needed = restricted.missing().await;
    let mut tables = BTreeSet::new();
    for right in &needed {
        restricted.grant(right).await;
        tables.insert(right.rsplit(' ').next().unwrap());
    }
    assert_eq!(restricted.missing().await, [""; 0]);
    restricted.work(&rows).await.expect("these rights suffice");
    let mut unused = Vec::new();
    for right in &needed {
        restricted.revoke(right).await;
        assert_eq!(restricted.missing().await, [right.as_str()]);
        let table = denied(restricted.work(&rows).await);
        if table.as_deref() != right.rsplit(' ').next() {
            unused.push(format!("{right}: {table:?}"));
        }
        restricted.grant(right).await;
    }
    assert_eq!(unused, [""; 0], "no statement uses them");
    assert_eq!(tables.len(), 12, "{tables:?}");
    restricted.end().await;
}
