//! Writes results into a Markdown file with a section for each trial.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::proc_field::proc_field;

/// Writes a section into a Markdown file. It replaces the section with the same title, or is appended.
pub(crate) fn write_section(file: &Path, title: &str, body: &str) -> anyhow::Result<()> {
    let before = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "# Results of the trials\n".to_owned()
        }
        read => read.with_context(|| format!("{}", file.display()))?,
    };
    fs::write(file, with_section(&before, title, body))
        .with_context(|| format!("{}", file.display()))
}

fn with_section(before: &str, title: &str, body: &str) -> String {
    let heading = format!("## {title}");
    let section = format!("{heading}\n\n{}\n", body.trim());
    let mut sections: Vec<String> = vec![String::new()];
    for line in before.lines() {
        if line.starts_with("## ") {
            sections.push(String::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    let is_same = |section: &String| section.lines().next() == Some(&heading);
    match sections.iter().position(is_same) {
        Some(index) => sections[index] = section,
        None => sections.push(section),
    }
    let mut text = String::new();
    for section in sections.iter().map(|section| section.trim()) {
        if !section.is_empty() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{section}\n"));
        }
    }
    text
}

/// A Markdown list of the date, the machine, the build, the versions and the command.
pub(crate) fn circumstances() -> String {
    let mut lines = String::new();
    for (name, value) in [
        (
            "Date",
            chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        ),
        ("Machine", machine()),
        ("Build", build()),
        ("Versions", versions()),
        (
            "Command",
            std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        ),
    ] {
        let value = if name == "Command" {
            format!("`trials {value}`")
        } else {
            value
        };
        let _ = writeln!(lines, "- {name}: {value}");
    }
    lines
}

fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = proc_field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = proc_field("/proc/meminfo", "MemTotal")
        .and_then(|total| total.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes.div_ceil(1 << 20));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let kernel = first_line("uname", &["-sr"]);
    format!("{processors} cores ({model}), {memory} GiB, {kernel}; load at the end {load}")
}

fn build() -> String {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let commit = first_line("git", &["describe", "--always", "--dirty"]);
    format!("{profile}, commit {commit}")
}

fn versions() -> String {
    let postgres =
        guestlist_testkit::program::find("postgres").unwrap_or_else(|_| "postgres".into());
    [
        first_line(&postgres.to_string_lossy(), &["--version"]),
        first_line("redis-server", &["--version"]),
        first_line("rustc", &["--version"]),
    ]
    .join("; ")
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    match String::from_utf8_lossy(&text).lines().next() {
        Some(line) => line.to_owned(),
        None => format!("{program} unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_added_once_and_then_replaced_in_place() {
        let first = with_section("# Results\n\nIntro.\n", "One", "a\n");
        assert_eq!(first, "# Results\n\nIntro.\n\n## One\n\na\n");
        let second = with_section(&first, "Two", "b");
        assert_eq!(
            second,
            "# Results\n\nIntro.\n\n## One\n\na\n\n## Two\n\nb\n"
        );
        let again = with_section(&second, "One", "c\n\n### More\n");
        assert_eq!(
            again,
            "# Results\n\nIntro.\n\n## One\n\nc\n\n### More\n\n## Two\n\nb\n"
        );
    }
}
