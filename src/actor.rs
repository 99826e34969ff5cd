//! Actors: the member, the host or the operator that makes a change, and the request it came with.

use std::str::FromStr;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use crate::id::UserId;
use crate::name::{is_allowed, is_visible};

/// A short text for the audit trail: a reason, an operator's name, a channel, a request id.
///
/// 1 to 200 visible characters on one line. It is shown in terminals and on history pages, where an
/// invisible or direction-changing character would disguise the text (Unicode Technical Report 36).
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct AuditText(String);

/// The text is empty, longer than 200 characters or holds a control, an invisible or a direction-changing
/// character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason, an operator's name or a part of an origin is 1 to 200 characters on one line, none of them invisible"
)]
pub struct InvalidAuditText;

crate::text::text!(printed AuditText, InvalidAuditText);

impl AuditText {
    /// The maximum length, in characters.
    pub const MAX_LENGTH: usize = 200;
}

impl FromStr for AuditText {
    type Err = InvalidAuditText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.chars().count() <= Self::MAX_LENGTH;
        if fits && text.chars().all(is_allowed) && text.chars().any(is_visible) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAuditText)
        }
    }
}

/// The maker of a change, as its event names them.
///
/// A member is limited by their role. The host and an operator are limited by the rules that keep
/// the data valid (last owner, seats, roles of the model) but by no role; each states a reason for
/// the audit trail.
///
/// ```
/// use guestlist::{Actor, UserId};
///
/// let olivia: UserId = "olivia".parse()?;
/// let member = Actor::member(&olivia);
/// let billing = Actor::host("the plan was upgraded".parse()?);
/// let support = Actor::operator("ada@support".parse()?, "ticket 4711".parse()?);
/// # assert_eq!(member.user_id(), Some(&olivia));
/// # assert_ne!(billing, support);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// A member of the organization, under the host's user id.
    Member(UserId),
    /// The host application itself: billing, support tools, a directory.
    Host {
        /// The reason for the change.
        reason: AuditText,
    },
    /// A person that operates the installation.
    Operator {
        /// The name of the operator.
        name: AuditText,
        /// The reason for the change.
        reason: AuditText,
    },
}

impl Actor {
    /// Makes the actor for a member of the organization, from the user id of the session.
    ///
    /// A user id alone is no actor, so that the actor and the target of a change, both users, cannot
    /// be swapped unnoticed.
    pub fn member(user: &UserId) -> Self {
        Self::Member(user.clone())
    }

    /// Makes the actor for the host application, with its reason.
    pub fn host(reason: AuditText) -> Self {
        Self::Host { reason }
    }

    /// Makes the actor for an operator, under the operator's own name, with a reason.
    pub fn operator(name: AuditText, reason: AuditText) -> Self {
        Self::Operator { name, reason }
    }

    /// Returns the user id of a member; `None` for the host and an operator.
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::Member(user) => Some(user),
            _ => None,
        }
    }

    /// Returns `member`, `host` or `operator`, as events store it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Member(_) => MEMBER,
            Self::Host { .. } => HOST,
            Self::Operator { .. } => OPERATOR,
        }
    }

    /// Returns the user id of a member or the name of an operator.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Member(user) => Some(user.as_str()),
            Self::Operator { name, .. } => Some(name.as_str()),
            Self::Host { .. } => None,
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Member(_) => None,
            Self::Host { reason } | Self::Operator { reason, .. } => Some(reason.as_str()),
        }
    }

    fn read(
        kind: Option<String>,
        name: Option<String>,
        reason: Option<String>,
    ) -> sqlx::Result<Option<Self>> {
        let required = |text: Option<String>| {
            decoded::<AuditText>(text.ok_or_else(|| sqlx::Error::ColumnNotFound("reason".into()))?)
        };
        Ok(match (kind.as_deref(), name) {
            (Some(HOST), _) => Some(Self::host(required(reason)?)),
            (Some(OPERATOR), name) => Some(Self::operator(required(name)?, required(reason)?)),
            // The previous release knew only members and wrote no kind.
            (None | Some(MEMBER), Some(name)) => Some(Self::Member(decoded(name)?)),
            (None, None) => None,
            (kind, _) => {
                let kind = kind.unwrap_or_default();
                return Err(sqlx::Error::Decode(
                    format!("unknown kind of actor {kind:?}").into(),
                ));
            }
        })
    }
}

/// Writes the user id of a member, `the host: REASON` or `NAME: REASON`.
impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(user) => f.pad(user.as_str()),
            Self::Host { reason } => f.pad(&format!("the host: {reason}")),
            Self::Operator { name, reason } => f.pad(&format!("{name}: {reason}")),
        }
    }
}

impl From<&Actor> for Actor {
    fn from(actor: &Actor) -> Self {
        actor.clone()
    }
}

/// The request behind a change: a channel and, if known, a request id and a client.
///
/// ```
/// use guestlist::{Guestlist, Origin};
///
/// # let guestlist = Guestlist::default();
/// let origin = Origin::new("web".parse()?)
///     .request_id("01JD3V".parse()?)
///     .client("203.0.113.7".parse()?);
/// let guestlist = guestlist.with_origin(origin); // events of this request carry it
/// # Ok::<(), guestlist::InvalidAuditText>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    channel: AuditText,
    request_id: Option<AuditText>,
    client: Option<AuditText>,
}

impl Origin {
    /// Makes an origin with a channel such as `web`, `api` or `cli`.
    pub fn new(channel: AuditText) -> Self {
        Self {
            channel,
            request_id: None,
            client: None,
        }
    }

