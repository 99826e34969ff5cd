//! Operations in a large database, compared with a small one.

use std::time::Instant;

use guestlist::{Actor, Guestlist, Invite, Limit, Limits, OrganizationId, Paging, UserId};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::inviting::Team;
use crate::bench::row::{Row, Target, count};
use crate::bench::statistics::{Times, microseconds};
use crate::bench::store::Store;

/// Number of invitations of an organization. It has a tenth as many members.
const INVITATIONS_PER_ORGANIZATION: u64 = 1_000;

/// Number of members whose access is checked in turn.
const CHECKED_MEMBERS: u64 = 1_000;

/// Number of checks for each list and each invite.
const CHECKS: u64 = 4;

/// The simplest query with which a host could check a membership itself.
const SELECT: &str =
    "SELECT role FROM guestlist_memberships WHERE organization_id = $1 AND user_id = $2";

/// A filled database, and the members whose access is checked.
struct Fixture {
    guestlist: Guestlist,
    pool: PgPool,
    connection: PoolConnection<Postgres>,
    /// The organization and the owner that invite.
    inviting: Team,
    members: Vec<(OrganizationId, UserId)>,
    invited: u64,
}

/// Durations of the operations in one database.
struct Timings {
    invite: Times,
    check: Times,
    list: Times,
    select: Times,
}

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (stored, operations) = (environment.amounts.stored, environment.amounts.operations);
    let small = environment.create_store().await?;
    let large = environment.create_store().await?;
    let mut fixtures = [
        Fixture::fill(environment, &small, INVITATIONS_PER_ORGANIZATION).await?,
        Fixture::fill(environment, &large, stored).await?,
    ];
    for fixture in &mut fixtures {
        fixture.warm_up().await?;
    }
    let [mut invite, mut check, mut list, mut select] = [(); 4].map(|()| [Vec::new(), Vec::new()]);
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{operations} checks in each of two databases"),
        );
        let mut took = [Timings::new(), Timings::new()];
        for number in 0..operations * CHECKS {
            // Alternates between the databases, so that other load on the machine affects both.
            for (fixture, took) in fixtures.iter_mut().zip(&mut took) {
                fixture.run(number, took).await?;
            }
        }
        for (index, took) in took.iter().enumerate() {
            for (figures, times) in [
                (&mut invite, &took.invite),
                (&mut check, &took.check),
                (&mut list, &took.list),
                (&mut select, &took.select),
            ] {
                figures[index].push(microseconds(times.quantile(0.5)?));
            }
        }
    }
    for (fixture, before, store) in [
        (&fixtures[0], INVITATIONS_PER_ORGANIZATION, &small),
        (&fixtures[1], stored, &large),
    ] {
        store
            .require("guestlist_invitations", before + fixture.invited)
            .await?;
        store
            .require("guestlist_memberships WHERE role = 'agent'", before / 10)
            .await?;
    }
    drop(fixtures);
    environment.drop_store(small).await?;
    environment.drop_store(large).await?;
    let reference = format!("{} stored", count(INVITATIONS_PER_ORGANIZATION));
    let row = |what: &str, [small, large]: [Vec<f64>; 2]| {
        let measure = format!("{what} with {} invitations stored", count(stored));
        let row = Row::new("size", measure, "µs", large)?.reference(reference.clone(), small)?;
        anyhow::Ok(row.target(Target::MaxRatio(1.3)).counted(stored))
    };
    let checks = check[1].clone();
    Ok(vec![
        row("invite", invite)?,
        row("membership check", check)?,
        row("list of open invitations", list)?,
        Row::new("size", "membership check", "µs", checks)?
            .reference("a prepared select of the role", select[1].clone())?
            .target(Target::MaxRatio(1.2))
            .counted(stored),
    ])
}

