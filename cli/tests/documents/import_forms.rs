//! The test of the architecture on made-up sources: each form of import is seen, and nothing else is.

use crate::circles::{circles, closes_a_circle, rooms};
use crate::floors::Floors;
use crate::package::{Import, Package};

/// Forms in which the file `a/low.rs` can name `high::Thing`. `a.rs` has a private `use` of it, and the
/// root file re-exports it.
const FORMS: [(&str, &str); 19] = [
    ("plain", "use crate::high::Thing;"),
    ("grouped", "use crate::{other::Other, high::Thing};"),
    (
        "grouped twice",
        "use crate::{other::{self}, high::{deep::{Deep}, Thing}};",
    ),
    ("group of self", "use crate::high::{self};"),
    ("renamed", "use crate::high::Thing as Other;"),
    ("without a name", "use crate::high::Trait as _;"),
    ("glob", "use crate::high::*;"),
    (
        "self",
        "use self::inner::Thing; mod inner { pub(crate) use crate::high::Thing; }",
    ),
    ("super twice", "use super::super::high::Thing;"),
    ("what the parent imported", "use super::Thing;"),
    (
        "what the parent imported, behind a glob",
        "use super::*; fn f(_: Thing) {}",
    ),
    ("re-export of the root", "use crate::Thing;"),
    ("renamed re-export of the root", "use crate::Renamed;"),
    ("re-export of a third file", "use crate::other::Again;"),
    (
        "path in an expression",
        "fn f() { let _ = crate::high::make(); }",
    ),
    (
        "path in a type",
        "struct S { things: Vec<Option<super::super::high::Thing>> }",
    ),
    ("use inside a function", "fn f() { use crate::high; }"),
    (
        "path in a macro's tokens",
        "fn f() { info!(n = %vec![crate::high::make()][0], \"…\"); }",
    ),
    (
        "use in a macro's tokens",
        "macro_rules! m { () => { use $crate::{other, high::Thing}; } }",
    ),
];

#[test]
fn each_form_of_import_is_seen() {
    for (form, text) in FORMS {
        let seen = imports(&low(text));
        let is_seen = seen
            .iter()
            .any(|import| import.from == "src/a/low.rs" && import.to == "src/high.rs");
        assert!(is_seen, "{form}: {seen:?}");
    }
}

#[test]
fn an_upward_import_is_found_in_each_form() {
    let floors = floors(&[
        (2, "`src/high.rs`, `src/high/`"),
        (1, "`src/a.rs` (and its folder), `src/other.rs`"),
    ]);
    for (form, text) in FORMS {
        let imports = imports(&low(text));
        let upward = floors.upward(&imports);
        let is_found = upward.iter().any(|import| import.from == "src/a/low.rs");
        assert!(is_found, "{form}: {imports:?}");
    }
}

#[test]
fn what_is_no_import_is_not_seen() {
    for text in [
        "mod child;",
        "/// See [`crate::high::Thing`].\nstruct S; // crate::high::Thing",
        "pub(in crate::a) struct S;",
        "#[cfg(test)] mod tests { use crate::high::Thing; }",
        "#[cfg(all(test, unix))] use crate::high::Thing;",
        "#[cfg(test)] fn f() { crate::high::make(); }",
        "use ::high::Thing; fn f() { let high = 1; let _ = high.make(); }",
        "fn f() -> &'static str { \"crate::high::Thing\" }",
    ] {
        let mut sources = low(text);
        sources.push(("src/a/low/child.rs", ""));
        let seen = imports(&sources);
        let from_low = seen.iter().find(|import| import.from == "src/a/low.rs");
        assert!(from_low.is_none(), "{text}: {seen:?}");
    }
}

#[test]
fn an_import_is_reported_with_its_line() {
    let imports = imports(&low("\nfn f() {\n    crate::high::make();\n}\n"));
    let import = imports.iter().find(|import| import.from == "src/a/low.rs");
    assert_eq!(import.unwrap().line, 3);
}

#[test]
fn modules_are_found_wherever_their_files_are() {
    let imports = imports(&[
        ("src/lib.rs", "mod a; mod b; mod high;"),
        ("src/a/mod.rs", "mod c;"),
        ("src/a/c.rs", "use crate::high::Thing;"),
        (
            "src/b.rs",
            "#[cfg(x)] mod d; #[cfg(not(x))] #[path = \"b/none.rs\"] mod d; mod e { mod f; }",
        ),
        ("src/b/d.rs", "use crate::high::Thing;"),
        ("src/b/none.rs", "use super::super::high::Thing;"),
        ("src/b/e/f.rs", "use super::super::super::high::Thing;"),
        ("src/high.rs", "pub(crate) struct Thing;"),
    ]);
    let from: Vec<_> = imports.iter().map(|import| import.from.as_str()).collect();
    let files = ["src/a/c.rs", "src/b/d.rs", "src/b/e/f.rs", "src/b/none.rs"];
    assert_eq!(from, files);
}

