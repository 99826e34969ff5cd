//! The page of promises against the tests that guard them.

use std::fs;
use std::path::PathBuf;

use crate::generated::{assert_generated, assert_page, table};
use crate::markdown::{files, read, relative, section};

const PAGE: &str = "docs/promises.md";

#[test]
fn every_promise_is_guarded_by_tests_that_exist() {
    // One test, because both write the page where it is to be updated.
    name_the_files_of_tests();
    count_the_tests_of_each_promise();
}

/// Writes behind each test the file that holds it.
fn name_the_files_of_tests() {
    let sources = sources();
    let document = read(PAGE);
    let mut named = 0;
    let lines = document.lines().map(|line| {
        let test = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split('`').next());
        let Some(test) = test else {
            return format!("{line}\n");
        };
        named += 1;
        let function = format!("fn {test}(");
        let holders = sources.iter().filter(|(_, text)| text.contains(&function));
        let files: Vec<String> = holders.map(|(path, _)| format!("`{path}`")).collect();
        assert!(!files.is_empty(), "there is no test {test}");
        format!("| `{test}` | {} |\n", files.join(", "))
    });
    let wanted: String = lines.collect();
    assert!(named > 120, "{named}");
    assert_page(PAGE, &wanted);
}

/// Lists the promises, each with its first sentence and the number of its tests.
fn count_the_tests_of_each_promise() {
    let document = read(PAGE);
    let headings = document.lines().filter(|line| line.starts_with("## "));
    let rows: Vec<Vec<String>> = headings
        .map(|heading| {
            let text = section(&document, heading);
            let tests = text.lines().filter(|line| line.starts_with("| `")).count();
            assert!(tests > 0, "{heading}");
            let title = heading.trim_start_matches("## ");
            let prose = text.split("| Test |").next().unwrap().replace('\n', " ");
            let sentence = prose.split_inclusive(". ").next().unwrap().trim();
            vec![title.to_owned(), sentence.to_owned(), tests.to_string()]
        })
        .collect();
    assert!(rows.len() > 9, "{rows:?}");
    let table = table(&["Promise", "In short", "Tests"], rows);
    assert_generated(PAGE, "overview", &table);
}

/// Every source file that may hold a test, by its path.
fn sources() -> Vec<(String, String)> {
    let folders = [
        "src",
        "tests",
        "jobs/src",
        "jobs/tests",
        "cli/src",
        "cli/tests",
        "trials/src",
        "trials/tests",
    ];
    let mut paths: Vec<PathBuf> = folders
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (relative(path), fs::read_to_string(path).unwrap()))
        .collect()
}
