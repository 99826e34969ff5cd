//! The worker of Guestlist: delivers what each change promised.
//!
//! [`Worker`] contains all parts: the relay leases due rows of the outbox, the [`queue`] hands them
//! to the jobs, the jobs send letters and end sessions, and one place settles the rows. A host runs
//! it in its own process, or runs the `guestlist` command, which is the same worker
//! [configured](config) by the environment.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt_log;
mod back_off;
mod batch;
pub mod config;
mod context;
mod deadline;
mod delivery;
pub mod endpoint;
mod envelope_from;
mod failpoint;
mod job;
mod kept_connection;
mod leases;
pub mod letters;
mod loader;
pub mod mail;
mod mail_pause;
mod mailbox;
pub mod mailer;
mod metrics;
pub mod monitor;
mod next;
mod panic_text;
pub mod queue;
mod rate;
mod rate_limiter;
mod redis_connection;
mod redis_url;
mod relay;
mod restart_on_panic;
mod scheduler;
pub mod sessions;
mod settle;
mod skew;
mod smtp;
mod suspects;
mod timestamped;
mod trace;
pub mod work;
mod worker;
mod worker_id;

pub use attempt_log::AttemptLog;
pub use back_off::BackOff;
pub use context::Context;
pub use envelope_from::{EnvelopeFrom, InvalidEnvelopeFrom};
pub use failpoint::HAS_FAIL_POINTS;
pub use mailbox::{InvalidMailbox, Mailbox};
pub use monitor::Monitor;
pub use rate::{InvalidRate, Rate};
pub use rate_limiter::RateLimiter;
pub use redis_url::{InvalidRedisUrl, RedisUrl};
pub use relay::Waker;
pub use skew::{clock_skew, is_too_much as is_too_much_skew};
pub use worker::{Settings, Worker};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
