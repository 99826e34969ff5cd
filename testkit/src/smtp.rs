//! A mail server on 127.0.0.1 that receives letters and misbehaves by script.
//!
//! The common case is a server that accepts everything: [`SmtpServer::start`]. A [`Script`] says what it
//! offers and where it misbehaves. A [`Rule`] connects an [`Action`] with a [`Stage`] of the session, and
//! may be limited to recipients, to some uses, to a time, to a rate or to a number of connections.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
//!
//! let too_fast = "454 Throttling failure: Maximum sending rate exceeded.";
//! let too_many = Action::reply_and_hang_up("421 4.7.0 too many connections");
//! let server = Script::default()
//!     .offers("PIPELINING")
//!     .offers("AUTH PLAIN LOGIN")
//!     // Once: the first recipient is refused.
//!     .on(Stage::Rcpt, "550 5.1.1 no such user")
//!     // Always, for one domain.
//!     .rule(Rule::new(Stage::Rcpt, "451 4.7.1 greylisted").to("@slow.example"))
//!     // Every third connection is never greeted.
//!     .rule(Rule::new(Stage::Connect, Action::Stall).every(3))
//!     .rule(Rule::new(Stage::Connect, too_many).above_connections(4))
//!     .rule(Rule::new(Stage::End, too_fast).above_rate(14))
//!     .start()
//!     .await?;
//! println!("SMTP_URL={}", server.url());
//! server.add_rule(Rule::new(Stage::Mail, "451 4.3.0 queue unwritable"));
//! server.clear_rules(); // mended
//! # Ok::<(), guestlist_testkit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod authentication;
mod capabilities;
mod certificate;
mod client_stream;
mod rule;
mod script;
mod seen;
mod server;
mod session;
mod shared;
mod stage;

pub use self::action::Action;
pub use self::authentication::PASSWORD;
pub use self::certificate::Certificate;
pub use self::rule::Rule;
pub use self::script::{Decision, Script};
pub use self::seen::{ReceivedLetter, Seen};
pub use self::server::SmtpServer;
pub use self::stage::Stage;
