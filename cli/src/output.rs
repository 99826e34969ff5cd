//! Results on stdout: one JSON object a line for programs, tables and sentences for people.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value as Json;

use super::failure::{Failure, Reason, Status};

/// The form in which results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// An item of a list.
pub(crate) trait Row {
    /// The titles of the columns.
    const HEADER: &'static [&'static str];

    /// Returns the object for programs.
    fn json(&self) -> Json;

    /// Returns the texts for people, one for each column.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints an object in a line of its own.
    pub(crate) fn object(self, object: &Json) -> io::Result<()> {
        self.line(object)
    }

    /// Prints a text in a line of its own.
    pub(crate) fn line(self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{line}")
    }

    /// Prints many lines at once.
    pub(crate) fn lines<L: fmt::Display>(
        self,
        lines: impl IntoIterator<Item = L>,
    ) -> io::Result<()> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        lines
            .into_iter()
            .try_for_each(|line| writeln!(stdout, "{line}"))?;
        stdout.flush()
    }

    /// Prints a note for people on stderr; a closed stderr is ignored.
    pub(crate) fn note(self, note: impl fmt::Display) {
        let _ = writeln!(io::stderr().lock(), "{note}");
    }

    /// Prints the reason of a failure, and returns its exit status.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Reason(reason) => self.reason(reason),
            Failure::OutputClosed => Status::Done.into(),
        }
    }

    /// Prints a reason: to stderr for people, to stdout for programs, a fault to both.
    pub(crate) fn reason(self, reason: &Reason) -> ExitCode {
        let is_printed = self.json && self.object(&Json::Object(reason.json())).is_ok();
        if !is_printed || reason.status() == Status::Fault {
            self.note(reason);
        }
        reason.status().into()
    }

    /// Prints a result, as an object or as a sentence.
    pub(crate) fn sentence(
        self,
        object: Json,
        sentence: impl fmt::Display,
    ) -> Result<Status, Failure> {
        if self.json {
            self.object(&object)?
        } else {
            self.line(sentence)?
        }
        Ok(Status::Done)
    }

    /// Prints one item: as an object, or as a sentence for people.
    pub(crate) fn one<R: Row>(
        self,
        row: &R,
        sentence: impl fmt::Display,
    ) -> Result<Status, Failure> {
        self.sentence(row.json(), sentence)
    }

    /// Prints a page of items: an object each, or an aligned table.
    pub(crate) fn rows<R: Row>(self, rows: &[R]) -> io::Result<()> {
        if self.json {
            return self.lines(rows.iter().map(Row::json));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let header = R::HEADER.iter().map(|title| title.to_uppercase());
        self.table(header, rows.iter().map(Row::cells))
    }

    /// Prints an aligned table.
    pub(crate) fn table(
        self,
        header: impl IntoIterator<Item = String>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        table.add_rows(
            rows.into_iter()
                .map(|cells| cells.iter().map(|cell| printable(cell)).collect::<Vec<_>>()),
        );
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.lines(table.lines().map(|line| line.trim_end().to_owned()))
    }
}

/// Removes characters that would control a terminal, such as the colours in a mail server's reply.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Formats a time for people.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats a value that may be missing.
pub(crate) fn or_dash(text: Option<impl fmt::Display>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}
