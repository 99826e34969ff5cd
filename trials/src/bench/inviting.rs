//! A host that invites as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use guestlist::{Actor, Database, Error, Guestlist, Invite, OrganizationId, User, UserId};
use tokio::task::JoinSet;

/// Number of concurrent requests of the host.
pub(crate) const TASKS: u64 = 32;

/// An organization and its owner.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) id: OrganizationId,
    pub(crate) owner: UserId,
}

/// Creates organizations, each with its own owner.
pub(crate) async fn teams(
    database: &Database,
    guestlist: &Guestlist,
    count: u64,
) -> anyhow::Result<Vec<Team>> {
    let mut teams = Vec::new();
    let mut transaction = database.begin().await?;
    for index in 0..count {
        let owner = User::new(
            format!("owner-{index}").parse()?,
            format!("owner-{index}@host.example").parse()?,
        );
        let name = format!("Organization {index}").parse()?;
        let organization = guestlist.create(&mut transaction, name, &owner).await?;
        teams.push(Team {
            id: organization.id,
            owner: owner.id,
        });
    }
    transaction.commit().await?;
    Ok(teams)
}

/// Invites `count` people, each in its own transaction, to the organizations in turn. Returns the duration.
/// Their addresses start with `name`, which must be new for each call.
pub(crate) async fn invite_many(
    database: &Database,
    guestlist: &Guestlist,
    teams: &[Team],
    name: &str,
    count: u64,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let address = |index| format!("{name}-{index}@invitee.example");
    let addresses = (0..count).map(address).collect();
    invite_each(database, guestlist, teams, addresses).await?;
    Ok(began.elapsed())
}

/// Invites people, each in its own transaction, to the organizations in turn.
pub(crate) async fn invite_each(
    database: &Database,
    guestlist: &Guestlist,
    teams: &[Team],
    addresses: Vec<String>,
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let (teams, addresses): (Arc<[Team]>, Arc<[String]>) = (teams.into(), addresses.into());
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (database, guestlist) = (database.clone(), guestlist.clone());
        let (next, teams) = (Arc::clone(&next), Arc::clone(&teams));
        let addresses = Arc::clone(&addresses);
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(address) = addresses.get(index) else {
                    return anyhow::Ok(());
                };
                let team = &teams[index % teams.len()];
                invite(&database, &guestlist, team, address).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Invites one person in its own transaction.
pub(crate) async fn invite(
    database: &Database,
    guestlist: &Guestlist,
    team: &Team,
    address: &str,
) -> Result<(), Error> {
    let email = address.parse().expect("letters, digits and hyphens");
    let role = "agent".parse().expect("a role of the preset");
    let mut transaction = database.begin().await?;
    guestlist
        .act(Actor::member(&team.owner))
        .in_organization(team.id)
        .invite(&mut transaction, Invite::new(email, role))
        .await?;
    transaction.commit().await
}
