//! The letter limits of histories with tight limits.

use std::time::Duration;

use chrono::TimeDelta;
use guestlist::{Limit, Limits};

pub const WINDOW: TimeDelta = TimeDelta::days(1);
pub const RESEND_PAUSE: TimeDelta = TimeDelta::minutes(1);
pub const RECIPIENT: u32 = 2;
pub const ACTOR: u32 = 5;
pub const ORGANIZATION: u32 = 7;

/// The limits with which the library is configured; the pause between two letters of one invitation
/// applies in every history.
pub fn limits(is_tight: bool) -> Limits {
    let pause = RESEND_PAUSE.to_std().expect("a minute");
    let limits = Limits::none().resend_interval(pause);
    let of = |letters| Limit::new(letters, Duration::from_secs(24 * 60 * 60));
    match is_tight {
        true => limits
            .recipient(of(RECIPIENT))
            .actor(of(ACTOR))
            .organization(of(ORGANIZATION)),
        false => limits,
    }
}
