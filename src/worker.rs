//! What a worker needs beside the [`outbox`](crate::outbox): sweeps, deliveries and ended sessions.
//!
//! Hosts do not call these; they are here for the worker that is shipped with Guestlist and for
//! whoever writes another.

pub use crate::event::delete_old as delete_old_events;
pub use crate::invitation::{
    DeliveryReport, delete_closed as delete_closed_invitations, expire_due, lift_suppression,
    record_delivery, remind_due, suppression,
};
pub use crate::letter::delete_old as delete_old_letters;
pub use crate::session::{
    EndedSession, ended as ended_sessions, forget_ended as forget_ended_sessions,
};
