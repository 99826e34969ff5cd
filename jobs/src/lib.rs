//! The worker of Guestlist: it delivers what each change promised.
//!
//! [`Worker`] is the whole of it: the relay leases due rows of the outbox, the [`queue`] hands
//! them to the jobs, the jobs write letters and end sessions, and one place settles the rows.

pub mod config;
pub mod demo;
pub mod doctor;
pub mod letters;
pub mod mail;
pub mod mailer;
pub mod queue;
pub mod work;
