//! Team membership for Rust applications.

mod clock;
mod connection;
mod database;
mod email_address;
mod error;
mod event;
mod id;
mod invitation;
mod key_ring;
mod letter;
mod limits;
mod locale;
mod membership;
mod migrate;
mod name;
mod organization;
mod organizations;
pub mod outbox;
mod page;
mod personal_message;
mod role;
mod role_model;
mod session;
mod text_enum;
mod token;
mod user;
pub mod worker;

pub use crate::clock::{Clock, ManualClock};
pub use crate::connection::Connection;
pub use crate::database::{Database, PooledConnection, Transaction};
pub use crate::email_address::{EmailAddress, InvalidEmailAddress};
pub use crate::error::{Action, Error, Fault, LimitKind};
pub use crate::event::{Addressee, Event, EventKind};
pub use crate::id::{
    EventId, InvalidSessionKey, InvalidUserId, InvitationId, MessageId, OrganizationId, SessionKey,
    UserId,
};
pub use crate::invitation::{Delivery, Filter, Invitation, Invite, Outcome, Status};
pub use crate::key_ring::{InvalidKeyRing, Key, KeyRing};
pub use crate::limits::{InvalidLimits, Limit, Limits};
pub use crate::locale::{InvalidLocale, Locale};
pub use crate::membership::Membership;
pub use crate::migrate::{Schema, migrate};
pub use crate::name::{InvalidName, Name};
pub use crate::organization::Organization;
pub use crate::organizations::{Builder, Organizations, ResendPolicy};
pub use crate::page::{Cursor, Page, Paging};
pub use crate::personal_message::{InvalidMessage, PersonalMessage};
pub use crate::role::{InvalidRole, Role};
pub use crate::role_model::{InvalidRoleModel, RoleDefinition, RoleModel};
pub use crate::token::Token;
pub use crate::user::User;
