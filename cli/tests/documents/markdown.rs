//! The part of Markdown that the documents use, and the workspace they describe.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A file of the workspace as text.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text between a heading and the next one of any level.
pub(crate) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document
        .split_once(&format!("{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    rest.split_once("\n#").map_or(rest, |(section, _)| section)
}

/// The first block of code in `language`.
pub(crate) fn block<'a>(document: &'a str, language: &str) -> &'a str {
    let (_, rest) = document
        .split_once(&format!("```{language}\n"))
        .unwrap_or_else(|| panic!("no block of {language:?}"));
    rest.split_once("```").unwrap().0
}

/// The code within sentences and tables.
pub(crate) fn spans(document: &str) -> Vec<String> {
    let blocks = document.split("\n```").step_by(2);
    let spans = blocks.flat_map(|text| text.split('`').skip(1).step_by(2));
    // A span may continue on the next line.
    spans.map(|span| span.replace('\n', " ")).collect()
}

/// The rows of every table, without headers and rules, cell by cell.
pub(crate) fn rows(document: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = document.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    let is_head = |index: usize| {
        lines
            .get(index + 1)
            .is_some_and(|next| next.starts_with("|--"))
    };
    lines
        .iter()
        .enumerate()
        .filter(|(index, line)| is_row(line) && !is_head(*index) && !line.starts_with("|--"))
        .map(|(_, line)| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// Every file below a folder of the workspace with this extension.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut folders = vec![workspace().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no .{extension} below {folder}");
    files
}

/// The paths in a document that do not exist: its links, and code that starts like a path of the
/// workspace or ends like one of a source file.
pub(crate) fn missing_paths(document: &str) -> Vec<String> {
    let links = document
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let links = links
        .filter(|link| !link.contains("://"))
        .map(str::to_owned);
    let is_path = |span: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let first = span.split('/').next().unwrap_or_default();
        let top = [
            "src",
            "jobs",
            "cli",
            "tests",
            "templates",
            "migrations",
            "bin",
        ];
        let is_source = [".rs", ".lua", ".hbs", ".sql"]
            .iter()
            .any(|end| span.ends_with(end));
        span.chars().all(plain) && (top.contains(&first) || is_source)
    };
    let paths = spans(document).into_iter().filter(is_path);
    let is_there = |path: &String| {
        let places = [workspace(), workspace().join("templates")];
        places.iter().any(|place| place.join(path).exists())
    };
    links.chain(paths).filter(|path| !is_there(path)).collect()
}
