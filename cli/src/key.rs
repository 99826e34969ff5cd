//! The keys that sign links.

use clap::Subcommand;
use guestlist::Key;
use serde_json::json;

use super::failure::Done;
use super::output::Output;

/// The commands on keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it; it is not stored.
    ///
    /// To replace a key, put the new one before the old one, and remove the old one after the last
    /// invitation it signed has expired.
    #[command(after_help = "Example:\n  export GUESTLIST_KEYS=\"$(guestlist keys new)\"")]
    New,
}

impl Command {
    pub(crate) fn run(self, output: Output) -> Done {
        let Self::New = self;
        let key = Key::generate();
        output.sentence(json!({ "key": key.expose() }), key.expose())
    }
}
