//! The worker of Guestlist: it delivers what each change promised.

pub mod letters;
pub mod mail;
pub mod mailer;
pub mod queue;
