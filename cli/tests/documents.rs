//! What strangers read is true: README and docs/architecture.md against the code, and the command itself.

#![allow(clippy::unwrap_used)]

#[path = "documents/architecture.rs"]
mod architecture;
#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/readme.rs"]
mod readme;
