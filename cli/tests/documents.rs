//! The documents are true: README and docs/architecture.md compared with the code and the command.

#![allow(clippy::unwrap_used)]

#[path = "documents/architecture.rs"]
mod architecture;
#[path = "documents/circles.rs"]
mod circles;
#[path = "documents/floors.rs"]
mod floors;
#[path = "documents/import_forms.rs"]
mod import_forms;
#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/package.rs"]
mod package;
#[path = "documents/readme.rs"]
mod readme;
#[path = "documents/syntax.rs"]
mod syntax;
