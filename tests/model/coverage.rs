//! Counts which operations the histories of a run did and how each ended.

use std::collections::BTreeMap;

use crate::history::Verb;
use crate::operation::Answer;

#[derive(Debug, Default)]
pub struct Coverage {
    pub histories: u64,
    pub steps: u64,
    pub seen: BTreeMap<(Verb, &'static str), u64>,
}

impl Coverage {
    pub fn count(&mut self, verb: Verb, answer: &Answer) {
        let outcome = answer
            .as_ref()
            .map_or_else(|refusal| refusal.code, |()| "ok");
        *self.seen.entry((verb, outcome)).or_default() += 1;
    }

    /// Fails if a possible outcome never occurred: a full run must see all of them, a shorter one
    /// two thirds, which is far less than it usually sees.
    pub fn require(&self, in_full: bool) {
        let pairs = MUST.iter().flat_map(|(verb, outcomes)| {
            let pair = |outcome: &&'static str| (*verb, *outcome);
            outcomes.iter().map(pair)
        });
        let (seen, missing): (Vec<_>, Vec<_>) =
            pairs.partition(|pair| self.seen.contains_key(pair));
        let most_missing = if in_full { 0 } else { seen.len() / 2 };
        assert!(
            missing.len() <= most_missing,
            "never seen: {missing:?} beside {:#?}",
            self.seen
        );
        let surprise = self.seen.keys().find(|pair| !seen.contains(pair));
        assert_eq!(surprise, None, "an outcome that the table does not know");
    }

    /// The line that the test prints.
    pub fn measured(&self, database: &str) -> String {
        let (mut ok, mut refused) = (0, 0);
        for ((_, outcome), count) in &self.seen {
            *(if *outcome == "ok" {
                &mut ok
            } else {
                &mut refused
            }) += count;
        }
        let Self {
            histories, steps, ..
        } = self;
        format!(
            "measured: histories={histories} steps={steps} operations ok={ok} refused={refused} on {database}"
        )
    }
}

/// Every possible outcome of each operation, as documented by the library.
#[rustfmt::skip]
pub const MUST: &[(Verb, &[&str])] = &[
    (Verb::Create, &["ok", "unverified_email", "no_transaction"]),
    (Verb::Rename, &["ok", "not_found", "forbidden", "no_transaction"]),
    (Verb::Delete, &["ok", "not_found", "forbidden", "no_transaction"]),
    (Verb::Invite, &["ok", "not_found", "forbidden", "unknown_role", "already_member", "already_pending", "no_seat",
        "throttled", "no_transaction"]),
    (Verb::InviteAll, &["ok", "not_found", "forbidden", "unknown_role", "already_member", "already_pending", "no_seat",
        "throttled", "no_transaction"]),
    (Verb::Resend, &["ok", "not_found", "forbidden", "invitation_closed", "already_member", "already_pending",
        "no_seat", "throttled", "no_transaction"]),
    (Verb::Revoke, &["ok", "not_found", "forbidden", "invitation_closed", "invitation_expired", "no_transaction"]),
    (Verb::ShowLink, &["ok", "not_found", "forbidden", "invitation_closed", "invitation_expired", "no_key",
        "no_transaction"]),
    (Verb::ChangeInvitationRole, &["ok", "not_found", "forbidden", "unknown_role", "invitation_closed",
        "invitation_expired", "no_key", "no_transaction"]),
    (Verb::Open, &["ok", "invalid_token", "link_replaced", "invitation_closed", "invitation_expired", "no_key"]),
    (Verb::Accept, &["ok", "invalid_token", "link_replaced", "invitation_closed", "invitation_expired",
        "wrong_account", "unverified_email", "inviter_lost_right", "suspended", "no_seat", "no_key",
        "no_transaction"]),
    (Verb::Decline, &["ok", "invalid_token", "link_replaced", "invitation_closed", "invitation_expired", "no_key",
        "no_transaction"]),
    (Verb::ChangeRole, &["ok", "not_found", "forbidden", "unknown_role", "last_owner", "no_transaction"]),
    (Verb::TransferOwnership, &["ok", "not_found", "forbidden", "suspended", "no_transaction"]),
    (Verb::Remove, &["ok", "not_found", "forbidden", "last_owner", "no_transaction"]),
    (Verb::Leave, &["ok", "not_found", "last_owner", "no_transaction"]),
    (Verb::Suspend, &["ok", "not_found", "forbidden", "last_owner", "no_transaction"]),
    (Verb::Reinstate, &["ok", "not_found", "forbidden", "no_seat", "no_transaction"]),
    (Verb::SetSeats, &["ok", "not_found", "no_transaction"]),
    (Verb::ForgetUser, &["ok", "last_owner", "no_transaction"]),
    (Verb::RecordSession, &["ok", "not_found", "no_transaction"]),
    (Verb::ForgetSession, &["ok"]),
    (Verb::AdvanceTime, &["ok"]),
    (Verb::ExpireDue, &["ok", "no_transaction"]),
    (Verb::RemindDue, &["ok", "no_transaction"]),
    (Verb::RecordDelivery, &["ok", "no_transaction"]),
    (Verb::PurgeSessions, &["ok"]),
    (Verb::Settle, &["ok", "no_transaction"]),
    (Verb::ForgetLetters, &["ok"]),
];
