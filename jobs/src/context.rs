//! The shared dependencies of all jobs.

use std::sync::Arc;

use guestlist::{Database, EmailAddress, Guestlist, InvitationId, Token};

use crate::envelope_from::EnvelopeFrom;
use crate::letters::{ExtraHeaders, Letters};
use crate::mailbox::Mailbox;
use crate::mailer::Mailer;
use crate::sessions::SessionStore;

/// The dependencies of the jobs, created once and shared.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// The database that holds the outbox.
    pub database: Database,
    /// The library, configured like the host's: same key ring, audience and role model.
    pub guestlist: Guestlist,
    /// The letters.
    pub letters: Letters,
    /// The mailer that delivers the letters.
    pub mailer: Mailer,
    /// The sender of the letters.
    pub from: Mailbox,
    /// The envelope sender of the letters; `None` uses the address of `from`.
    pub envelope_from: Option<EnvelopeFrom>,
    /// The mailbox that answers go to; `None` for the sender. Its address should be ASCII, because
    /// not every mail server accepts another.
    pub reply_to: Option<Mailbox>,
    /// The additional headers of the letters.
    pub headers: ExtraHeaders,
    /// Builds the link for a token.
    pub link: Arc<dyn Fn(&Token) -> String + Send + Sync>,
    /// The stores that sessions are purged from.
    pub sessions: Vec<Arc<dyn SessionStore>>,
}

impl Context {
    /// Creates the dependencies with the built-in letters and without session stores.
    pub fn new(
        database: Database,
        guestlist: Guestlist,
        mailer: Mailer,
        from: Mailbox,
        link: impl Fn(&Token) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            database,
            guestlist,
            letters: Letters::built_in(),
            mailer,
            from,
            envelope_from: None,
            reply_to: None,
            headers: ExtraHeaders::default(),
            link: Arc::new(link),
            sessions: Vec::new(),
        }
    }

    /// Returns the sender's domain, which is the right side of message ids.
    pub(crate) fn domain(&self) -> &str {
        self.from.address.domain()
    }

    /// Returns the envelope sender of a letter, which names that letter of an invitation if so
    /// configured. The address without an extension serves where there is no room for one.
    pub(crate) fn envelope_sender(&self, letter: Option<(InvitationId, i64)>) -> EmailAddress {
        let Some(EnvelopeFrom {
            address,
            is_extended,
        }) = &self.envelope_from
        else {
            return self.from.address.clone();
        };
        let extended = letter.filter(|_| *is_extended).and_then(|(id, number)| {
            let sender = self.guestlist.envelope_sender(address, id, number);
            sender.ok()
        });
        extended.unwrap_or_else(|| address.clone())
    }

    /// Returns why letters to `email` are suppressed, or `None` if they are not.
    pub(crate) async fn suppression(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<String>, guestlist::Error> {
        let mut connection = self.database.acquire().await?;
        let found =
            guestlist::worker::suppression(&mut connection, self.guestlist.now(), email).await?;
        Ok(found.map(|suppression| suppression.reason))
    }
}
