//! What every job needs to do its work.

use std::sync::Arc;

use guestlist::{Database, EmailAddress, Guestlist, Token};

use crate::letters::{Letters, Mailbox};
use crate::mailer::Mailer;
use crate::sessions::SessionStore;

/// The tools of the jobs, made once and shared.
#[derive(Clone)]
pub struct Context {
    /// The database that holds the outbox.
    pub database: Database,
    /// The library, configured as in the host: same key ring, audience and role model.
    pub guestlist: Guestlist,
    /// The letters.
    pub letters: Letters,
    /// Who delivers them.
    pub mailer: Mailer,
    /// Who they come from.
    pub from: Mailbox,
    /// Makes the link of a token.
    pub link: Arc<dyn Fn(&Token) -> String + Send + Sync>,
    /// Where sessions are purged.
    pub sessions: Vec<Arc<dyn SessionStore>>,
}

impl Context {
    /// The domain letters come from, which their ids end in.
    pub(crate) fn domain(&self) -> &str {
        self.from
            .address
            .rsplit_once('@')
            .map_or("localhost", |(_, domain)| domain)
    }

    /// Why no letter goes to `email` any more, if so.
    pub(crate) async fn suppression(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<String>, guestlist::Error> {
        guestlist::worker::suppression(&mut self.database.acquire().await?, email).await
    }
}
