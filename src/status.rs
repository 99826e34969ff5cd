//! How an invitation stands, in two words: what became of it, and how its letter fares.

use crate::text_enum::text_enum;

text_enum! {
    /// What became of an invitation.
    Status {
        /// Open.
        Pending = "pending",
        /// The invitee is a member.
        Accepted = "accepted",
        /// The invitee said no.
        Declined = "declined",
        /// Withdrawn.
        Revoked = "revoked",
        /// Its time ran out.
        Expired = "expired",
    }
}

text_enum! {
    /// How an invitation's newest letter fares.
    Delivery {
        /// Waiting for a worker.
        Queued = "queued",
        /// A mail server took it.
        Sent = "sent",
        /// A mail server asked to try again later.
        Deferred = "deferred",
        /// A mail server refused it for good.
        Failed = "failed",
        /// Not sent on purpose.
        Suppressed = "suppressed",
    }
}
