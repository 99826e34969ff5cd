//! The application state that request handlers share.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::FromRef;
use guestlist::{Database, Guestlist, Transaction};
use guestlist_jobs::Waker;
use guestlist_jobs::mailer::Mailer;
use guestlist_jobs::sessions::SessionStore;

use crate::attempts::Attempts;
use crate::config::Config;

/// A cheap handle to the shared state, which is created once.
#[derive(Clone)]
pub(crate) struct App(Arc<State>);

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) database: Database,
    /// Guestlist, with the same configuration as the worker.
    pub(crate) guestlist: Guestlist,
    /// Sends this application's own letters. The worker sends Guestlist's.
    pub(crate) mailer: Mailer,
    /// The session stores. Removing a member purges their sessions from these before the response.
    pub(crate) session_stores: Vec<Arc<dyn SessionStore>>,
    /// Wakes the worker if it runs in this process.
    pub(crate) waker: Option<Waker>,
    /// Limits how often passwords can be tried.
    pub(crate) attempts: Attempts,
    /// The folder that letters are written to, if only the developer can read the mailbox page.
    pub(crate) mailbox: Option<PathBuf>,
}

impl App {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// Commits the transaction and wakes the worker to run the jobs that the transaction created.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<(), guestlist::Error> {
        transaction.commit().await?;
        if let Some(waker) = &self.waker {
            waker.wake();
        }
        Ok(())
    }

    /// Returns the display name of a role, or its plain name if the role model no longer has the role.
    pub(crate) fn role_title<'a>(&'a self, role: &'a guestlist::Role) -> &'a str {
        let definition = self.guestlist.role_model().get(role);
        definition.map_or(role.as_str(), |definition| definition.display_name())
    }
}

impl std::ops::Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl FromRef<App> for Database {
    fn from_ref(app: &App) -> Self {
        app.database.clone()
    }
}
