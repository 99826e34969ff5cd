//! Team membership for Rust applications: invitations, roles and removal.
//!
//! People are invited by e-mail with a role, accept, change role, leave and are removed. Every
//! operation of [`Guestlist`] runs in the transaction that the host lends it, so the change, its
//! audit [`Event`] and the outbox messages for the worker (a letter, the end of sessions) are
//! committed together with the host's own writes, or not at all. A worker carries the messages out.
//!
//! # Quick start
//!
//! ```
//! use guestlist::{Actor, Guestlist, Invite, Key, KeyRing, User};
//! # #[cfg(feature = "sqlite")]
//! use sqlx::SqlitePool;
//!
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! # #[cfg(feature = "sqlite")]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = SqlitePool::connect("sqlite::memory:").await?;
//!     guestlist::migrate(&pool).await?;
//!
//!     // Once, when the application starts. Store the keys: the worker signs links with the same ones.
//!     let keys = KeyRing::of(Key::generate());
//!     let guestlist = Guestlist::builder().key_ring(keys).build();
//!
//!     // Your transaction: what you write in it and what Guestlist writes commit together.
//!     let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
//!     let olivia = User::new("olivia".parse()?, "olivia@acme.example".parse()?);
//!     let acme = guestlist.create(&mut *tx, "Acme".parse()?, &olivia).await?;
//!     let invite = Invite::new("bob@acme.example".parse()?, "agent".parse()?);
//!     let invitation = guestlist
//!         .act(Actor::member(&olivia.id))
//!         .in_organization(acme.id)
//!         .invite(&mut *tx, invite)
//!         .await?;
//!     tx.commit().await?; // from here on the worker mails Bob his link
//!
//!     // The link carries this token. The page behind it reads; only a POST accepts.
//!     let token = guestlist.token(&invitation)?;
//!     let opened = guestlist.open(&mut *pool.acquire().await?, token.expose()).await?;
//!     assert_eq!(opened.organization, acme.id);
//!
//!     // Bob is signed in, and you have proof that the address is his.
//!     let bob = User::new("bob".parse()?, "bob@acme.example".parse()?);
//!     let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
//!     guestlist.accept(&mut *tx, token.expose(), &bob).await?;
//!     let session = "the key of his session in your store".parse()?;
//!     guestlist.record_session(&mut *tx, acme.id, &bob.id, &session).await?;
//!     tx.commit().await?;
//!
//!     // Your authorization check, once for each request: it reads the database once.
//!     let mut connection = pool.acquire().await?;
//!     let access = guestlist.access(&mut *connection, &bob.id, acme.id).await?;
//!     let access = access.ok_or("bob has no access")?; // None too while he is suspended
//!     assert!(access.allows("inbox.reply"));
//!     assert!(!access.allows("billing.manage"));
//!     Ok(())
//! }
//! ```
//!
//! The repository's `docs/guide.md` goes from an empty axum project to a team page that works, with
//! the host's own users, sessions and transactions.
//!
//! # Transactions are lent
//!
//! An operation takes [`impl Lend`](Lend): `&mut *tx` of an sqlx transaction on Postgres or
//! SQLite. It runs its statements there and never begins, commits or rolls back. One that changes
//! something refuses a connection without an open transaction ([`Error::NoTransaction`]), because
//! its parts would be committed one by one. One that only reads takes any connection, and so does
//! [`forget_session`](Guestlist::forget_session), a single statement.
//!
//! - After an [`Error`] roll back. [`Error::Database`] requires it; after a refusal it undoes the other
//!   writes of the transaction, which belong to the refused change.
//! - On SQLite begin with `BEGIN IMMEDIATE` (`pool.begin_with("BEGIN IMMEDIATE")`): a transaction
//!   that first reads and later writes fails if another one wrote in between, instead of waiting for
//!   it. With a file, use the write-ahead log, and leave foreign keys on, as sqlx does. [`Database`]
//!   does all of this, for programs that choose between the two databases at run time.
//! - Every change locks its organization first, until the transaction ends. Keep transactions short,
//!   and change several organizations in the order of their ids. A transaction that still conflicts
//!   with another one fails with [`Error::Conflict`]; run it again.
//!
//! [`migrate`] creates the tables, all named `guestlist_…`, beside the host's own.
//!
//! # What a host does itself
//!
//! - It signs people in and passes a [`User`], with the host's own [`UserId`] and an address that the
//!   host verified.
//! - It calls [`access`](Guestlist::access) and [`Access::allows`] before an action that needs a
//!   permission. Each call reads the database, so access ends at the commit that removes a member.
//! - It calls [`open`](Guestlist::open) for the page behind a link, which changes nothing, and
//!   [`accept`](Guestlist::accept) or [`decline`](Guestlist::decline) only on a POST, since
//!   mail scanners follow links.
//! - It calls [`record_session`](Guestlist::record_session) at sign-in if sessions should end with the
//!   membership.
//! - It shows refusals: variants of [`Error`] with their data. [`Error::fault`] tells if a rule, the
//!   input or the infrastructure caused an error, and [`Error::code`] is a stable word for programs.
//!
//! A [`RoleModel`] defines the roles and their rights: one of two presets or the host's own. A
//! [`KeyRing`] signs links; a host that only invites needs none. [`Limits`] bound the number of letters.
//!
//! # The worker
//!
//! The package `guestlist-jobs` in the same repository is the worker and the command `guestlist`. It
//! leases due messages from the [`outbox`], mails letters, records expiry and purges sessions, in a
//! process of its own or in the host's. It is configured with the same keys, audience and role model
//! as the host. The library's functions for it are in [`outbox`] and [`worker`].
//!
//! # Cargo features
//!
//! - `postgres` and `sqlite`, both on by default; each works alone, and one of them is needed.
//! - `opentelemetry`, off by default: a letter belongs to the trace of the request that caused it. The
//!   current span of an operation is stored with its messages, through `tracing-opentelemetry`, and
//!   the worker's spans continue it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod account_deletion;
mod acting;
mod actor;
mod attempt;
mod batched_query;
mod bounce;
mod clock;
mod connection;
mod database;
mod email_address;
mod envelope;
mod error;
mod event;
mod guestlist;
mod id;
mod invitation;
mod key_ring;
mod letter_limits;
mod limits;
mod locale;
mod lock;
mod mail_pause;
mod membership;
mod migrate;
mod name;
mod organization;
pub mod outbox;
mod page;
mod personal_message;
mod read_only;
mod retention;
mod right;
mod role;
mod role_model;
mod seal;
mod seat_count;
mod seats;
mod session;
mod smtp_reply_line;
mod status;
mod stored_text;
mod suppression;
mod text;
mod text_enum;
mod token;
mod trace_parent;
mod tried_letters;
mod user;
pub mod worker;

