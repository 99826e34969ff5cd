//! The loan of a connection to one letter.

use std::sync::Arc;

use guestlist::EmailAddress;
use tracing::debug;

use crate::mail::Mail;
use crate::smtp::{Connection, Reply, SendGuard, SmtpError};

/// The pool that a lent connection goes back to.
pub(super) trait Lender: Send + Sync {
    /// Ends a loan. Called once for each loan.
    fn end(self: Arc<Self>, loan: EndedLoan);
}

/// The connection at the end of its loan.
pub(super) enum EndedLoan {
    /// The next letter may use it.
    Usable(Connection),
    /// It takes no more letters and is to be closed.
    UsedUp(Connection),
    /// It is closed.
    Closed,
}

/// A connection that is lent to one letter. Dropped unused it goes back; dropped while a letter is
/// being sent it is closed, so that a late reply is never taken for the answer to another letter.
pub(super) struct Lent {
    /// The pool, until the loan ends.
    lender: Option<Arc<dyn Lender>>,
    connection: Option<Connection>,
    letters_per_connection: u32,
}

impl Lent {
    pub(super) fn new(
        lender: Arc<dyn Lender>,
        connection: Connection,
        letters_per_connection: u32,
    ) -> Self {
        Self {
            lender: Some(lender),
            connection: Some(connection),
            letters_per_connection,
        }
    }

    /// Returns whether a letter was sent on the connection before, so that the server may have closed
    /// it since.
    pub(super) fn is_reused(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.letters() > 0)
    }

    /// Drops the connection if the server closed it, and returns whether it did.
    pub(super) fn drop_if_closed(&mut self) -> bool {
        self.connection.take_if(Connection::is_broken).is_some()
    }

    /// Checks without a letter that the server takes letters of this sender. After a failure the
    /// connection is closed.
    pub(super) async fn probe(&mut self, from: &EmailAddress) -> Result<(), SmtpError> {
        let mut connection = self.connection.take().expect("a connection for each loan");
        connection.probe(from).await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Sends a letter. The connection goes back to the pool if the next letter may use it.
    pub(super) async fn send(
        &mut self,
        mail: &Mail,
        guard: &SendGuard,
    ) -> Result<Reply, SmtpError> {
        let mut connection = self.connection.take().expect("a connection for each loan");
        let result = connection.send(mail, guard).await;
        let is_usable = match &result {
            Ok(_) => true,
            Err(error) => error.leaves_connection_usable(),
        };
        if is_usable && connection.is_in_step() {
            self.connection = Some(connection);
        }
        result
    }

    /// Ends the loan and closes the connection.
    pub(super) fn quit(mut self) {
        if let Some(connection) = self.connection.take() {
            self.end(EndedLoan::UsedUp(connection));
        }
    }

    /// Ends the loan after a letter: resets a refused transaction and gives the connection back.
    pub(super) async fn give_back(mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if let Err(error) = connection.reset().await {
            debug!(%error, "a connection was dropped: {error}");
            return;
        }
        if connection.letters() >= self.letters_per_connection {
            self.end(EndedLoan::UsedUp(connection));
        } else {
            self.connection = Some(connection);
        }
    }

    fn end(&mut self, loan: EndedLoan) {
        if let Some(lender) = self.lender.take() {
            lender.end(loan);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let loan = match self.connection.take() {
            Some(connection) => EndedLoan::Usable(connection),
            None => EndedLoan::Closed,
        };
        self.end(loan);
    }
}
