//! Output of the results: a table, a JSON file and a section of a Markdown file.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::json;

use super::machine::Machine;
use super::noise;
use super::row::{HEADER, Row};
use super::size::Size;
use crate::results;

pub(crate) struct Results {
    machine: Machine,
    size: Size,
    repeat: u16,
    /// The names of the subjects, if not all of them were measured.
    only: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Results {
    pub(crate) fn new(
        machine: Machine,
        size: Size,
        repeat: u16,
        only: Vec<&'static str>,
        rows: Vec<Row>,
    ) -> Self {
        Self {
            machine,
            size,
            repeat,
            only,
            rows,
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(HEADER);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        if let Some(ratio) = table.column_mut(5) {
            ratio.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n{}", self.summary())
    }

    /// Describes how many targets were met, which were missed, and the noise of the machine.
    fn summary(&self) -> String {
        let with_target = self.rows.iter().filter_map(Row::is_met);
        let met = with_target.clone().filter(|met| *met).count();
        let missed: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.is_met() == Some(false))
            .map(|row| format!("{} ({})", row.subject(), row.measure()))
            .collect();
        let mut text = format!("{met} of {} targets met", with_target.count());
        if !missed.is_empty() {
            text.push_str("; missed: ");
            text.push_str(&missed.join(", "));
        }
        text.push_str(". Noise of the machine:");
        for row in self
            .rows
            .iter()
            .filter(|row| row.subject() == noise::SUBJECT)
        {
            let percent = row.spread() * 100.0;
            text.push_str(&format!(
                " {} differed by {percent:.0} % of the median,",
                row.measure()
            ));
        }
        text.pop();
        text.push('.');
        text
    }

    pub(crate) fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        let object = json!({
            "size": self.size.name(),
            "repeat": self.repeat,
            "machine": self.machine.json(),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        let text = format!("{object:#}\n");
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Writes the section into the file. It replaces the one with the same size and subjects.
    pub(crate) fn write_markdown(&self, file: &Path) -> anyhow::Result<()> {
        let mut title = format!("Speed, {}", self.size.name());
        if !self.only.is_empty() {
            title.push_str(&format!(", only {}", self.only.join(" ")));
        }
        results::write_section(file, &title, &self.section())
    }

    fn section(&self) -> String {
        let mut text = format!(
            "Written by `trials bench --size {} --repeat {}{}`: medians, in parentheses the lowest and the \
             highest value. {}\n\n",
            self.size.name(),
            self.repeat,
            match self.only.as_slice() {
                [] => String::new(),
                only => format!(" --only {}", only.join(" ")),
            },
            self.summary()
        );
        text.push_str(&line(&HEADER.map(str::to_owned)));
        text.push_str(&line(&HEADER.map(|_| "---".to_owned())));
        for row in &self.rows {
            text.push_str(&line(&row.cells()));
        }
        text.push_str("\n| Measured on | |\n|---|---|\n");
        for (name, value) in self.machine.properties() {
            text.push_str(&line(&[(*name).to_owned(), value.clone()]));
        }
        text.push_str(
            "\nThe servers ran only for this benchmark, on loopback and with default settings, except that Postgres had \
             more connections and recorded commit times. Postgres synced every commit; Redis had no persistence. \
             The host was this program, the workers were processes of `guestlist`.\n",
        );
        text
    }
}

/// Formats a row of a Markdown table.
fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sections_stay_whole_in_either_order() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::inspect(folder.path());
        let bench_only = |file: &Path, repeat, only| {
            let results = Results::new(machine.clone(), Size::Tiny, repeat, only, Vec::new());
            results.write_markdown(file).unwrap();
        };
        let bench = |file: &Path, repeat| bench_only(file, repeat, Vec::new());
        let chaos =
            |file: &Path, body| results::write_section(file, "Chaos, seed 1", body).unwrap();
        for bench_is_first in [true, false] {
            let file = folder.path().join(format!("{bench_is_first}.md"));
            fs::write(&file, "# Results\n\nIntro.\n").unwrap();
            let read = || fs::read_to_string(&file).unwrap();
            if bench_is_first {
                bench(&file, 1);
            }
            chaos(&file, "Nothing lost.");
            bench(&file, 1);
            let document = read();
            assert!(
                document.starts_with("# Results\n\nIntro.\n\n"),
                "{document}"
            );
            assert_eq!(document.matches("## ").count(), 2, "{document}");

            chaos(&file, "One lost.");
            let lost = document.replace("Nothing lost.", "One lost.");
            assert_eq!(read(), lost);
            bench(&file, 2);
            bench(&file, 1);
            assert_eq!(read(), lost);

            bench_only(&file, 1, vec!["drain", "both"]);
            let document = read();
            assert!(
                document.contains("## Speed, tiny, only drain both\n"),
                "{document}"
            );
            assert!(
                document.contains("--repeat 1 --only drain both`"),
                "{document}"
            );
            assert_eq!(document.matches("## ").count(), 3, "{document}");
        }
    }

    #[test]
    fn a_pipe_in_a_cell_is_escaped() {
        assert_eq!(line(&["a|b".to_owned(), "c".to_owned()]), "| a\\|b | c |\n");
    }
}
