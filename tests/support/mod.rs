//! A team for tests, on either database.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{
    Actor, Database, Error, Event, Guestlist, Invitation, InvitationId, Invite, Key, KeyRing,
    Limits, ManualClock, Membership, Organization, Paging, Transaction, User, UserId, outbox,
};

/// Runs every test on both databases, each in a schema or file of its own.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($team:ident: Team) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn scenario($team: $crate::support::Team) $body

            #[cfg(feature = "postgres")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn on_postgres() {
                scenario($crate::support::Team::on($crate::postgres::schema().await).await).await;
            }

            #[cfg(feature = "sqlite")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn on_sqlite() {
                let folder = tempfile::tempdir().expect("a temporary folder");
                scenario($crate::support::Team::on($crate::sqlite::file(folder.path()).await).await).await;
            }
        })+
    };
}

/// An organization owned by Olivia, with a clock that the test moves.
#[derive(Clone)]
pub struct Team {
    pub database: Database,
    pub guestlist: Guestlist,
    pub clock: ManualClock,
    pub keys: KeyRing,
    pub organization: Organization,
}

pub const OLIVIA: &str = "olivia";

impl Team {
    pub async fn on(database: Database) -> Self {
        guestlist::migrate(&database)
            .await
            .expect("the schema is created");
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let clock = ManualClock::starting_at(start);
        let keys = KeyRing::of(Key::generate());
        let guestlist = builder(&clock, &keys).build();
        let mut tx = database.begin().await.expect("a transaction");
        let organization = guestlist
            .create(&mut tx, name("Acme"), &person(OLIVIA))
            .await
            .expect("the organization is created");
        tx.commit().await.expect("committed");
        Self {
            database,
            guestlist,
            clock,
            keys,
            organization,
        }
    }

