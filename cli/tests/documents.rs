//! The documents against the code: README, the book in `docs`, and what both say of the command.
//!
//! `UPDATE=1 cargo nextest run --workspace -E 'binary(documents)'` writes the generated parts of the
//! pages anew instead of comparing them.

#![allow(clippy::unwrap_used)]

#[path = "documents/architecture.rs"]
mod architecture;
#[path = "documents/book.rs"]
mod book;
#[path = "documents/circles.rs"]
mod circles;
#[path = "documents/command.rs"]
mod command;
#[path = "documents/errors.rs"]
mod errors;
#[path = "../../jobs/tests/support/exposition.rs"]
#[allow(dead_code, reason = "each test program uses its part of the support")]
mod exposition;
#[path = "documents/floors.rs"]
mod floors;
#[path = "documents/generated.rs"]
mod generated;
#[path = "documents/guide.rs"]
mod guide;
#[path = "documents/import_forms.rs"]
mod import_forms;
#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/metrics.rs"]
mod metrics;
#[path = "documents/package.rs"]
mod package;
#[path = "documents/promises.rs"]
mod promises;
#[path = "documents/public_api.rs"]
mod public_api;
#[path = "documents/readme.rs"]
mod readme;
#[path = "documents/speed.rs"]
mod speed;
#[path = "documents/syntax.rs"]
mod syntax;
#[path = "documents/variables.rs"]
mod variables;