    /// Adds the id of the request in the host's logs.
    #[must_use]
    pub fn request_id(self, request_id: AuditText) -> Self {
        Self {
            request_id: Some(request_id),
            ..self
        }
    }

    /// Adds the client, such as its network address.
    #[must_use]
    pub fn client(self, client: AuditText) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }
}

/// The actor of a change and the origin of its request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Attribution {
    /// The actor. `None` if the change was caused by time, by a mail server or by an invitee's
    /// refusal.
    pub actor: Option<Actor>,
    /// The origin of the request, if the host named one.
    pub origin: Option<Origin>,
}

/// The columns of an attribution, in the order of [`Attribution::values`].
pub(crate) const COLUMNS: &str = "actor, actor_kind, reason, channel, request_id, client";

impl Attribution {
    pub(crate) fn values(&self) -> [Option<&str>; 6] {
        let actor = self.actor.as_ref();
        let origin = self.origin.as_ref();

        [
            actor.and_then(Actor::name),
            actor.map(Actor::kind),
            actor.and_then(Actor::reason),
            origin.map(|origin| origin.channel.as_str()),
            origin
                .and_then(|origin| origin.request_id.as_ref())
                .map(AuditText::as_str),
            origin
                .and_then(|origin| origin.client.as_ref())
                .map(AuditText::as_str),
        ]
    }
}

/// Writes the user id of a member or the name of an operator as `actor`.
impl Serialize for Attribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        for (name, value) in COLUMNS.split(", ").zip(self.values()) {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'r, R: Row> FromRow<'r, R> for Attribution
where
    &'static str: ColumnIndex<R>,
    Option<String>: Type<R::Database> + Decode<'r, R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let text = |name: &'static str| row.try_get::<Option<String>, _>(name);
        let actor = Actor::read(text("actor_kind")?, text("actor")?, text("reason")?)?;
        let optional = |name| text(name)?.map(decoded).transpose();
        let origin = text("channel")?.map(|channel| {
            Ok::<_, sqlx::Error>(Origin {
                channel: decoded(channel)?,
                request_id: optional("request_id")?,
                client: optional("client")?,
            })
        });
        Ok(Self {
            actor,
            origin: origin.transpose()?,
        })
    }
}

/// The actor whose right an invitation depends on.
///
/// A member's right is checked again when a letter is sent and at acceptance. A grant of the host's
/// or an operator's depends on no member and is not checked again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grantor {
    /// A member.
    Member(UserId),
    /// The host application.
    Host,
    /// An operator.
    Operator {
        /// The name of the operator.
        name: AuditText,
    },
}

impl Grantor {
    /// Returns the user id of a member; `None` for the host and an operator.
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::Member(user) => Some(user),
            _ => None,
        }
    }

    /// Returns `member`, `host` or `operator`, as invitations store it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Member(_) => MEMBER,
            Self::Host => HOST,
            Self::Operator { .. } => OPERATOR,
        }
    }

    /// Returns the user id of a member, the name of an operator, or `host`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Member(user) => user.as_str(),
            Self::Host => HOST,
            Self::Operator { name } => name.as_str(),
        }
    }
}

impl From<&Actor> for Grantor {
    fn from(actor: &Actor) -> Self {
        match actor {
            Actor::Member(user) => Self::Member(user.clone()),
            Actor::Host { .. } => Self::Host,
            Actor::Operator { name, .. } => Self::Operator { name: name.clone() },
        }
    }
}

/// Writes the user id of a member, the name of an operator, or `host`.
impl std::fmt::Display for Grantor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Grantor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("granted_by", self.name())?;
        map.serialize_entry("granted_by_kind", self.kind())?;
        map.end()
    }
}

impl<'r, R: Row> FromRow<'r, R> for Grantor
where
    &'static str: ColumnIndex<R>,
    String: Type<R::Database> + Decode<'r, R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let kind: String = row.try_get("granted_by_kind")?;
        let name: String = row.try_get("granted_by")?;
        Ok(match kind.as_str() {
            // The previous release stores the member that resends and leaves the kind unchanged.
            HOST if name == HOST => Self::Host,
            OPERATOR => Self::Operator {
                name: decoded(name)?,
            },
            _ => Self::Member(decoded(name)?),
        })
    }
}

const MEMBER: &str = "member";
const HOST: &str = "host";
const OPERATOR: &str = "operator";

fn decoded<T>(text: String) -> sqlx::Result<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_text_is_one_short_line() {
        for text in [
            "",
            " ",
            "\u{200B}",
            "a\nb",
            "a\0b",
            "a\u{202E}b",
            "a\u{2066}b",
            "a\u{2028}b",
            "a\u{FEFF}b",
            &"x".repeat(201),
        ] {
            assert_eq!(text.parse::<AuditText>(), Err(InvalidAuditText), "{text:?}");
        }
        for text in [
            &"x".repeat(200),
            &"ط".repeat(200),
            "ticket 4711: héllo, 你好",
        ] {
            assert!(text.parse::<AuditText>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_kind_is_no_member() {
        let read = |kind: &str| Actor::read(Some(kind.into()), Some("olivia".into()), None);
        assert!(read("robot").is_err());
        assert!(read(MEMBER).is_ok());
        assert!(Actor::read(Some(MEMBER.into()), None, None).is_err());
    }

    #[test]
    fn an_event_without_a_kind_is_a_members() {
        let olivia: UserId = "olivia".parse().expect("valid");
        let read = Actor::read(None, Some("olivia".into()), None).expect("readable");
        assert_eq!(read, Some(Actor::Member(olivia)));
        assert_eq!(Actor::read(None, None, None).expect("readable"), None);
    }
}
