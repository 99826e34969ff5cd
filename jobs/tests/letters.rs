//! The letters through their public API, read back as a mail client and a person would.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "letters/format.rs"]
mod format;
#[path = "letters/overriding.rs"]
mod overriding;
#[path = "letters/reading.rs"]
mod reading;
#[path = "letters/samples.rs"]
mod samples;
