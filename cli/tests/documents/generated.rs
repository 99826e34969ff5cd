//! Parts of pages that are generated from the code.

use std::fs;

use crate::markdown::{read, workspace};

/// Compares the part of a page between `<!-- generated: NAME -->` and `<!-- end -->` with `wanted`.
/// With `UPDATE=1` in the environment, writes it there instead.
pub(crate) fn assert_generated(page: &str, name: &str, wanted: &str) {
    let document = read(page);
    let start = format!("<!-- generated: {name} -->\n");
    let (before, rest) = document
        .split_once(&start)
        .unwrap_or_else(|| panic!("{page} has no line {start:?}"));
    let (found, after) = rest
        .split_once("<!-- end -->\n")
        .unwrap_or_else(|| panic!("{page}: no <!-- end --> after {start:?}"));
    let wanted = format!("\n{}\n\n", wanted.trim_end());
    if found != wanted {
        let updated = format!("{before}{start}{wanted}<!-- end -->\n{after}");
        assert_page(page, &updated);
    }
}

/// Compares a whole page with `wanted`, or writes it with `UPDATE=1` in the environment.
pub(crate) fn assert_page(page: &str, wanted: &str) {
    let document = read(page);
    if document == wanted {
        return;
    }
    let is_updated = std::env::var("UPDATE").as_deref() == Ok("1");
    let differs = document
        .lines()
        .zip(wanted.lines())
        .find(|(found, wanted)| found != wanted);
    assert!(
        is_updated,
        "{page} is not what the code says; the first difference: {differs:#?}\nto write it anew: \
         UPDATE=1 cargo nextest run --workspace -E 'binary(documents)'"
    );
    fs::write(workspace().join(page), wanted).unwrap();
}

/// A table of Markdown; `|` inside a cell is escaped.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let mut table = line(&head);
    table += &format!("|{}\n", "---|".repeat(head.len()));
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let row: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        table += &line(&row);
    }
    table
}
