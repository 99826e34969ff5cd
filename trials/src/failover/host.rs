//! The host of a trial, which invites under load.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use guestlist::{Actor, Database, Guestlist, Invite, KeyRing, Limits, OrganizationId, UserId};
use tokio::time::{MissedTickBehavior, interval};

use crate::host::{OWNER, create_organization};

/// A host that invites until it is told to stop.
pub(super) struct Host {
    database: Database,
    guestlist: Guestlist,
    owner: UserId,
    organization: OrganizationId,
    /// Addresses whose invitation was committed.
    invited: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

impl Host {
    pub(super) async fn new(database: &Database, keys: KeyRing) -> anyhow::Result<Arc<Self>> {
        let guestlist = Guestlist::builder()
            .key_ring(keys)
            .limits(Limits::none())
            .build();
        let organization = create_organization(database, &guestlist).await?;
        Ok(Arc::new(Self {
            database: database.clone(),
            guestlist,
            owner: OWNER.parse()?,
            organization,
            invited: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        }))
    }

    /// Invites one by one, `rate` people per second.
    pub(super) async fn run(self: Arc<Self>, rate: u32) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            ticks.tick().await;
            if self.is_stopped.load(Relaxed) {
                break;
            }
            self.invite(vec![format!("p-{number}@invitee.example")])
                .await?;
        }
        Ok(())
    }

    pub(super) async fn invite(&self, emails: Vec<String>) -> anyhow::Result<()> {
        let invites = emails
            .iter()
            .map(|email| {
                let (email, role) = (email.parse()?, "agent".parse()?);
                Ok(Invite::new(email, role))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut transaction = self.database.begin().await?;
        let outcomes = self
            .guestlist
            .act(Actor::member(&self.owner))
            .in_organization(self.organization)
            .invite_all(&mut transaction, invites)
            .await?;
        transaction.commit().await?;
        for outcome in outcomes {
            outcome.context("an invitation was refused")?;
        }
        self.invited().extend(emails);
        Ok(())
    }

    /// Ends [`Self::run`].
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
    }

    pub(super) fn invited(&self) -> MutexGuard<'_, Vec<String>> {
        self.invited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
