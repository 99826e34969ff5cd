//! Benchmarks of Guestlist, each with a reference value of the machine where there is one.

mod command;
mod environment;
mod fill;
mod inviting;
mod machine;
mod noise;
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

use self::command::GuestlistCommand;
use self::environment::{Environment, Progress};
use self::machine::Machine;
use self::noise::Noise;
use self::results::Results;
use self::size::Size;
use self::subject::Subject;

/// The options of a benchmark.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Number of letters and rows, and length of the measurements.
    #[arg(long, value_enum, default_value_t = Size::Quick)]
    size: Size,
    /// Measure only these subjects.
    #[arg(long, value_enum, num_args = 1.., value_name = "NAME")]
    only: Vec<Subject>,
    /// Number of times to measure each subject; the median is compared with the target.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99), value_name = "TIMES")]
    repeat: u16,
    /// Write the results of every repetition into this JSON file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table, the machine and the date into a section of this Markdown file. The section replaces
    /// that of an earlier run with the same size and subjects.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Folder for the temporary data of the servers, on the disk to measure. Default: the system's folder for
    /// temporary files.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// File of the `guestlist` command to measure. Default: the one in the folder of this program, which is
    /// built first if cargo runs this program.
    #[arg(long, value_name = "FILE")]
    guestlist: Option<PathBuf>,
    /// File of another `guestlist` command, such as that of an earlier release, for the subject beside.
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
}

/// Measures the subjects and prints the table. Missed targets do not change the exit status.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let command = GuestlistCommand::find(options.guestlist.as_deref())?;
    let beside = options.beside.as_deref();
    let beside = beside.map(|file| command.other(file)).transpose()?;
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build: its results say nothing about speed; measure with cargo run --release"
        );
    }
    let folder = temporary_folder(options.folder.as_deref())?;
    let subjects = if options.only.is_empty() {
        let all = Subject::ALL.into_iter();
        all.filter(|subject| beside.is_some() || *subject != Subject::Beside)
            .collect()
    } else {
        options.only.clone()
    };
    let progress = Progress::start();
    let machine = Machine::inspect(folder.path());
    let mut noise = Noise::new(folder.path());
    let mut rows = Vec::new();
    {
        let amounts = options.size.amounts();
        let mut environment = Environment::start(
            folder.path(),
            command,
            beside,
            amounts,
            options.repeat,
            progress,
        )
        .await?;
        for (index, subject) in subjects.iter().enumerate() {
            environment
                .progress
                .start_subject(subject.name(), index + 1, subjects.len());
            noise.measure()?;
            let measured = subject.measure(&mut environment).await;
            rows.extend(measured.with_context(|| format!("cannot measure {}", subject.name()))?);
        }
        noise.measure()?;
        rows.extend(noise.rows()?);
    }
    let only = options.only.iter().map(|subject| subject.name()).collect();
    let results = Results::new(machine, options.size, options.repeat, only, rows);
    println!("{}", results.table());
    if let Some(file) = &options.json {
        results.write_json(file)?;
    }
    if let Some(file) = &options.results {
        results.write_markdown(file)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn temporary_folder(parent: Option<&std::path::Path>) -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("guestlist-bench-");
    // Other users may enter it, because Postgres runs as `nobody` if this program runs as root.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711));
    let folder = match parent {
        Some(parent) => builder.tempdir_in(parent),
        None => builder.tempdir(),
    };
    folder.context("cannot create a temporary folder for the data of the servers")
}
