//! The command line, driven by a script, on both databases.
//!
//! `GUESTLIST_TEST_POSTGRES` is the URL of a database whose user may create others.

#[macro_use]
#[path = "cli/support.rs"]
mod support;

#[path = "cli/bounces.rs"]
mod bounces;
#[path = "cli/bulk.rs"]
mod bulk;
#[path = "cli/conflicts.rs"]
mod conflicts;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/environment.rs"]
mod environment;
#[path = "cli/host.rs"]
mod host;
#[path = "cli/processes.rs"]
mod processes;
#[path = "cli/roles.rs"]
mod roles;
#[path = "cli/statuses.rs"]
mod statuses;
#[path = "cli/story.rs"]
mod story;
