//! The course of an invitation: what was committed about it, and when.

use chrono::{DateTime, Utc};

/// Something that was committed about an invitation.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) committed_at: DateTime<Utc>,
    pub(super) kind: String,
    /// Until when it lived from here on.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Why a letter is not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Revoked, accepted, declined or recorded as expired.
    Closed,
    /// Its time was over.
    Expired,
    /// A newer letter was promised.
    Superseded,
}

impl End {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }
}

/// Everything that was committed about an invitation, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Course(Vec<Turn>);

impl Course {
    pub(super) fn add(&mut self, turn: Turn) {
        self.0.push(turn);
    }

    /// Whether something of this kind was committed.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|turn| turn.kind == kind)
    }

    /// Why letter number `letter` was not to be sent at `at`, as was known by then to somebody whose
    /// clock showed `shown`.
    pub(super) fn end(&self, letter: i64, at: DateTime<Utc>, shown: DateTime<Utc>) -> Option<End> {
        let (mut letters, mut closed, mut expires_at) = (0, false, None);
        for turn in self.0.iter().filter(|turn| turn.committed_at <= at) {
            match turn.kind.as_str() {
                "invitation_created" | "invitation_resent" => {
                    letters += 1;
                    closed = false;
                    expires_at = turn.expires_at;
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
            // What ended the invitation before this letter was promised is not about it.
            None
        } else if letter < letters {
            Some(End::Superseded)
        } else if closed {
            Some(End::Closed)
        } else {
            expires_at.filter(|end| *end <= shown).map(|_| End::Expired)
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

    fn course(turns: &[(i64, &str, Option<i64>)]) -> Course {
        let turn = |(second, kind, expires): &(i64, &str, Option<i64>)| Turn {
            committed_at: at(*second),
            kind: format!("invitation_{kind}"),
            expires_at: expires.map(at),
        };
        Course(turns.iter().map(turn).collect())
    }

    #[test]
    fn what_ends_a_letter_counts_from_its_commit() {
        let course = course(&[
            (0, "created", Some(100)),
            (10, "resent", Some(110)),
            (20, "revoked", None),
        ]);
        assert_eq!(course.end(1, at(9), at(9)), None);
        assert_eq!(course.end(1, at(10), at(10)), Some(End::Superseded));
        assert_eq!(course.end(2, at(19), at(19)), None);
        assert_eq!(course.end(2, at(20), at(20)), Some(End::Closed));
    }

    #[test]
    fn time_ends_it_whether_or_not_anybody_recorded_that_and_a_resend_revives_it() {
        let course = course(&[
            (0, "created", Some(8)),
            (9, "expired", None),
            (12, "resent", Some(20)),
        ]);
        assert_eq!(course.end(1, at(8), at(8)), Some(End::Expired));
        assert_eq!(course.end(1, at(9), at(9)), Some(End::Closed));
        assert_eq!(
            course.end(2, at(11), at(11)),
            None,
            "it was not promised yet"
        );
        assert_eq!(course.end(2, at(12), at(12)), None);
        assert_eq!(course.end(2, at(20), at(20)), Some(End::Expired));
    }

    #[test]
    fn what_expired_is_read_off_a_clock_and_what_was_closed_is_not() {
        let course = course(&[(0, "created", Some(8)), (20, "revoked", None)]);
        assert_eq!(course.end(1, at(5), at(9)), Some(End::Expired));
        assert_eq!(course.end(1, at(9), at(5)), None);
        assert_eq!(course.end(1, at(20), at(5)), Some(End::Closed));
    }
}
