//! The letters through their public API, read back as a mail client and a person would.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "letters/correspondence.rs"]
mod correspondence;
#[path = "letters/format.rs"]
mod format;
#[path = "letters/overriding.rs"]
mod overriding;
#[path = "letters/reading.rs"]
mod reading;
