//! README and the page of features against the library.

use crate::markdown::{block, read, rows, section};

#[test]
fn the_quick_start_is_the_doctest_of_the_library() {
    let source = read("src/lib.rs");
    let front_page: String = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| !line.starts_with("# #") && !line.starts_with("# fn"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(block(&read("README.md"), "rust"), block(&front_page, ""));
}

#[test]
fn the_release_of_sqlx_is_said_in_the_first_screen() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let sqlx = &manifest["workspace"]["dependencies"]["sqlx"]["version"];
    let release = sqlx.as_str().unwrap().trim_start_matches('=');
    let minor: Vec<&str> = release.split('.').take(2).collect();
    let readme = read("README.md");
    let first_screen: String = readme.lines().take(25).collect();
    let said = format!("sqlx {}", minor.join("."));
    assert!(first_screen.contains(&said), "{said}");
}

#[test]
fn the_procfile_is_the_one_shown() {
    let page = read("docs/operations.md");
    let shown = block(section(&page, "## Procfile"), "");
    assert_eq!(shown, read("Procfile"));
}

#[test]
fn the_cargo_features_are_those_of_the_manifest() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let default = features["default"].as_array().unwrap();
    let wanted = features
        .keys()
        .filter(|name| *name != "default")
        .map(|name| {
            let is_default = default.iter().any(|each| each.as_str() == Some(name));
            (format!("`{name}`"), if is_default { "yes" } else { "no" })
        });
    let page = read("docs/reference/features.md");
    let rows = rows(&page);
    let found = rows.iter().map(|row| (row[0].to_owned(), row[1]));
    assert!(found.eq(wanted));
}
