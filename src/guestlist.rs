//! The library, configured.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::actor::{Actor, Attribution, Origin};
use crate::clock::Clock;
use crate::error::Error;
use crate::key_ring::KeyRing;
use crate::limits::Limits;
use crate::role::Role;
use crate::role_model::RoleModel;
use crate::seats::Seats;

/// Every operation on organizations, their members and invitations, under one configuration.
///
/// Made once and shared: cloning is cheap. Every operation takes the host's connection or open
/// transaction and does its work there; an operation that changes something needs a transaction
/// and says so with [`Error::NoTransaction`].
#[derive(Debug, Clone, Default)]
pub struct Guestlist {
    configuration: Arc<Configuration>,
    origin: Option<Arc<Origin>>,
}

#[derive(Debug)]
struct Configuration {
    role_model: RoleModel,
    lifetime: TimeDelta,
    clock: Clock,
    key_ring: KeyRing,
    audience: String,
    limits: Limits,
    seats: Seats,
    resend_policy: ResendPolicy,
}

/// What sending an invitation again does to the link sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResendPolicy {
    /// The older letter's link keeps working, because people open the first letter they find.
    #[default]
    Keep,
    /// Only the newest letter's link works; an older one says that it was replaced.
    Rotate,
}

/// Configures [`Guestlist`]; whatever is not set keeps its default.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder(Configuration);

impl Default for Configuration {
    fn default() -> Self {
        Self {
            role_model: RoleModel::default(),
            lifetime: TimeDelta::days(7),
            clock: Clock::default(),
            key_ring: KeyRing::default(),
            audience: "guestlist".to_owned(),
            limits: Limits::default(),
            seats: Seats::default(),
            resend_policy: ResendPolicy::default(),
        }
    }
}

impl Builder {
    /// The longest lifetime of an invitation: one year.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// Sets the roles and their rules; default [`RoleModel::four_tier`].
    pub fn role_model(mut self, role_model: RoleModel) -> Self {
        self.0.role_model = role_model;
        self
    }

    /// Sets how long an invitation can be accepted; default 7 days, at least a second and at most
    /// [`Builder::MAX_LIFETIME`], to which other values are brought.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        let lifetime = lifetime.clamp(Duration::from_secs(1), Self::MAX_LIFETIME);
        self.0.lifetime = TimeDelta::from_std(lifetime).expect("a year fits");
        self
    }

    /// Sets the clock; default the machine's.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.0.clock = clock.into();
        self
    }

    /// Sets the keys that sign and verify links. Without them nothing can be accepted, declined or
    /// linked here, which is right for a host that only invites.
    pub fn key_ring(mut self, key_ring: KeyRing) -> Self {
        self.0.key_ring = key_ring;
        self
    }

    /// Sets for whom links are made, so that two products or stages sharing a key do not accept
    /// each other's; default `guestlist`. The worker needs the same.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.0.audience = audience.into();
        self
    }

    /// Sets the throttles on letters; default [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Sets how many people organizations have room for; default [`Seats::unlimited`].
    pub fn seats(mut self, seats: Seats) -> Self {
        self.0.seats = seats;
        self
    }

    /// Sets what resending does to the older link; default [`ResendPolicy::Keep`].
    pub fn resend_policy(mut self, policy: ResendPolicy) -> Self {
        self.0.resend_policy = policy;
        self
    }

    /// The configured library.
    pub fn build(self) -> Guestlist {
        Guestlist {
            configuration: Arc::new(self.0),
            origin: None,
        }
    }
}

impl Guestlist {
    /// Starts a configuration.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The roles and their rules.
    pub fn role_model(&self) -> &RoleModel {
        &self.configuration.role_model
    }

    /// The time now, by the configured clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.configuration.clock.now()
    }

    /// How long an invitation can be accepted.
    pub fn lifetime(&self) -> TimeDelta {
        self.configuration.lifetime
    }

    /// Binds a clone of the handle to one request: every event written through it carries the origin.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        Self {
            configuration: Arc::clone(&self.configuration),
            origin: Some(Arc::new(origin)),
        }
    }

    /// The actor, if there is one, with the origin this handle is bound to.
    pub(crate) fn attributed_to(&self, actor: impl Into<Option<Actor>>) -> Attribution {
        Attribution {
            actor: actor.into(),
            origin: self.origin.as_deref().cloned(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.configuration.clock
    }

    pub(crate) fn key_ring(&self) -> &KeyRing {
        &self.configuration.key_ring
    }

    pub(crate) fn audience(&self) -> &str {
        &self.configuration.audience
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.configuration.limits
    }

    pub(crate) fn seats(&self) -> Seats {
        self.configuration.seats
    }

    pub(crate) fn resend_policy(&self) -> ResendPolicy {
        self.configuration.resend_policy
    }

    /// Refuses a role the model does not know.
    pub(crate) fn known_role(&self, role: &Role) -> Result<(), Error> {
        if self.role_model().get(role).is_some() {
            return Ok(());
        }
        let known = self
            .role_model()
            .roles()
            .iter()
            .map(|role| role.name().clone())
            .collect();
        Err(Error::UnknownRole {
            role: role.clone(),
            known,
        })
    }
}
