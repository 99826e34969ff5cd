//! The SMTP client: one connection from TCP to QUIT, with a deadline for each step.
//!
//! This room speaks the protocol and knows no job, queue or lease. lettre supplies the commands and
//! SASL; stream, deadlines and replies are implemented here, because no kept crate bounds the lines
//! of a reply, refuses data that arrived in clear before TLS, and tells a letter that was cut short
//! from one that was not answered.

mod account;
mod capabilities;
mod connection;
mod counters;
mod deadlines;
mod dial;
mod ehlo_name;
mod error;
mod hello;
mod reply;
mod secrets;
mod send_guard;
mod server;
mod sign_in;
mod stage;
mod stream;
pub(crate) mod tls;

pub use self::deadlines::Deadlines;
pub use self::ehlo_name::{EhloName, InvalidEhloName};

pub(crate) use self::account::Account;
pub(crate) use self::connection::Connection;
pub(crate) use self::counters::SmtpCounters;
pub(crate) use self::error::SmtpError;
pub(crate) use self::reply::{Enhanced, Reply};
pub(crate) use self::send_guard::SendGuard;
pub(crate) use self::server::{Security, Server};
pub(crate) use self::stage::Stage;
