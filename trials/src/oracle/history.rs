//! The history of an invitation: each committed change and its time.

use chrono::{DateTime, Utc};

/// A committed change of an invitation.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) committed_at: DateTime<Utc>,
    pub(super) kind: String,
    /// Expiry of the invitation after this change.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// The reason why a letter must not be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obsolete {
    /// The invitation was revoked, accepted, declined or recorded as expired.
    Closed,
    /// The invitation's expiry had passed.
    Expired,
    /// A newer letter of the invitation was queued.
    Superseded,
}

impl Obsolete {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "the invitation was closed",
            Self::Expired => "the invitation had expired",
            Self::Superseded => "a newer letter replaced it",
        }
    }
}

/// The committed changes of an invitation, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Vec<Change>);

impl History {
    pub(super) fn add(&mut self, change: Change) {
        self.0.push(change);
    }

    /// Returns true if a change of this kind was committed.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|change| change.kind == kind)
    }

    /// Returns why letter number `letter` was obsolete at `at`, for a worker whose clock showed `clock`.
    pub(super) fn obsolete(
        &self,
        letter: i64,
        at: DateTime<Utc>,
        clock: DateTime<Utc>,
    ) -> Option<Obsolete> {
        let (mut letters, mut closed, mut expires_at) = (0, false, None);
        for change in self.0.iter().filter(|change| change.committed_at <= at) {
            match change.kind.as_str() {
                "invitation_created" | "invitation_resent" => {
                    letters += 1;
                    closed = false;
                    expires_at = change.expires_at;
                }
                "invitation_revoked"
                | "invitation_accepted"
                | "invitation_declined"
                | "invitation_expired" => {
                    closed = true;
                }
                _ => {}
            }
        }
        if letter > letters {
            // The letter was not queued yet; earlier changes do not make it obsolete.
            None
        } else if letter < letters {
            Some(Obsolete::Superseded)
        } else if closed {
            Some(Obsolete::Closed)
        } else {
            expires_at
                .filter(|expiry| *expiry <= clock)
                .map(|_| Obsolete::Expired)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn history(changes: &[(i64, &str, Option<i64>)]) -> History {
        let change = |(second, kind, expires): &(i64, &str, Option<i64>)| Change {
            committed_at: at(*second),
            kind: format!("invitation_{kind}"),
            expires_at: expires.map(at),
        };
        History(changes.iter().map(change).collect())
    }

    #[test]
    fn a_change_counts_from_its_commit() {
        let history = history(&[
            (0, "created", Some(100)),
            (10, "resent", Some(110)),
            (20, "revoked", None),
        ]);
        assert_eq!(history.obsolete(1, at(9), at(9)), None);
        assert_eq!(
            history.obsolete(1, at(10), at(10)),
            Some(Obsolete::Superseded)
        );
        assert_eq!(history.obsolete(2, at(19), at(19)), None);
        assert_eq!(history.obsolete(2, at(20), at(20)), Some(Obsolete::Closed));
    }

    #[test]
    fn expiry_needs_no_record_and_a_resend_renews_it() {
        let history = history(&[
            (0, "created", Some(8)),
            (9, "expired", None),
            (12, "resent", Some(20)),
        ]);
        assert_eq!(history.obsolete(1, at(8), at(8)), Some(Obsolete::Expired));
        assert_eq!(history.obsolete(1, at(9), at(9)), Some(Obsolete::Closed));
        assert_eq!(
            history.obsolete(2, at(11), at(11)),
            None,
            "it was not queued yet"
        );
        assert_eq!(history.obsolete(2, at(12), at(12)), None);
        assert_eq!(history.obsolete(2, at(20), at(20)), Some(Obsolete::Expired));
    }

    #[test]
    fn expiry_depends_on_the_clock_and_closing_does_not() {
        let history = history(&[(0, "created", Some(8)), (20, "revoked", None)]);
        assert_eq!(history.obsolete(1, at(5), at(9)), Some(Obsolete::Expired));
        assert_eq!(history.obsolete(1, at(9), at(5)), None);
        assert_eq!(history.obsolete(1, at(20), at(5)), Some(Obsolete::Closed));
    }
}
