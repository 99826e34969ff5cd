//! Letters that wait, as the outbox keeps them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use guestlist::outbox::{self, Cost, Message};
use guestlist::{Actor, Guestlist, Invite, Key, KeyRing, OrganizationId, User};
use sqlx::sqlite::SqlitePoolOptions;
use tokio::time::Instant;

use crate::mail::Mail;
use crate::mailer::LetterKey;

/// A letter and what became of it.
pub(super) struct Letter {
    pub(super) key: LetterKey,
    pub(super) mail: Mail,
    pub(super) message: Message,
    /// The time from which it may be tried.
    pub(super) due: Instant,
    /// The time at which it was written.
    pub(super) promised: Instant,
    pub(super) state: State,
    /// The times at which the server refused it for the recipient to be shown.
    pub(super) shown: Vec<Instant>,
}

/// The state of a letter, as far as an inviter or an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Deferred,
    Sent(Instant),
    Failed { suppresses: bool, at: Instant },
    Dead,
}

impl Letter {
    /// Makes a letter to recipient `number`, of one of three organizations and in one of five domains.
    pub(super) fn new(number: usize, name: &str, message: &Message) -> Self {
        let to = format!("{name}{number}@domain{}.example", number % 5);
        let organization = uuid::Uuid::from_u128(number as u128 % 3 + 1).to_string();
        let organization: OrganizationId = organization.parse().expect("an id");
        let from = "team@example.org".parse().expect("a sender");
        let body = "Subject: Join us\r\n\r\nHello\r\n";
        Self {
            key: LetterKey::new(&to, Some(organization)),
            mail: Mail::new(
                &from,
                to.parse().expect("an address"),
                "1@example.org",
                body,
            ),
            message: message.clone(),
            due: Instant::now(),
            promised: Instant::now(),
            state: State::Queued,
            shown: Vec::new(),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Queued | State::Deferred)
    }

    /// Puts the letter back, as `guestlist::outbox::postpone` does.
    pub(super) fn postpone(&mut self, now: DateTime<Utc>, after: Duration, cost: Cost) {
        self.due = Instant::now() + after;
        self.message.attempts += i64::from(!matches!(cost, Cost::Nothing | Cost::NotBegun));
        self.message.faults += i64::from(cost == Cost::Fault);
        self.message.refusals += i64::from(cost == Cost::Refusal);
        if cost == Cost::Refusal {
            self.message.refused_at.get_or_insert(now);
        }
    }
}

/// Returns the message of a letter that was not tried yet. A message is made by the library only, so this
/// one is read from a database in memory.
pub(super) fn message() -> Message {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect("sqlite::memory:").await.expect("a database");
        guestlist::migrate(&pool).await.expect("a schema");
        let keys = KeyRing::of(Key::generate());
        let guestlist = Guestlist::builder().key_ring(keys).build();
        let owner = User::new(
            "olivia".parse().expect("an id"),
            "olivia@example.com".parse().expect("an address"),
        );
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("begun");
        let organization = guestlist
            .create(&mut *tx, "Acme".parse().expect("a name"), &owner)
            .await
            .expect("created");
        let invite = Invite::new(
            "bob@example.com".parse().expect("an address"),
            "agent".parse().expect("a role"),
        );
        let acting = guestlist
            .act(Actor::member(&owner.id))
            .in_organization(organization.id);
        acting.invite(&mut *tx, invite).await.expect("invited");
        let list = outbox::list(&mut *tx, guestlist.now(), outbox::State::Ready, None, 1).await;
        list.expect("read").remove(0)
    })
}
