//! The library at work: does a deed on a real database, and says what it answered.

pub mod call;

use guestlist::{
    Connection, Database, Error, Guestlist, Invitation, InvitationId, Key, KeyRing, ManualClock,
    OrganizationId, User,
};

use crate::accounts::{Address, Person};
use crate::history::{Link, Manner, Settings};
use crate::limits;
use crate::operation::{Answer, Deed, Presented, Refusal};
use crate::reading::Reading;
use crate::reference_model::World;

pub struct Stage {
    pub database: Database,
    pub clock: ManualClock,
    pub guestlist: Guestlist,
    without_keys: Guestlist,
    other_audience: Guestlist,
    other_key: Guestlist,
    /// What the model's places stand for.
    pub organizations: Vec<OrganizationId>,
    pub invitations: Vec<InvitationId>,
    pub tokens: Vec<String>,
    /// What was listed after the last deed.
    pub reading: Reading,
}

impl Stage {
    pub fn set(database: Database, clock: ManualClock, settings: Settings) -> Self {
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

    /// Does it in a transaction of its own, which is committed whatever the answer: what was
    /// refused has written nothing, so there is nothing to roll back.
    pub async fn perform(&mut self, deed: &Deed, world: &World) -> Vec<Answer> {
        let database = self.database.clone();
        let results = match deed.manner {
            Manner::WithoutTransaction => {
                let mut connection = database.acquire().await.expect("a connection");
                self.act(&mut Connection::from(&mut connection), deed, world)
                    .await
            }
            _ => {
                let mut tx = database.begin().await.expect("a transaction");
                let results = self.act(&mut Connection::from(&mut tx), deed, world).await;
                tx.commit().await.expect("committed");
                results
            }
        };
        results
            .into_iter()
            .map(|result| result.map_err(|error| self.refusal(&error)))
            .collect()
    }

    /// Lists everything anew, and makes the links that came into the world.
    pub async fn look(&mut self, world: &World) {
        let mut connection = self.database.acquire().await.expect("a connection");
        self.reading = Reading::take(&self.guestlist, &mut connection, &self.organizations).await;
        for link in &world.links[self.tokens.len()..] {
            let invitation = self.reading.invitation(self.invitations[link.invitation]);
            let token = self.token(&self.guestlist, invitation.expect("just written"));
            self.tokens.push(token);
        }
    }

    fn refusal(&self, error: &Error) -> Refusal {
        let says = match error {
            Error::Forbidden { role, .. } | Error::UnknownRole { role, .. } => role.to_string(),
            Error::AlreadyPending { invitation } => {
                let place = self.invitations.iter().position(|id| id == invitation);
                place.expect("an invitation of this history").to_string()
            }
            Error::InvitationClosed { status } => status.to_string(),
            Error::InvitationExpired { at } => at.to_string(),
            Error::Throttled { limit, retry_after } => format!("{limit} {}", retry_after.as_secs()),
            Error::NoSeat { seats } => seats.to_string(),
            Error::LastOwner { organizations, .. } => {
                let place = |id| self.organizations.iter().position(|known| known == id);
                let places: Vec<_> = organizations.iter().filter_map(place).collect();
                format!("{places:?}")
            }
            Error::Database(fault) | Error::Conflict(fault) => fault.to_string(),
            _ => String::new(),
        };
        Refusal {
            code: error.code(),
            says,
        }
    }

    fn guestlist(&self, deed: &Deed) -> Guestlist {
        match deed.manner {
            Manner::WithoutKeys => self.without_keys.clone(),
            _ => self.guestlist.clone(),
        }
    }

    fn organization(&self, place: usize) -> OrganizationId {
        self.organizations[place]
    }

    fn invitation(&self, place: Option<usize>) -> InvitationId {
        let nobodys = || uuid::Uuid::nil().into();
        place.map_or_else(nobodys, |place| self.invitations[place])
    }

    fn token(&self, guestlist: &Guestlist, invitation: &Invitation) -> String {
        guestlist
            .token(invitation)
            .expect("a key")
            .expose()
            .to_owned()
    }

    fn presented(&self, deed: &Deed) -> String {
        let (shape, newest) = match deed.link {
            Presented::Made(link) => return self.tokens[link].clone(),
            Presented::Forged(shape, newest) => (shape, newest),
        };
        let invitation = deed
            .invitation
            .and_then(|place| self.reading.invitation(self.invitations[place]));
        match (shape, newest, invitation) {
            (Link::Flipped(place), Some(newest), _) => flipped(&self.tokens[newest], place),
            (Link::OtherAudience, _, Some(it)) => self.token(&self.other_audience, it),
            (Link::OtherKey, _, Some(it)) => self.token(&self.other_key, it),
            _ => "nonsense".to_owned(),
        }
    }
}

fn flipped(token: &str, place: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let place = place % bytes.len();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

fn user((person, address, is_verified): (Person, &Address, bool)) -> User {
    let user = User::new(parse(person), parse(address.typed));
    if is_verified { user } else { user.unverified() }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("well formed")
}
