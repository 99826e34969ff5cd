//! The `guestlist` command: the worker, and what operators and scripts do by hand.

mod cli;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
