//! The scripted mail server and its mailbox.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "smtp/client.rs"]
mod client;
#[path = "smtp/connections.rs"]
mod connections;
#[path = "smtp/extensions.rs"]
mod extensions;
#[path = "smtp/letters.rs"]
mod letters;
#[path = "smtp/replies.rs"]
mod replies;
