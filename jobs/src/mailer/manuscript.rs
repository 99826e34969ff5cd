//! A letter on its way to a sender that may be stale by the time a connection is ready.

use tokio::sync::oneshot;

use super::failure::Failure;
use crate::mail::Mail;
use crate::timestamped::Timestamped;

/// A rendered letter with a way to have it rendered again if it is stale: opening a connection may
/// take long, and the process may be paused.
pub(super) struct Manuscript {
    mail: Timestamped<Mail>,
    author: Option<oneshot::Sender<Request>>,
}

/// A request for the current letter. Dropping it without an answer withdraws the letter.
pub(super) type Request = oneshot::Sender<Manuscript>;

impl Manuscript {
    /// Wraps a letter that is never rendered again.
    pub(super) fn of(mail: Mail) -> Self {
        Self {
            mail: Timestamped::now(mail),
            author: None,
        }
    }

    /// Wraps a letter whose caller is asked to render it again if it is stale.
    pub(super) fn timestamped(mail: Timestamped<Mail>) -> (Self, oneshot::Receiver<Request>) {
        let (author, asked) = oneshot::channel();
        let manuscript = Self {
            mail,
            author: Some(author),
        };
        (manuscript, asked)
    }

    /// Returns the letter, rendered again at most once. A second round could keep the letter here
    /// for ever if the database is slow.
    pub(super) async fn current(&mut self) -> Result<&Mail, Failure> {
        if !self.mail.is_fresh()
            && let Some(author) = self.author.take()
        {
            let (request, written) = oneshot::channel();
            author.send(request).map_err(|_| Failure::Withdrawn)?;
            *self = written.await.map_err(|_| Failure::Withdrawn)?;
        }
        Ok(&self.mail.value)
    }
}
