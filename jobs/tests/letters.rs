//! The letters through their public API, parsed back as a mail client does and as a person reads
//! them.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "letters/format.rs"]
mod format;
#[path = "letters/overriding.rs"]
mod overriding;
#[path = "letters/reading.rs"]
mod reading;
#[path = "letters/samples.rs"]
mod samples;
