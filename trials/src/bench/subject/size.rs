//! What is asked of much, beside the same asked of little.

use std::time::Instant;

use guestlist::{Guestlist, Invite, Limit, Limits, OrganizationId, Paging, UserId};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::inviting::Team;
use crate::bench::row::{Bar, Row, count};
use crate::bench::statistics::{Times, microseconds};
use crate::bench::store::Store;

/// How many invitations an organization has; it has a tenth as many members.
const OF_AN_ORGANIZATION: u64 = 1_000;

/// How many members are asked for in turn.
const ASKED: u64 = 1_000;

/// How many checks there are for each list and each invite.
const CHECKS: u64 = 4;

/// The least that a host could ask itself instead.
const SELECT: &str =
    "SELECT role FROM guestlist_memberships WHERE organization_id = $1 AND user_id = $2";

/// A database, filled, and who is asked for in it.
struct Place {
    guestlist: Guestlist,
    pool: PgPool,
    connection: PoolConnection<Postgres>,
    /// Whom people are invited by.
    inviting: Team,
    members: Vec<(OrganizationId, UserId)>,
    invited: u64,
}

/// How long each took in one place.
struct Took {
    invite: Times,
    check: Times,
    list: Times,
    select: Times,
}

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (stored, operations) = (stage.amounts.stored, stage.amounts.operations);
    let small = stage.store().await?;
    let large = stage.store().await?;
    let mut places = [
        Place::fill(stage, &small, OF_AN_ORGANIZATION).await?,
        Place::fill(stage, &large, stored).await?,
    ];
    for place in &mut places {
        place.warm_up().await?;
    }
    let [mut invite, mut check, mut list, mut select] = [(); 4].map(|()| [Vec::new(), Vec::new()]);
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{operations} checks in each of two databases"),
        );
        let mut took = [Took::new(), Took::new()];
        for turn in 0..operations * CHECKS {
            // In turns, so that what else the machine does is shared by both.
            for (place, took) in places.iter_mut().zip(&mut took) {
                place.operate(turn, took).await?;
            }
        }
        for (which, took) in took.iter().enumerate() {
            for (figures, times) in [
                (&mut invite, &took.invite),
                (&mut check, &took.check),
                (&mut list, &took.list),
                (&mut select, &took.select),
            ] {
                figures[which].push(microseconds(times.quantile(0.5)?));
            }
        }
    }
    for (place, before, store) in [
        (&places[0], OF_AN_ORGANIZATION, &small),
        (&places[1], stored, &large),
    ] {
        store
            .require("guestlist_invitations", before + place.invited)
            .await?;
        store
            .require("guestlist_memberships WHERE role = 'agent'", before / 10)
            .await?;
    }
    drop(places);
    stage.drop(small).await?;
    stage.drop(large).await?;
    let beside = format!("{} stored", count(OF_AN_ORGANIZATION));
    let row = |what: &str, [small, large]: [Vec<f64>; 2]| {
        let measure = format!("{what} with {} invitations stored", count(stored));
        let row = Row::new("size", measure, "µs", large)?.beside(beside.clone(), small)?;
        anyhow::Ok(row.bar(Bar::MostOfLimit(1.3)).counted(stored))
    };
    let checks = check[1].clone();
    Ok(vec![
        row("invite", invite)?,
        row("membership check", check)?,
        row("list of open invitations", list)?,
        Row::new("size", "membership check", "µs", checks)?
            .beside("a prepared select of the role", select[1].clone())?
            .bar(Bar::MostOfLimit(1.2))
            .counted(stored),
    ])
}

impl Place {
    async fn fill(stage: &Stage, store: &Store, stored: u64) -> anyhow::Result<Self> {
        let members = stored / 10;
        stage.progress.say(format!(
            "{} invitations and {} members",
            count(stored),
            count(members)
        ));
        let filler = Filler::new(stage, store, (stored / OF_AN_ORGANIZATION).max(1)).await?;
        filler.stored(stored).await?;
        filler.members(members).await?;
        store.settle().await?;
        let step = usize::try_from((members / ASKED).max(1))?;
        let pool = store.pool()?.clone();
        Ok(Self {
            guestlist: guestlist(stage)?,
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

    /// Asks for everybody once: who is asked for was so a moment ago, as in real life.
    async fn warm_up(&mut self) -> anyhow::Result<()> {
        let mut took = Took::new();
        for turn in 0..self.members.len() as u64 {
            self.check(turn, &mut took).await?;
            self.list(turn, &mut took).await?;
        }
        self.invite(&mut took).await
    }

    async fn operate(&mut self, turn: u64, took: &mut Took) -> anyhow::Result<()> {
        self.check(turn, took).await?;
        if turn.is_multiple_of(CHECKS) {
            self.list(turn, took).await?;
            self.invite(took).await?;
        }
        Ok(())
    }

    async fn check(&mut self, turn: u64, took: &mut Took) -> anyhow::Result<()> {
        let (organization, user) = self.member(turn);
        let began = Instant::now();
        let member = self
            .guestlist
            .access(&mut *self.connection, &user, organization)
            .await?;
        took.check.note(began.elapsed());
        anyhow::ensure!(member.is_some(), "{user} is no member");

        let began = Instant::now();
        let role: Option<String> = sqlx::query_scalar(SELECT)
            .bind(organization.as_uuid())
            .bind(user.as_str())
            .fetch_optional(&mut *self.connection)
            .await?;
        took.select.note(began.elapsed());
        anyhow::ensure!(role.is_some(), "{user} has no role");
        Ok(())
    }

    async fn list(&mut self, turn: u64, took: &mut Took) -> anyhow::Result<()> {
        let (organization, _) = self.member(turn);
        let paging = Paging::first(50);
        let began = Instant::now();
        let page = self
            .guestlist
            .pending(&mut *self.connection, organization, &paging)
            .await?;
        took.list.note(began.elapsed());
        anyhow::ensure!(
            page.items.len() == 50,
            "{organization} has {} open",
            page.items.len()
        );
        Ok(())
    }

    /// Without waiting for the disk, whose time is the same and would hide a difference.
    async fn invite(&mut self, took: &mut Took) -> anyhow::Result<()> {
        let address = format!("late-{}@invitee.example", self.invited).parse()?;
        let invite = Invite::new(address, "agent".parse()?);
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL synchronous_commit = off")
            .execute(&mut *transaction)
            .await?;
        let began = Instant::now();
        self.guestlist
            .act(&self.inviting.owner)
            .in_organization(self.inviting.id)
            .invite(&mut *transaction, invite)
            .await?;
        transaction.commit().await?;
        took.invite.note(began.elapsed());
        self.invited += 1;
        Ok(())
    }

    fn member(&self, turn: u64) -> (OrganizationId, UserId) {
        let members = self.members.len() as u64;
        self.members[usize::try_from(turn % members).expect("an index of what is in memory")]
            .clone()
    }
}

impl Took {
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

/// With limits that are looked at and not reached, since one organization invites them all.
fn guestlist(stage: &Stage) -> anyhow::Result<Guestlist> {
    let limit = Limit {
        letters: 1_000_000,
        window: std::time::Duration::from_secs(24 * 60 * 60),
    };
    let limits = Limits::default().actor(limit).organization(limit);
    Ok(Guestlist::builder()
        .key_ring(stage.guestlist.keys().parse()?)
        .limits(limits)
        .build())
}
