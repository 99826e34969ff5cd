//! A worker that has sent letters already, so that its connections are open.

use super::WAIT_TIMEOUT;
use crate::bench::command::GuestlistProcess;
use crate::bench::environment::Environment;
use crate::bench::inviting::{Team, invite_many, teams};
use crate::bench::store::Store;

/// A worker with a database of its own and nothing left to do.
pub(crate) struct WarmWorker {
    pub(crate) store: Store,
    pub(crate) teams: Vec<Team>,
    pub(crate) worker: GuestlistProcess,
}

impl WarmWorker {
    /// Starts the worker and waits until it has sent this number of letters to `smtp_url`.
    pub(crate) async fn start(
        environment: &mut Environment,
        smtp_url: String,
        letters: u64,
    ) -> anyhow::Result<Self> {
        let guestlist = environment.guestlist()?;
        let store = environment.create_store().await?;
        let organizations = environment.amounts.organizations;
        let teams = teams(&store.database, &guestlist, organizations).await?;
        let worker = environment.start_worker(&store, smtp_url, &[])?;
        invite_many(&store.database, &guestlist, &teams, "early", letters).await?;
        store
            .wait_until_none("guestlist_outbox", WAIT_TIMEOUT)
            .await?;
        store.vacuum().await?;
        Ok(Self {
            store,
            teams,
            worker,
        })
    }
}
