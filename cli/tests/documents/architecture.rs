//! docs/architecture.md against the imports of the workspace.

use std::collections::BTreeSet;
use std::fs;

use crate::circles::{circles, rooms, within};
use crate::floors::Floors;
use crate::markdown::{files, read, workspace};
use crate::package::{Import, Package};

const PAGE: &str = "docs/architecture.md";

/// Packages that no other package links. Their files need no floor; circles are looked for all the same.
const WITHOUT_FLOORS: [&str; 1] = ["trials/src"];

#[test]
fn imports_go_down() {
    let floors = Floors::read(&read(PAGE));
    for package in packages() {
        if WITHOUT_FLOORS.contains(&package.folder.as_str()) {
            continue;
        }
        for file in &package.files {
            assert!(floors.of(file).is_some(), "{file} has no floor");
        }
        let upward = floors.upward(&package.imports);
        assert!(upward.is_empty(), "from above:\n{}", lines(upward));
    }
}

#[test]
fn every_place_with_a_floor_exists() {
    for place in Floors::read(&read(PAGE)).places() {
        let path = workspace().join(place);
        assert!(path.exists(), "there is no {place}");
        assert_eq!(path.is_dir(), place.ends_with('/'), "{place}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let packages = packages();
    let rooms = rooms(packages.iter().flat_map(|package| &package.imports));
    let circles: Vec<String> = circles(&rooms)
        .into_iter()
        .map(|circle| format!("{}:\n{}", circle.join(", "), lines(within(&rooms, &circle))))
        .collect();
    assert!(
        circles.is_empty(),
        "circles of files:\n{}",
        circles.join("\n")
    );
}

#[test]
fn apalis_has_one_door_and_so_has_settling() {
    for (text, door) in [
        ("use apalis", "jobs/src/queue/apalis_worker.rs"),
        ("outbox::complete(", "jobs/src/settle.rs"),
        ("outbox::postpone(", "jobs/src/settle.rs"),
        ("outbox::give_up(", "jobs/src/settle.rs"),
    ] {
        let found: Vec<_> = files("jobs/src", "rs")
            .into_iter()
            .filter(|path| fs::read_to_string(path).unwrap().contains(text))
            .collect();
        assert_eq!(found, [workspace().join(door)], "{text}");
    }
}

/// The sources of one package of the workspace.
struct Sources {
    folder: String,
    files: BTreeSet<String>,
    imports: Vec<Import>,
}

/// Every package whose sources lie in `src` of the workspace or of a folder in it.
fn packages() -> Vec<Sources> {
    let source = |file: &str| fs::read_to_string(workspace().join(file)).ok();
    let entries = fs::read_dir(workspace()).unwrap();
    let folders = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let folders = folders.map(|folder| format!("{folder}/src"));
    let mut packages = Vec::new();
    for folder in folders.chain(["src".to_owned()]) {
        let roots = [format!("{folder}/lib.rs"), format!("{folder}/main.rs")];
        let roots = roots.iter().filter(|root| workspace().join(root).exists());
        let crates: Vec<Package> = roots.map(|root| Package::read(root, &source)).collect();
        if !crates.is_empty() {
            packages.push(Sources {
                files: crates.iter().flat_map(Package::files).collect(),
                imports: crates.iter().flat_map(Package::imports).collect(),
                folder,
            });
        }
    }
    assert!(packages.len() > 2, "packages not found");
    packages
}

/// One line for each import.
fn lines<'a>(imports: impl IntoIterator<Item = &'a Import>) -> String {
    let lines = imports
        .into_iter()
        .map(|Import { from, to, line }| format!("{from}:{line} imports {to}\n"));
    lines.collect()
}
