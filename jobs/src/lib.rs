//! The worker of Guestlist: it delivers what each change promised.
//!
//! [`Worker`] is the whole of it: the relay leases due rows of the outbox, the [`queue`] hands
//! them to the jobs, the jobs write letters and end sessions, and one place settles the rows.
//! A host may run it in its own process, or run the `guestlist` command beside it, which is the
//! same worker [configured](config) by the environment.

pub mod config;
pub mod context;
pub mod endpoint;
pub mod job;
mod leases;
pub mod letters;
pub mod mail;
pub mod mailer;
mod metrics;
pub mod monitor;
pub mod queue;
mod relay;
mod scheduler;
pub mod sessions;
mod settle;
mod skew;
pub mod work;
pub mod worker;

pub use context::Context;
pub use monitor::Monitor;
pub use skew::{clock_skew, is_too_much as is_too_much_skew};
pub use worker::{Settings, Worker};
