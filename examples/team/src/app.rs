//! What every request works with.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::FromRef;
use guestlist::{Database, Guestlist, Transaction};
use guestlist_jobs::Doorbell;
use guestlist_jobs::mailer::Mailer;
use guestlist_jobs::sessions::SessionStore;

use crate::attempts::Attempts;
use crate::config::Config;

/// The application's tools, made once and shared.
#[derive(Clone)]
pub(crate) struct App(Arc<Tools>);

pub(crate) struct Tools {
    pub(crate) config: Config,
    pub(crate) database: Database,
    /// Guestlist, configured as in the worker.
    pub(crate) guestlist: Guestlist,
    /// Sends the letters of our own; those of Guestlist are the worker's.
    pub(crate) mailer: Mailer,
    /// Where sessions are, so that a removal can wait until they are gone.
    pub(crate) session_stores: Vec<Arc<dyn SessionStore>>,
    /// Wakes the worker where it is in this process.
    pub(crate) doorbell: Option<Doorbell>,
    /// How often passwords were tried.
    pub(crate) attempts: Attempts,
    /// Where letters are written to, where nobody but the developer reads them.
    pub(crate) mailbox: Option<PathBuf>,
}

impl App {
    pub(crate) fn new(tools: Tools) -> Self {
        Self(Arc::new(tools))
    }

    /// Commits, and wakes the worker for what was promised in the transaction.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<(), guestlist::Error> {
        transaction.commit().await?;
        if let Some(doorbell) = &self.doorbell {
            doorbell.ring();
        }
        Ok(())
    }

    /// What people read for a role; its name where the role model does not know it any more.
    pub(crate) fn role_title<'a>(&'a self, role: &'a guestlist::Role) -> &'a str {
        let definition = self.guestlist.role_model().get(role);
        definition.map_or(role.as_str(), |definition| definition.display_name())
    }
}

impl std::ops::Deref for App {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.0
    }
}

impl FromRef<App> for Database {
    fn from_ref(app: &App) -> Self {
        app.database.clone()
    }
}
