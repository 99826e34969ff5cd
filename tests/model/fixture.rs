//! The library on a real database: performs an operation and returns its answer.

pub mod call;
mod task;
mod worker_step;

use guestlist::{
    Database, Error, Guestlist, Invitation, InvitationId, Key, KeyRing, Lend as _, ManualClock,
    OrganizationId, User,
};

use crate::accounts::{Account, Address};
use crate::history::{Conditions, Link, Settings};
use crate::limits;
use crate::operation::{Answer, Operation, Presented, Refusal};
use crate::reading::Reading;
use crate::reference_model::ReferenceModel;

pub struct Fixture {
    pub database: Database,
    pub clock: ManualClock,
    pub guestlist: Guestlist,
    without_keys: Guestlist,
    other_audience: Guestlist,
    other_key: Guestlist,
    /// The library's ids and tokens, by the model's indexes.
    pub organizations: Vec<OrganizationId>,
    pub invitations: Vec<InvitationId>,
    pub tokens: Vec<String>,
    /// The lists as read after the last operation.
    pub reading: Reading,
}

impl Fixture {
    pub fn new(database: Database, clock: ManualClock, settings: Settings) -> Self {
        let keys = KeyRing::of(Key::generate());
        let builder = || {
            Guestlist::builder()
                .clock(&clock)
                .role_model(settings.roles.role_model())
                .lifetime(settings.lifetime.to_std().expect("a lifetime"))
                .resend_policy(settings.resend_policy())
                .seats(settings.seats())
                .limits(limits::limits(settings.tight_limits))
        };
        let other_key = KeyRing::of(Key::generate());
        Self {
            database,
            guestlist: builder().key_ring(keys.clone()).build(),
            without_keys: builder().build(),
            other_audience: builder().key_ring(keys).audience("other").build(),
            other_key: builder().key_ring(other_key).build(),
            organizations: Vec::new(),
            invitations: Vec::new(),
            tokens: Vec::new(),
            reading: Reading::default(),
            clock,
        }
    }

    /// Performs the operation in a transaction of its own and commits it even after a refusal: a
    /// refused operation has written nothing, so there is nothing to roll back.
    pub async fn perform(&mut self, operation: &Operation, model: &ReferenceModel) -> Vec<Answer> {
        let database = self.database.clone();
        let results = match operation.conditions {
            Conditions::WithoutTransaction => {
                let mut connection = database.acquire().await.expect("a connection");
                self.call(&mut connection.lend(), operation, model).await
            }
            _ => {
                let mut tx = database.begin().await.expect("a transaction");
                let results = self.call(&mut tx.lend(), operation, model).await;
                tx.commit().await.expect("committed");
                results
            }
        };
        results
            .into_iter()
            .map(|result| result.map_err(|error| self.refusal(&error)))
            .collect()
    }

    /// Reads all lists again and creates the tokens of the links that the model added.
    pub async fn read_all(&mut self, model: &ReferenceModel) {
        let mut connection = self.database.acquire().await.expect("a connection");
        self.reading = Reading::take(&self.guestlist, &mut connection, &self.organizations).await;
        for link in &model.links[self.tokens.len()..] {
            let invitation = self.reading.invitation(self.invitations[link.invitation]);
            let token = self.token(&self.guestlist, invitation.expect("just written"));
            self.tokens.push(token);
        }
    }

    fn refusal(&self, error: &Error) -> Refusal {
        let detail = match error {
            Error::Forbidden { role, .. } | Error::UnknownRole { role, .. } => role.to_string(),
            Error::AlreadyPending { invitation } => {
                let index = self.invitations.iter().position(|id| id == invitation);
                index.expect("an invitation of this history").to_string()
            }
            Error::InvitationClosed { status } => status.to_string(),
            Error::InvitationExpired { at } => at.to_string(),
            Error::Throttled { limit, retry_after } => format!("{limit} {}", retry_after.as_secs()),
            Error::NoSeat { seats } => seats.to_string(),
            Error::LastOwner { organizations, .. } => {
                let index = |id| self.organizations.iter().position(|known| known == id);
                let indexes: Vec<_> = organizations.iter().filter_map(index).collect();
                format!("{indexes:?}")
            }
            Error::Database(fault) | Error::Conflict(fault) => fault.to_string(),
            _ => String::new(),
        };
        Refusal {
            code: error.code(),
            detail,
        }
    }

    fn guestlist(&self, operation: &Operation) -> Guestlist {
        match operation.conditions {
            Conditions::WithoutKeys => self.without_keys.clone(),
            _ => self.guestlist.clone(),
        }
    }

    fn organization(&self, index: usize) -> OrganizationId {
        self.organizations[index]
    }

    fn invitation(&self, index: Option<usize>) -> InvitationId {
        let unknown = || uuid::Uuid::nil().into();
        index.map_or_else(unknown, |index| self.invitations[index])
    }

    fn token(&self, guestlist: &Guestlist, invitation: &Invitation) -> String {
        guestlist
            .token(invitation)
            .expect("a key")
            .expose()
            .to_owned()
    }

    fn presented(&self, operation: &Operation) -> String {
        let (shape, newest) = match operation.link {
            Presented::Made(link) => return self.tokens[link].clone(),
            Presented::Forged(shape, newest) => (shape, newest),
        };
        let invitation = operation
            .invitation
            .and_then(|index| self.reading.invitation(self.invitations[index]));
        match (shape, newest, invitation) {
            (Link::Flipped(index), Some(newest), _) => flipped(&self.tokens[newest], index),
            (Link::OtherAudience, _, Some(it)) => self.token(&self.other_audience, it),
            (Link::OtherKey, _, Some(it)) => self.token(&self.other_key, it),
            _ => "nonsense".to_owned(),
        }
    }
}

fn flipped(token: &str, index: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let index = index % bytes.len();
    bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

fn user((account, address, is_verified): (Account, &Address, bool)) -> User {
    let user = User::new(parse(account), parse(address.typed));
    if is_verified { user } else { user.unverified() }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("well formed")
}
