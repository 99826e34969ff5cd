//! The status of an invitation and the delivery state of its letter.

use crate::text_enum::text_enum;

text_enum! {
    /// The status of an invitation.
    Status {
        /// Open.
        Pending = "pending",
        /// The invitee is a member.
        Accepted = "accepted",
        /// The invitee declined.
        Declined = "declined",
        /// Revoked by a member, the host or an operator.
        Revoked = "revoked",
        /// Not accepted in time.
        Expired = "expired",
    }
}

text_enum! {
    /// The delivery state of an invitation's newest letter.
    Delivery {
        /// Waiting for a worker.
        Queued = "queued",
        /// Waiting because sending is paused for everybody: the mail server fails or refuses this
        /// installation. Computed at the read, never stored.
        Paused = "paused",
        /// Accepted by a mail server.
        Sent = "sent",
        /// Postponed, because a mail server asked to try again later.
        Deferred = "deferred",
        /// Refused by a mail server for good.
        Failed = "failed",
        /// Returned after a mail server had accepted it. Stored as the time of the bounce.
        Bounced = "bounced",
        /// Not sent, on purpose.
        Suppressed = "suppressed",
    }
}

impl Delivery {
    /// Returns `true` if it is computed at the read and so cannot be stored.
    pub(crate) fn is_computed(self) -> bool {
        matches!(self, Self::Paused | Self::Bounced)
    }
}
