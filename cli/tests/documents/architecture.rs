//! docs/architecture.md against the tests and imports of the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::markdown::{files, missing_paths, read, rows, section, spans, workspace};

#[test]
fn every_path_named_exists() {
    let none: [String; 0] = [];
    assert_eq!(missing_paths(&read("docs/architecture.md")), none);
    assert_eq!(missing_paths(&read("CHANGELOG.md")), none);
}

#[test]
fn every_test_named_exists() {
    let document = read("docs/architecture.md");
    let named: Vec<String> = document
        .split("\n\n")
        .filter(|paragraph| paragraph.starts_with("Guarded by "))
        .flat_map(spans)
        .collect();
    assert!(named.len() > 50, "{named:?}");
    let sources = sources();
    for test in named {
        let function = format!("fn {test}(");
        let is_there = sources.iter().any(|source| source.contains(&function));
        assert!(is_there, "there is no test {test}");
    }
}

#[test]
fn every_promise_has_a_guard() {
    let document = read("docs/architecture.md");
    let headings: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("### "))
        .collect();
    assert_eq!(headings.len(), 9);
    for heading in headings {
        assert!(
            section(&document, heading).contains("\nGuarded by `"),
            "{heading}"
        );
    }
}

#[test]
fn imports_go_down() {
    let document = read("docs/architecture.md");
    let floors = floors(&document);
    for folder in ["src", "jobs/src"] {
        for path in files(folder, "rs") {
            let Some(module) = module(folder, &path) else {
                continue;
            };
            let from = floors
                .get(&module)
                .unwrap_or_else(|| panic!("{module} has no floor"));
            for imported in imports(folder, &path) {
                let Some(to) = floors.get(&imported) else {
                    continue;
                };
                assert!(to <= from, "{module} imports {imported} from above");
            }
        }
    }
}

#[test]
fn apalis_has_one_door_and_so_has_settling() {
    for (text, door) in [
        ("use apalis", "jobs/src/queue/apalis_worker.rs"),
        ("outbox::complete(", "jobs/src/settle.rs"),
        ("outbox::postpone(", "jobs/src/settle.rs"),
        ("outbox::bury(", "jobs/src/settle.rs"),
    ] {
        let found: Vec<_> = files("jobs/src", "rs")
            .into_iter()
            .filter(|path| fs::read_to_string(path).unwrap().contains(text))
            .collect();
        assert_eq!(found, [workspace().join(door)], "{text}");
    }
}

/// The floor of each file in the table.
fn floors(document: &str) -> BTreeMap<String, u32> {
    let mut floors = BTreeMap::new();
    for row in rows(section(document, "## The house")) {
        let Some(floor) = row[0]
            .split(' ')
            .next()
            .and_then(|first| first.parse().ok())
        else {
            continue;
        };
        floors.extend(spans(row[1]).into_iter().map(|file| (file, floor)));
    }
    assert!(floors.len() > 30, "{floors:?}");
    floors
}

/// The top-level file a source file belongs to, unless it only declares the package's modules.
fn module(folder: &str, path: &Path) -> Option<String> {
    let root = workspace().join(folder);
    let inside = path.strip_prefix(root).unwrap();
    let name = inside.iter().next().unwrap().to_str().unwrap();
    let name = name.trim_end_matches(".rs");
    (!["lib", "main"].contains(&name)).then(|| format!("{folder}/{name}.rs"))
}

/// The top-level files that a source file imports by `crate::`.
fn imports(folder: &str, path: &Path) -> Vec<String> {
    let source = fs::read_to_string(path).unwrap();
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            format!("{folder}/{}.rs", &rest[..end.unwrap_or(rest.len())])
        })
        .collect()
}

fn sources() -> Vec<String> {
    [
        "src",
        "tests",
        "jobs/src",
        "jobs/tests",
        "cli/tests",
        "trials/tests",
    ]
    .into_iter()
    .flat_map(|folder| files(folder, "rs"))
    .map(|path| fs::read_to_string(path).unwrap())
    .collect()
}
