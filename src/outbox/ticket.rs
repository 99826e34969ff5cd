//! The pair of numbers that names one lease of one message.

use sqlx::FromRow;

use crate::id::MessageId;

/// A message and the generation of a lease on it. The worker passes it along in the place of the
/// lease: once the message is leased again, the ticket is stale and changes nothing.
///
/// Its text is `message:generation`.
///
/// ```
/// # use guestlist::{MessageId, Ticket};
/// # fn example(message: MessageId) {
/// let ticket = Ticket::new(message, 3);
/// assert_eq!(ticket.to_string(), format!("{message}:3"));
/// # }
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, FromRow, derive_more::Display,
)]
#[display("{message}:{generation}")]
#[non_exhaustive]
pub struct Ticket {
    /// The message.
    #[sqlx(rename = "id")]
    pub message: MessageId,
    /// The fencing token: it increases with every lease of the message.
    pub generation: i64,
}

impl Ticket {
    /// Makes a ticket, such as one that was read from a queue.
    pub fn new(message: MessageId, generation: i64) -> Self {
        Self {
            message,
            generation,
        }
    }
}
