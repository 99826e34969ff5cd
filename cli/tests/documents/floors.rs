//! The floors of the architecture page.

use std::collections::BTreeMap;

use crate::markdown::{rows, section, spans};
use crate::package::Import;

/// The floor of each file and each folder in the table. A folder is written with a slash at its end.
pub(crate) struct Floors(BTreeMap<String, u32>);

impl Floors {
    /// Reads the table of the page.
    pub(crate) fn read(document: &str) -> Floors {
        let mut floors = BTreeMap::new();
        for row in rows(section(document, "## Files and floors")) {
            let first = row[0].split(' ').next();
            if let Some(floor) = first.and_then(|first| first.parse().ok()) {
                floors.extend(spans(row[1]).into_iter().map(|place| (place, floor)));
            }
        }
        assert!(!floors.is_empty(), "no table of floors");
        Floors(floors)
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The floor of a file: its own in the table, else that of the nearest file or folder it belongs
    /// to. The root file of a package stands above all floors, because it declares every other file.
    pub(crate) fn of(&self, file: &str) -> Option<u32> {
        let mut place = file.strip_suffix(".rs").unwrap();
        if place.ends_with("src/lib") || place.ends_with("src/main") {
            return Some(u32::MAX);
        }
        loop {
            let forms = [format!("{place}.rs"), format!("{place}/")];
            if let Some(floor) = forms.iter().find_map(|form| self.0.get(form)) {
                return Some(*floor);
            }
            place = place.rsplit_once('/')?.0;
        }
    }

    /// The imports that go up.
    pub(crate) fn upward<'a>(&self, imports: &'a [Import]) -> Vec<&'a Import> {
        let is_upward = |import: &&Import| self.of(&import.to) > self.of(&import.from);
        imports.iter().filter(is_upward).collect()
    }
}
