//! Identifiers: UUIDv7 newtypes for Guestlist's own rows, opaque text for the host's users.

use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp, Uuid};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            sqlx::Type, derive_more::Display, derive_more::From,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an identifier that sorts by `now` (UUIDv7, RFC 9562 section 5.7).
            pub(crate) fn new(now: DateTime<Utc>) -> Self {
                Self(ordered_uuid(now))
            }

            /// Returns the identifier as a UUID.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// The id of an organization.
    OrganizationId
);
id!(
    /// The id of an invitation. It does not open the invitation; only the token does.
    InvitationId
);
id!(
    /// The id of an audit event.
    EventId
);
id!(
    /// The id of an outbox message and of the letter sent for it.
    MessageId
);

id!(
    /// The id of an attempt to send a letter.
    AttemptId
);

impl AttemptId {
    /// Returns the lower bound of the ids of `time`, to the millisecond.
    pub(crate) fn lower_bound(time: DateTime<Utc>) -> Self {
        let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
        Self(Uuid::from_u128(milliseconds << 80))
    }
}

/// Makes an ordered UUID. Ids made by this process within one microsecond keep the order in which
/// they were made; those of several processes are ordered by time.
fn ordered_uuid(now: DateTime<Utc>) -> Uuid {
    static CONTEXT: LazyLock<Mutex<ContextV7>> = LazyLock::new(|| Mutex::new(precise()));
    let context = CONTEXT
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    uuid_at(&context, now)
}

/// Uses 12 bits for the fraction of the millisecond (RFC 9562 section 6.2, method 3): two processes
/// may change one organization within a millisecond, and its history is read in the order of ids.
fn precise() -> ContextV7 {
    ContextV7::new().with_additional_precision()
}

fn uuid_at(context: &ContextV7, now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(
        context,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

/// The host's own identifier of a user: opaque text of 1 to 255 bytes without control characters.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct UserId(String);

/// The text is empty, longer than 255 bytes or holds a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user id is 1 to 255 bytes of text without control characters")]
pub struct InvalidUserId;

crate::text::text!(printed UserId, InvalidUserId);
crate::text::opaque_text!(UserId, InvalidUserId, 255);

/// The key of a session in the host's session store.
///
/// A key may be enough to use the session, so it is never printed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct SessionKey(String);

/// The text is empty, longer than 512 bytes or holds a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a session key is 1 to 512 bytes of text without control characters")]
pub struct InvalidSessionKey;

crate::text::text!(SessionKey, InvalidSessionKey);
crate::text::opaque_text!(SessionKey, InvalidSessionKey, 512);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_at_one_moment_keep_their_order() {
        let now = Utc::now();
        let ids: Vec<_> = (0..1000).map(|_| EventId::new(now)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].as_uuid().get_version_num(), 7);
    }

    #[test]
    fn ids_of_several_processes_follow_their_times_within_a_millisecond() {
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let at = |micros| start + chrono::TimeDelta::microseconds(micros);
        let ids: Vec<_> = (0..2000)
            .map(|micros| uuid_at(&precise(), at(micros)))
            .collect();
        assert!(ids.is_sorted());
        let process = precise();
        let ids = (0..2000).map(|micros| (micros, uuid_at(&process, at(micros))));
        let mut pairs = ids.map(|(micros, id)| (id, uuid_at(&precise(), at(micros + 1))));
        assert!(pairs.all(|(id, later)| id < later));
    }

    #[test]
    fn lower_bound_separates_ids_by_their_times() {
        let time = DateTime::from_timestamp(1_790_000_000, 5_000_000).expect("a time");
        let before = AttemptId::new(time - chrono::TimeDelta::microseconds(1));
        let bound = AttemptId::lower_bound(time);
        assert!(before < bound && bound < AttemptId::new(time));
        let epoch = AttemptId::lower_bound(DateTime::UNIX_EPOCH - chrono::TimeDelta::days(1));
        assert_eq!(epoch.as_uuid(), Uuid::nil());
    }

    #[test]
    fn a_user_id_without_text_or_with_a_control_character_is_refused() {
        for text in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert_eq!(text.parse::<UserId>(), Err(InvalidUserId));
        }
        assert!("x".repeat(255).parse::<UserId>().is_ok());
    }

    #[test]
    fn a_session_key_is_not_printed() {
        let session: SessionKey = "secret".parse().expect("valid");
        assert!(!format!("{session:?}").contains("secret"));
    }
}