impl Fixture {
    async fn fill(environment: &Environment, store: &Store, stored: u64) -> anyhow::Result<Self> {
        let members = stored / 10;
        environment.progress.report(format!(
            "{} invitations and {} members",
            count(stored),
            count(members)
        ));
        let filler = Filler::new(
            environment,
            store,
            (stored / INVITATIONS_PER_ORGANIZATION).max(1),
        )
        .await?;
        filler.stored(stored).await?;
        filler.members(members).await?;
        store.vacuum().await?;
        let step = usize::try_from((members / CHECKED_MEMBERS).max(1))?;
        let pool = store.pool()?.clone();
        Ok(Self {
            guestlist: guestlist(environment)?,
            connection: pool.acquire().await?,
            pool,
            inviting: filler.teams[filler.teams.len() / 2].clone(),
            members: (1..=members)
                .step_by(step)
                .map(|n| filler.member(n))
                .collect(),
            invited: 0,
        })
    }

    /// Runs each operation, and the check and the list for every member, so that the caches are warm.
    async fn warm_up(&mut self) -> anyhow::Result<()> {
        let mut took = Timings::new();
        for number in 0..self.members.len() as u64 {
            self.check(number, &mut took).await?;
            self.list(number, &mut took).await?;
        }
        self.invite(&mut took).await
    }

    async fn run(&mut self, number: u64, took: &mut Timings) -> anyhow::Result<()> {
        self.check(number, took).await?;
        if number.is_multiple_of(CHECKS) {
            self.list(number, took).await?;
            self.invite(took).await?;
        }
        Ok(())
    }

    async fn check(&mut self, number: u64, took: &mut Timings) -> anyhow::Result<()> {
        let (organization, user) = self.member(number);
        let began = Instant::now();
        let member = self
            .guestlist
            .access(&mut *self.connection, &user, organization)
            .await?;
        took.check.record(began.elapsed());
        anyhow::ensure!(member.is_some(), "{user} is no member");

        let began = Instant::now();
        let role: Option<String> = sqlx::query_scalar(SELECT)
            .bind(organization.as_uuid())
            .bind(user.as_str())
            .fetch_optional(&mut *self.connection)
            .await?;
        took.select.record(began.elapsed());
        anyhow::ensure!(role.is_some(), "{user} has no role");
        Ok(())
    }

    async fn list(&mut self, number: u64, took: &mut Timings) -> anyhow::Result<()> {
        let (organization, _) = self.member(number);
        let paging = Paging::first(50);
        let began = Instant::now();
        let page = self
            .guestlist
            .pending(&mut *self.connection, organization, &paging)
            .await?;
        took.list.record(began.elapsed());
        anyhow::ensure!(
            page.items.len() == 50,
            "{organization} has {} open invitations",
            page.items.len()
        );
        Ok(())
    }

    /// Invites without waiting for the disk, whose time does not depend on the size and would hide a difference.
    async fn invite(&mut self, took: &mut Timings) -> anyhow::Result<()> {
        let address = format!("late-{}@invitee.example", self.invited).parse()?;
        let invite = Invite::new(address, "agent".parse()?);
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL synchronous_commit = off")
            .execute(&mut *transaction)
            .await?;
        let began = Instant::now();
        self.guestlist
            .act(Actor::member(&self.inviting.owner))
            .in_organization(self.inviting.id)
            .invite(&mut *transaction, invite)
            .await?;
        transaction.commit().await?;
        took.invite.record(began.elapsed());
        self.invited += 1;
        Ok(())
    }

    fn member(&self, number: u64) -> (OrganizationId, UserId) {
        let members = self.members.len() as u64;
        self.members[usize::try_from(number % members).expect("less than the length of a vector")]
            .clone()
    }
}

impl Timings {
    fn new() -> Self {
        let [invite, check, list, select] = [(); 4].map(|()| Times::new());
        Self {
            invite,
            check,
            list,
            select,
        }
    }
}

/// Returns the library with limits that are checked but not reached, since one organization sends all invites.
fn guestlist(environment: &Environment) -> anyhow::Result<Guestlist> {
    let limit = Limit::new(1_000_000, std::time::Duration::from_secs(24 * 60 * 60));
    let limits = Limits::default().actor(limit).organization(limit);
    Ok(Guestlist::builder()
        .key_ring(environment.command.keys().parse()?)
        .limits(limits)
        .build())
}
