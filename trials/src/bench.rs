//! How fast it is, beside what the machine can do at best.

mod command;
mod environment;
mod fill;
mod inviting;
mod machine;
mod noise;
mod program;
mod results;
mod row;
mod size;
mod smtp;
mod statistics;
mod store;
mod subject;
mod timing_sink;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use self::command::Guestlist;
use self::environment::{Progress, Stage};
use self::machine::Machine;
use self::noise::Noise;
use self::results::Results;
use self::size::Size;
use self::subject::Subject;

/// What to measure, how much of it, and where to write it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How much of everything: how many letters, rows and seconds.
    #[arg(long, value_enum, default_value_t = Size::Quick)]
    size: Size,
    /// Measure only these.
    #[arg(long, value_enum, num_args = 1.., value_name = "NAME")]
    only: Vec<Subject>,
    /// How often each is measured; the median counts, and the spread is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99), value_name = "TIMES")]
    repeat: u16,
    /// Write every figure of every time into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table, the machine and the date into this Markdown file: a section for
    /// each size, in the place of the one that an earlier run wrote there.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Keep the data of the servers below this folder while it runs: on the disk to measure on.
    /// Without it they lie below the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Measure this `guestlist` command. Without it, it is the one beside this program, built anew
    /// first where cargo runs this.
    #[arg(long, value_name = "FILE")]
    guestlist: Option<PathBuf>,
}

/// Measures. The exit status tells nothing of bars, but whether everything worked.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let guestlist = Guestlist::find(options.guestlist.as_deref())?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: it tells whether everything works, and nothing of speed");
    }
    let folder = temporary_folder(options.folder.as_deref())?;
    let subjects = if options.only.is_empty() {
        Subject::ALL.to_vec()
    } else {
        options.only.clone()
    };
    let progress = Progress::start();
    let machine = Machine::look(folder.path());
    let mut noise = Noise::new(folder.path());
    let mut rows = Vec::new();
    {
        let amounts = options.size.amounts();
        let mut stage =
            Stage::set(folder.path(), guestlist, amounts, options.repeat, progress).await?;
        for (place, subject) in subjects.iter().enumerate() {
            stage
                .progress
                .begin(subject.name(), place + 1, subjects.len());
            noise.listen()?;
            let measured = subject.measure(&mut stage).await;
            rows.extend(
                measured.with_context(|| format!("{} could not be measured", subject.name()))?,
            );
        }
        noise.listen()?;
        rows.extend(noise.rows()?);
    }
    let results = Results::new(machine, options.size, options.repeat, rows);
    println!("{}", results.table());
    if let Some(file) = &options.json {
        results.write_json(file)?;
    }
    if let Some(file) = &options.results {
        results.write_markdown(file)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn temporary_folder(below: Option<&std::path::Path>) -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("guestlist-bench-");
    // Postgres runs as nobody where this runs as root, and has to come by.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711));
    let folder = match below {
        Some(below) => builder.tempdir_in(below),
        None => builder.tempdir(),
    };
    folder.context("no folder for the servers' data")
}
