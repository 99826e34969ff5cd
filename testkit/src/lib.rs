//! Tools for tests of an application with Guestlist.
//!
//! # Test your invitation flow in ten lines
//!
//! [`SmtpServer`] receives the letters, [`TestWorker`] sends them, and a [`Mailbox`]
//! finds the link. Nothing has to be installed: the worker's queue is in memory, and the mail server
//! is part of this crate.
//!
//! ```
//! # use guestlist::{Actor, Guestlist, Invite, Key, KeyRing, User};
//! # use sqlx::SqlitePool;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let pool = SqlitePool::connect(&format!("sqlite:{}?mode=rwc", folder.path().join("db").display())).await?;
//! # guestlist::migrate(&pool).await?;
//! # let guestlist = Guestlist::builder().key_ring(KeyRing::of(Key::generate())).build();
//! # let (olivia, bob) = (
//! #     User::new("olivia".parse()?, "olivia@acme.example".parse()?),
//! #     User::new("bob".parse()?, "bob@acme.example".parse()?),
//! # );
//! # let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
//! # let acme = guestlist.create(&mut *tx, "Acme".parse()?, &olivia).await?;
//! # tx.commit().await?;
//! use guestlist_testkit::{SmtpServer, TestWorker};
//!
//! let mail = SmtpServer::start().await?;
//! let worker = TestWorker::new(&pool, &guestlist, &mail).with_link("https://acme.example/join/");
//!
//! let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
//! let invite = Invite::new("bob@acme.example".parse()?, "agent".parse()?);
//! guestlist.act(Actor::member(&olivia.id)).in_organization(acme.id).invite(&mut *tx, invite).await?;
//! tx.commit().await?;
//!
//! worker.run_until_idle().await?;
//! let letter = mail.mailbox().last_to("bob@acme.example").expect("a letter to Bob");
//! let token = letter.link().and_then(|link| link.strip_prefix("https://acme.example/join/"));
//!
//! let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
//! guestlist.accept(&mut *tx, token.expect("a link"), &bob).await?;
//! tx.commit().await?;
//! # assert!(letter.subject.contains("Acme"), "{letter:?}");
//! # Ok(())
//! # }
//! ```
//!
//! If your test goes through your own pages, request `letter.link()` instead of calling `accept`.
//!
//! # Time
//!
//! Build the `Guestlist` with a [`ManualClock`], and a week passes at once:
//!
//! ```
//! # use guestlist::{Clock, Guestlist};
//! use guestlist_testkit::ManualClock;
//!
//! let clock = ManualClock::starting_at(chrono::Utc::now());
//! let guestlist = Guestlist::builder().clock(Clock::from(&clock)).build();
//! clock.advance(chrono::TimeDelta::days(7)); // what was invited before has expired
//! ```
//!
//! # Mistakes of mail servers
//!
//! A [`Script`](smtp::Script) tells the mail server to refuse, to hang up or to keep silent at any
//! command, so that a test shows what your application does then.
//!
//! # Postgres and Redis
//!
//! [`PostgresServer`] and [`RedisServer`] start a server of their own on a free port of 127.0.0.1,
//! with its data in a temporary folder. They can be killed and started again. Their programs must be
//! installed; an [`Error`] names what is missing and how to install it.
//!
//! A [`PgBouncer`] hands out the connections of a Postgres by transaction. [`PostgresServer::standby`] starts a server that follows another and can be promoted, and a
//! [`Forwarder`] stands for the name that moves from one to the other.
//!
//! # The end
//!
//! A server ends when its value is dropped, also by a panic. On Linux it ends together with the
//! process of the test too, however that ends, so a server in a `static` leaves nothing behind.

pub mod error;
mod folder;
pub mod forwarder;
pub mod mailbox;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod program;
pub mod redis;
pub mod smtp;
pub mod worker;

pub use error::Error;
pub use forwarder::Forwarder;
pub use guestlist::ManualClock;
pub use mailbox::Mailbox;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::PostgresServer;
pub use redis::RedisServer;
pub use smtp::SmtpServer;
pub use worker::TestWorker;
