//! Makes a worker fail once at each step between lease and settle, and counts lost and duplicate letters.
//!
//! No letter may be lost. A letter may be sent twice only if the step lies between the mail server's 250
//! and the commit, and then with the same bytes.

mod case;
mod environment;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::ensure;
use clap::Args;
use tokio::task::JoinSet;

use self::case::Case;
use self::environment::Environment;
use self::table::Table;
use crate::evidence::Evidence;
use crate::sink;

/// The cases to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Number of people to invite in each case.
    #[arg(long, default_value_t = 5)]
    invitations: usize,
    /// Run only the cases whose step contains this text, such as `letter`.
    #[arg(long, default_value = "")]
    step: String,
    /// Keep databases and logs in this folder, which must not exist yet. Without this option they are in
    /// a temporary folder.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Runs all cases at the same time, since they mostly wait for a lease to expire. The exit status is 1 if
/// a count is not as expected.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    ensure!(
        guestlist_jobs::HAS_FAIL_POINTS,
        "this build has no fail points, nothing was tried: build it with --features failpoints"
    );
    let evidence = Evidence::create(options.folder.as_deref())?;
    let environment = Arc::new(Environment::start(evidence.folder(), options.invitations).await?);
    let mut running = JoinSet::new();
    for case in Case::all().filter(|case| case.step.contains(&options.step)) {
        let environment = Arc::clone(&environment);
        running.spawn(async move {
            let outcome = case.run(&environment).await;
            (case, outcome)
        });
    }
    let mut outcomes = running.join_all().await;
    outcomes.sort_by_key(|(case, _)| *case);
    let table = Table::new(
        outcomes,
        &sink::read(environment.log())?,
        options.invitations,
    );
    println!("{table}");
    Ok(if table.is_as_expected() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
