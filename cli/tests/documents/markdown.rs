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
    let is_rule = |line: &str| line.starts_with("|--") || line.starts_with("| --");
    let is_head = |index: usize| lines.get(index + 1).is_some_and(|next| is_rule(next));
    lines
        .iter()
        .enumerate()
        .filter(|(index, line)| is_row(line) && !is_head(*index) && !is_rule(line))
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

/// The text outside of blocks of code.
fn prose(document: &str) -> String {
    let mut is_code = false;
    let outside = document.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    outside.flat_map(|line| [line, "\n"]).collect()
}

/// The targets of all links and pictures.
pub(crate) fn links(document: &str) -> Vec<String> {
    let prose = prose(document);
    let targets = prose.split("](").skip(1);
    targets
        .map(|rest| rest.split(')').next().unwrap().to_owned())
        .collect()
}

/// The anchors of all headings, as mdBook and GitHub name them.
pub(crate) fn anchors(document: &str) -> Vec<String> {
    let prose = prose(document);
    let headings = prose.lines().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.trim())
    });
    headings
        .map(|heading| {
            let kept = heading.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.flat_map(char::to_lowercase).collect()
        })
        .collect()
}

/// The code in sentences that starts like a path of the workspace or ends like a source file.
pub(crate) fn paths(document: &str) -> Vec<String> {
    let is_path = |span: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let first = span.split('/').next().unwrap_or_default();
        let is_source = [".rs", ".lua", ".hbs", ".sql"]
            .iter()
            .any(|end| span.ends_with(end));
        span.chars().all(plain) && (TOP_LEVEL.contains(&first) || is_source)
    };
    spans(document).into_iter().filter(is_path).collect()
}

/// Folders at the top of the workspace, which a path in a document starts with.
const TOP_LEVEL: [&str; 14] = [
    "src",
    "jobs",
    "cli",
    "testkit",
    "tests",
    "templates",
    "migrations",
    "bin",
    "docs",
    "examples",
    "trials",
    "benches",
    "operations",
    ".github",
];

/// Every page of the book, by its path from the folder of the workspace.
pub(crate) fn pages() -> Vec<String> {
    let mut pages: Vec<String> = files("docs", "md")
        .iter()
        .map(|path| relative(path))
        .collect();
    pages.retain(|page| page != "docs/SUMMARY.md");
    pages.sort();
    pages
}

/// Every document: the pages of the book and those that lie elsewhere.
pub(crate) fn documents() -> Vec<String> {
    let mut documents = pages();
    documents.push("docs/SUMMARY.md".to_owned());
    documents.extend(files("operations", "md").iter().map(|path| relative(path)));
    documents.extend(files(".github", "md").iter().map(|path| relative(path)));
    documents.push("examples/team/README.md".to_owned());
    documents.push("trials/README.md".to_owned());
    documents.push("trials/RESULTS.md".to_owned());
    let top = fs::read_dir(workspace()).unwrap();
    let top = top.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    documents.extend(top.filter(|name| name.ends_with(".md")));
    documents
}

pub(crate) fn relative(path: &Path) -> String {
    let path = path.strip_prefix(workspace()).unwrap();
    path.to_str().unwrap().to_owned()
}
