//! The library's handle and its configuration.

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

/// The handle for every operation on organizations, members and invitations, with one
/// configuration.
///
/// Make it once and share it: cloning is cheap. An operation runs on the host's connection or open
/// transaction. One that changes something needs a transaction and otherwise fails with
/// [`Error::NoTransaction`].
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

/// The effect of resending an invitation on its earlier link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResendPolicy {
    /// The earlier link keeps working, because people open the first letter they find.
    #[default]
    Keep,
    /// Only the newest link works; an earlier one is refused with [`Error::LinkReplaced`].
    Rotate,
}

/// Configures [`Guestlist`]; settings that are not set keep their defaults.
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

    /// Sets the roles and their rules. Default: [`RoleModel::four_tier`].
    pub fn role_model(mut self, role_model: RoleModel) -> Self {
        self.0.role_model = role_model;
        self
    }

    /// Sets the time within which an invitation can be accepted. Default: 7 days. Other values are
    /// clamped between one second and [`Builder::MAX_LIFETIME`].
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        let lifetime = lifetime.clamp(Duration::from_secs(1), Self::MAX_LIFETIME);
        self.0.lifetime = TimeDelta::from_std(lifetime).expect("a year fits");
        self
    }

    /// Sets the clock. Default: the machine's.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.0.clock = clock.into();
        self
    }

    /// Sets the keys that sign and verify links. Without keys this handle can neither accept nor
    /// decline invitations nor make links, which is enough for a host that only invites.
    pub fn key_ring(mut self, key_ring: KeyRing) -> Self {
        self.0.key_ring = key_ring;
        self
    }

    /// Sets the audience that links are signed for, so that two products or stages with the same
    /// key do not accept each other's links. Default: `guestlist`. The worker needs the same.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.0.audience = audience.into();
        self
    }

    /// Sets the limits on letters. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Sets the number of seats of an organization. Default: [`Seats::unlimited`].
    pub fn seats(mut self, seats: Seats) -> Self {
        self.0.seats = seats;
        self
    }

    /// Sets the effect of resending on the earlier link. Default: [`ResendPolicy::Keep`].
    pub fn resend_policy(mut self, policy: ResendPolicy) -> Self {
        self.0.resend_policy = policy;
        self
    }

    /// Builds the handle.
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

    /// Returns the roles and their rules.
    pub fn role_model(&self) -> &RoleModel {
        &self.configuration.role_model
    }

    /// Returns the time now, by the configured clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.configuration.clock.now()
    }

    /// Returns the time within which an invitation can be accepted.
    pub fn lifetime(&self) -> TimeDelta {
        self.configuration.lifetime
    }

    /// Returns a clone of the handle for one request: every event written through it carries
    /// `origin`.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        Self {
            configuration: Arc::clone(&self.configuration),
            origin: Some(Arc::new(origin)),
        }
    }

    /// Combines an actor, if there is one, with the origin of this handle.
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

    /// Refuses a role that is not in the model.
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
