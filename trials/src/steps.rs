//! A worker that fails once at one step between lease and settle, and what that costs.
//!
//! The only letter that may come twice is the one whose step lies between the mail server's 250 and
//! the commit, and it has the same bytes both times. No letter is lost at any step.

mod case;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::ensure;
use clap::Args;
use tokio::task::JoinSet;

use self::case::{Case, Stage};
use self::table::Table;
use crate::evidence::Evidence;
use crate::sink;

/// What to try.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many people to invite in each case.
    #[arg(long, default_value_t = 5)]
    invitations: usize,
    /// Only the cases whose step holds this, as in `letter`.
    #[arg(long, default_value = "")]
    step: String,
    /// Keep databases and logs in this new folder, instead of in a temporary one.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Runs every case at the same time, for they mostly wait for a lease to lapse. The exit status is 1
/// where a count is not what it has to be.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    ensure!(
        guestlist_jobs::HAS_FAIL_POINTS,
        "this build has no fail points, nothing was tried: build it with --features failpoints"
    );
    let evidence = Evidence::at(options.folder.as_deref())?;
    let stage = Arc::new(Stage::set(evidence.folder(), options.invitations).await?);
    let mut running = JoinSet::new();
    for case in Case::all().filter(|case| case.step.contains(&options.step)) {
        let stage = Arc::clone(&stage);
        running.spawn(async move {
            let ended = case.play(&stage).await;
            (case, ended)
        });
    }
    let mut ended = running.join_all().await;
    ended.sort_by_key(|(case, _)| *case);
    let table = Table::new(ended, &sink::read(stage.log())?, options.invitations);
    println!("{table}");
    Ok(if table.is_as_expected() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
