//! The machine and the versions on which the benchmark ran.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::Utc;
use guestlist_testkit::program;
use serde_json::{Value as Json, json};

use crate::proc_field::proc_field;

/// Named properties of the machine, to be shown with the results.
#[derive(Debug, Clone)]
pub(crate) struct Machine(Vec<(&'static str, String)>);

impl Machine {
    /// Collects the properties before a measurement starts. `folder` is on the disk that will hold the data.
    pub(crate) fn inspect(folder: &Path) -> Self {
        let build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        Self(vec![
            ("date", Utc::now().format("%Y-%m-%d %H:%M UTC").to_string()),
            (
                "guestlist",
                format!("{} ({build}), {}", env!("CARGO_PKG_VERSION"), commit()),
            ),
            ("processors", processors()),
            ("memory", memory()),
            (
                "disk",
                last_line(
                    "df",
                    &["--output=fstype,source", &folder.display().to_string()],
                ),
            ),
            (
                "system",
                format!(
                    "{}, Linux {}",
                    distribution(),
                    read("/proc/sys/kernel/osrelease")
                ),
            ),
            ("load before the run", load()),
            ("Postgres", version("postgres", "--version")),
            ("Redis", version("redis-server", "--version")),
            ("pgbench", version("pgbench", "--version")),
            (
                "Postfix (smtp-sink, smtp-source)",
                version("postconf", "-dh mail_version"),
            ),
            ("rustc", last_line("rustc", &["--version"])),
        ])
    }

    pub(crate) fn properties(&self) -> &[(&'static str, String)] {
        &self.0
    }

    pub(crate) fn json(&self) -> Json {
        self.0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

const UNKNOWN: &str = "unknown";

fn version(program: &str, arguments: &str) -> String {
    let arguments: Vec<_> = arguments.split(' ').collect();
    match program::find(program) {
        Ok(file) => last_line(&file.to_string_lossy(), &arguments),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// Returns the last line of a program's output.
fn last_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.unwrap_or_default().lines().last().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ")
    });
    line.filter(|line| !line.is_empty())
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "commit unknown".to_owned();
    };
    let is_changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    format!(
        "commit {commit}{}",
        if is_changed { " with changes" } else { "" }
    )
}

fn processors() -> String {
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = proc_field("/proc/cpuinfo", "model name")
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{count} of {model}")
}

fn memory() -> String {
    let total = proc_field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    total.map_or_else(
        || UNKNOWN.to_owned(),
        |kilobytes| format!("{:.1} GiB", kilobytes as f64 / 1_048_576.0),
    )
}

fn distribution() -> String {
    let text = read("/etc/os-release");
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or(std::env::consts::OS)
        .trim_matches('"')
        .to_owned()
}

fn load() -> String {
    let load = read("/proc/loadavg");
    load.split(' ').next().unwrap_or(UNKNOWN).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