#[test]
fn an_item_of_the_root_file_is_above_every_floor() {
    let floors = floors(&[(9, "`src/`")]);
    let imports = imports(&[
        ("src/lib.rs", "mod a; fn item() {}"),
        ("src/a.rs", "use crate::item;"),
    ]);
    assert_eq!(floors.upward(&imports).len(), 1);
}

#[test]
fn the_nearest_file_or_folder_decides_about_the_floor() {
    let floors = floors(&[
        (3, "`src/a.rs`, `src/b/`"),
        (2, "`src/a/low.rs`"),
        (1, "`src/b/c/`"),
    ]);
    let of = |file| floors.of(file);
    assert_eq!(of("src/a.rs"), Some(3));
    assert_eq!(of("src/a/low.rs"), Some(2));
    assert_eq!(of("src/a/low/deeper.rs"), Some(2));
    assert_eq!(of("src/a/other.rs"), Some(3));
    assert_eq!(of("src/b/x/y.rs"), Some(3));
    assert_eq!(of("src/b/c/d.rs"), Some(1));
    assert_eq!(of("src/lost.rs"), None);
}

#[test]
fn circles_of_two_and_of_three_are_found() {
    let two = [
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "use crate::{a::A, c::C}; pub struct B;"),
        ("src/c.rs", "pub struct C;"),
    ];
    assert_eq!(circles_of(&two), [vec!["src/a", "src/b"]]);
    let three = [
        ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "fn f() -> crate::c::C {} pub struct B;"),
        ("src/c.rs", "use super::a::A; pub struct C;"),
        ("src/d.rs", "use crate::a::A;"),
    ];
    assert_eq!(circles_of(&three), [vec!["src/a", "src/b", "src/c"]]);
}

#[test]
fn a_circle_may_run_through_folders() {
    let sources = [
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "mod one; mod two;"),
        ("src/a/one.rs", "use crate::b::B;"),
        ("src/a/two.rs", "pub struct Two;"),
        ("src/b.rs", "use crate::a::two::Two; pub struct B;"),
    ];
    assert_eq!(circles_of(&sources), [vec!["src/a", "src/b"]]);
}

#[test]
fn files_of_one_folder_form_no_circle_either() {
    let sources = [
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "mod one; mod two; use one::One;"),
        ("src/a/one.rs", "use super::two::Two; pub struct One;"),
        ("src/a/two.rs", "use super::one::One; pub struct Two;"),
    ];
    assert_eq!(circles_of(&sources), [vec!["src/a/one", "src/a/two"]]);
}

#[test]
fn a_file_and_its_folder_are_one_noun() {
    let none: [Vec<String>; 0] = [];
    let sources = [
        ("src/lib.rs", "mod a;"),
        (
            "src/a.rs",
            "mod verb; pub(crate) use verb::act; pub struct A; fn f() { verb::act(&A); }",
        ),
        ("src/a/verb.rs", "use super::A; pub(crate) fn act(_: &A) {}"),
    ];
    assert_eq!(imports(&sources).len(), 2);
    assert_eq!(circles_of(&sources), none);
}

#[test]
fn only_an_import_within_a_circle_may_be_an_exception() {
    let sources = [
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "use crate::{a::A, c::C}; pub struct B;"),
        ("src/c.rs", "pub struct C;"),
    ];
    let imports = imports(&sources);
    let rooms = rooms(&imports);
    assert!(closes_a_circle(&rooms, "src/b", "src/a"));
    assert!(!closes_a_circle(&rooms, "src/b", "src/c"));
    assert!(!closes_a_circle(&rooms, "src/gone", "src/a"));
}

/// A package whose file `src/a/low.rs` has this text.
fn low(text: &str) -> Vec<(&str, &str)> {
    vec![
        (
            "src/lib.rs",
            "mod a; mod high; mod other; pub use high::Thing; pub use crate::high::Thing as Renamed;",
        ),
        ("src/a.rs", "mod low; use crate::high::Thing;"),
        ("src/a/low.rs", text),
        (
            "src/high.rs",
            "mod deep; pub struct Thing; pub trait Trait {} pub fn make() {}",
        ),
        ("src/high/deep.rs", "pub struct Deep;"),
        (
            "src/other.rs",
            "pub(crate) use super::high::Thing as Again; pub struct Other;",
        ),
    ]
}

fn imports(sources: &[(&str, &str)]) -> Vec<Import> {
    let source = |file: &str| {
        let found = sources.iter().find(|(name, _)| *name == file);
        found.map(|(_, text)| (*text).to_owned())
    };
    Package::read("src/lib.rs", &source).imports()
}

fn circles_of(sources: &[(&str, &str)]) -> Vec<Vec<String>> {
    circles(&rooms(&imports(sources))).into_iter().collect()
}

fn floors(rows: &[(u32, &str)]) -> Floors {
    let mut document = "## Files and floors\n\n| Floor | Files |\n|--|--|\n".to_owned();
    for (floor, places) in rows {
        document.push_str(&format!("| {floor} name | {places} |\n"));
    }
    Floors::read(&document)
}