    /// The same team with another configuration.
    pub fn configured(
        &self,
        configure: impl FnOnce(guestlist::Builder) -> guestlist::Builder,
    ) -> Self {
        Self {
            guestlist: configure(builder(&self.clock, &self.keys)).build(),
            ..self.clone()
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.guestlist.now()
    }

    pub fn advance_clock(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    pub async fn begin(&self) -> Transaction {
        self.database.begin().await.expect("a transaction")
    }

    /// Runs one mutation in a transaction of its own and commits only if it succeeded.
    pub async fn in_transaction<T>(
        &self,
        mutation: impl AsyncFnOnce(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tx = self.begin().await;
        let result = mutation(&mut tx).await;
        match result {
            Ok(_) => tx.commit().await.expect("committed"),
            Err(_) => tx.rollback().await.expect("rolled back"),
        }
        result
    }

    pub async fn invite(&self, actor: &str, email: &str, role: &str) -> Result<Invitation, Error> {
        let invite = self.invitation_of(email, role);
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(self.organization.id)
                .invite(tx, invite)
                .await
        })
        .await
    }

    pub fn invitation_of(&self, email: &str, role: &str) -> Invite {
        let email = email.parse().expect("an address");
        Invite::new(email, role.parse().expect("a role"))
    }

    pub async fn resend(&self, actor: &str, id: InvitationId) -> Result<Invitation, Error> {
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .resend(tx, id)
                .await
        })
        .await
    }

    pub async fn revoke(&self, actor: &str, id: InvitationId) -> Result<Invitation, Error> {
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .revoke(tx, id)
                .await
        })
        .await
    }

    pub async fn accept(&self, token: &str, who: &User) -> Result<Membership, Error> {
        self.in_transaction(async |tx| self.guestlist.accept(tx, token, who).await)
            .await
    }

    pub async fn decline(&self, token: &str) -> Result<Invitation, Error> {
        self.in_transaction(async |tx| self.guestlist.decline(tx, token).await)
            .await
    }

    pub async fn change_role(
        &self,
        actor: &str,
        member: &str,
        role: &str,
    ) -> Result<Membership, Error> {
        let role = role.parse().expect("a role");
        let id = self.organization.id;
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(id)
                .change_role(tx, &user(member), &role)
                .await
        })
        .await
    }

    pub async fn remove(&self, actor: &str, member: &str) -> Result<(), Error> {
        let id = self.organization.id;
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(id)
                .remove(tx, &user(member))
                .await
        })
        .await
    }

    pub async fn suspend(&self, actor: &str, member: &str) -> Result<Membership, Error> {
        let id = self.organization.id;
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(id)
                .suspend(tx, &user(member))
                .await
        })
        .await
    }

    pub async fn reinstate(&self, actor: &str, member: &str) -> Result<Membership, Error> {
        let id = self.organization.id;
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(id)
                .reinstate(tx, &user(member))
                .await
        })
        .await
    }

    pub async fn leave(&self, actor: &str) -> Result<(), Error> {
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(self.organization.id)
                .leave(tx)
                .await
        })
        .await
    }

    pub async fn transfer(&self, actor: &str, to: &str) -> Result<Membership, Error> {
        let id = self.organization.id;
        self.in_transaction(async |tx| {
            self.guestlist
                .act(Actor::member(&user(actor)))
                .in_organization(id)
                .transfer_ownership(tx, &user(to))
                .await
        })
        .await
    }

    /// Makes a member through an invitation by Olivia, accepted by its link.
    pub async fn join(&self, who: &str, role: &str) -> Membership {
        let invitation = self
            .invite(OLIVIA, &address(who), role)
            .await
            .expect("invited");
        self.accept(&self.token(&invitation), &person(who))
            .await
            .expect("accepted")
    }

    pub fn token(&self, invitation: &Invitation) -> String {
        self.guestlist
            .token(invitation)
            .expect("a key")
            .expose()
            .to_owned()
    }

    pub async fn membership(&self, who: &str) -> Option<Membership> {
        let mut tx = self.begin().await;
        let member = self
            .guestlist
            .find_member(&mut tx, self.organization.id, &user(who))
            .await
            .expect("read");
        member.filter(|member| !member.is_suspended())
    }

    /// Reads whether the member has access and their role carries the permission.
    pub async fn allows(&self, who: &str, permission: &str) -> bool {
        let mut tx = self.begin().await;
        let access = self
            .guestlist
            .access(&mut tx, &user(who), self.organization.id)
            .await
            .expect("read");
        access.is_some_and(|access| access.allows(permission))
    }

    pub async fn role_of(&self, who: &str) -> Option<String> {
        self.membership(who)
            .await
            .map(|membership| membership.role.to_string())
    }

    pub async fn invitation(&self, id: InvitationId) -> Invitation {
        let mut tx = self.begin().await;
        self.guestlist
            .invitation(&mut tx, id)
            .await
            .expect("read")
            .expect("there")
    }

    pub async fn events(&self) -> Vec<Event> {
        let mut tx = self.begin().await;
        let paging = Paging::first(Paging::MAX_LIMIT);
        self.guestlist
            .events(&mut tx, self.organization.id, &paging)
            .await
            .expect("read")
            .items
    }

    /// The kinds of all events, oldest first.
    pub async fn history(&self) -> Vec<&'static str> {
        self.events()
            .await
            .iter()
            .map(|event| event.kind.as_str())
            .collect()
    }

    /// The kinds of the waiting messages, oldest first.
    pub async fn messages(&self) -> Vec<String> {
        let mut tx = self.begin().await;
        let messages = outbox::list(&mut tx, self.now(), outbox::State::Ready, None, 1000)
            .await
            .expect("read");
        messages.into_iter().map(|message| message.kind).collect()
    }
}

fn builder(clock: &ManualClock, keys: &KeyRing) -> guestlist::Builder {
    let limits = Limits::none().resend_interval(Duration::from_secs(60));
    Guestlist::builder()
        .clock(clock)
        .key_ring(keys.clone())
        .limits(limits)
}

pub fn name(text: &str) -> guestlist::Name {
    text.parse().expect("a name")
}

/// The actor of a change made by a member.
pub fn member(id: &str) -> Actor {
    Actor::member(&user(id))
}

pub fn user(id: &str) -> UserId {
    id.parse().expect("a user id")
}

pub fn address(who: &str) -> String {
    format!("{who}@example.com")
}

/// A user of the host with a verified address of their own.
pub fn person(who: &str) -> User {
    User::new(user(who), address(who).parse().expect("an address"))
}

/// The host as an actor.
pub fn the_host() -> guestlist::Actor {
    guestlist::Actor::host("a test".parse().expect("a reason"))
}