pub use crate::access::Access;
pub use crate::account_deletion::Forgotten;
pub use crate::acting::{Acting, ActingIn};
pub use crate::actor::{Actor, Attribution, AuditText, Grantor, InvalidAuditText, Origin};
pub use crate::attempt::{Attempt, AttemptDetail};
pub use crate::bounce::{Bounce, BounceEffect, BounceKind};
pub use crate::clock::{Clock, ManualClock};
pub use crate::connection::{Connection, Lend};
pub use crate::database::{Database, PooledConnection, Transaction};
pub use crate::email_address::{EmailAddress, InvalidEmailAddress};
pub use crate::envelope::SentLetter;
pub use crate::error::{Action, Error, Fault, LimitKind};
pub use crate::event::{Addressee, Event, EventKind};
pub use crate::guestlist::{Builder, Guestlist, ResendPolicy};
pub use crate::id::{
    AttemptId, EventId, InvalidSessionKey, InvalidUserId, InvitationId, MessageId, OrganizationId,
    SessionKey, UserId,
};
pub use crate::invitation::{Filter, Invitation, Invite, Outcome};
pub use crate::key_ring::{InvalidKeyRing, Key, KeyRing};
pub use crate::limits::{InvalidLimits, Limit, Limits};
pub use crate::locale::{InvalidLocale, Locale};
pub use crate::membership::Membership;
pub use crate::migrate::{Schema, migrate};
pub use crate::name::{InvalidName, Name};
pub use crate::organization::Organization;
pub use crate::outbox::Ticket;
pub use crate::page::{Cursor, Page, Paging};
pub use crate::personal_message::{InvalidMessage, PersonalMessage};
pub use crate::role::{InvalidRole, Role};
pub use crate::role_model::{InvalidRoleModel, RoleDefinition, RoleModel};
pub use crate::seats::{InvalidSeats, Seats};
pub use crate::status::{Delivery, Status};
pub use crate::token::Token;
pub use crate::user::User;
