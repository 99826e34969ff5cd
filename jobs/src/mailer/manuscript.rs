//! A letter on its way to a sender, which may be old once a connection is ready for it.

use tokio::sync::oneshot;

use super::failure::Failure;
use crate::dated::Dated;
use crate::mail::Mail;

/// A letter, and who writes it again should it be old when it could leave: a connection may be slow to
/// open, and a process may be paused.
pub(super) struct Manuscript {
    mail: Dated<Mail>,
    author: Option<oneshot::Sender<Request>>,
}

/// Takes the letter as it is now. Dropping it withdraws the letter.
pub(super) type Request = oneshot::Sender<Manuscript>;

impl Manuscript {
    /// A letter that stays as it is.
    pub(super) fn of(mail: Mail) -> Self {
        Self {
            mail: Dated::now(mail),
            author: None,
        }
    }

    /// A letter whose author hears when it has to be written again.
    pub(super) fn dated(mail: Dated<Mail>) -> (Self, oneshot::Receiver<Request>) {
        let (author, asked) = oneshot::channel();
        let manuscript = Self {
            mail,
            author: Some(author),
        };
        (manuscript, asked)
    }

    /// The letter as it may leave now. What its author answers is not asked about again before it
    /// left, or a slow database would keep it here for ever.
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
