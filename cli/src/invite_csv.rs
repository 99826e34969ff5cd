//! A CSV file of people to invite, read row by row.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::ByteRecord;
use guestlist::{EmailAddress, Error, Invite, Locale, PersonalMessage, Role};

use super::failure::{Failure, Reason};

/// The options that apply to every invitation of a command.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) role: Option<Role>,
    pub(crate) locale: Locale,
    pub(crate) message: Option<PersonalMessage>,
    pub(crate) supersede: bool,
}

/// A person to invite, or the reason why the row or address is invalid.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The line in the file.
    pub(crate) line: Option<u64>,
    /// The address as given.
    pub(crate) email: String,
    pub(crate) invite: Result<Invite, Wrong>,
}

/// A mistake in a row, with its column.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) column: Option<&'static str>,
    pub(crate) reason: Reason,
}

impl Terms {
    /// Makes a candidate from an address alone.
    pub(crate) fn candidate(&self, email: &str) -> Candidate {
        let invite = self.invite(email, "", "").map_err(|wrong| Wrong {
            column: None,
            ..wrong
        });
        Candidate {
            line: None,
            email: email.to_owned(),
            invite,
        }
    }

    fn invite(&self, email: &str, role: &str, locale: &str) -> Result<Invite, Wrong> {
        let email = email
            .parse::<EmailAddress>()
            .map_err(|error| Wrong::at(EMAIL, error))?;
        let role = match (role.trim_matches(' '), &self.role) {
            ("", Some(role)) => role.clone(),
            ("", None) => {
                return Err(Wrong::new(
                    ROLE,
                    Reason::invalid("invalid_role", "the role is missing"),
                ));
            }
            (role, _) => role
                .parse()
                .map_err(|error: guestlist::InvalidRole| Wrong::at(ROLE, error))?,
        };
        let locale = match locale.trim_matches(' ') {
            "" => self.locale.clone(),
            locale => locale
                .parse()
                .map_err(|error: guestlist::InvalidLocale| Wrong::at(LOCALE, error))?,
        };
        let invite = Invite::new(email, role).locale(locale);
        let invite = match &self.message {
            Some(message) => invite.message(message.clone()),
            None => invite,
        };
        Ok(if self.supersede {
            invite.superseding()
        } else {
            invite
        })
    }
}

const EMAIL: &str = "email";
const ROLE: &str = "role";
const LOCALE: &str = "locale";

impl Wrong {
    fn new(column: &'static str, reason: Reason) -> Self {
        Self {
            column: Some(column),
            reason,
        }
    }

    fn at(column: &'static str, error: impl Into<Error>) -> Self {
        Self::new(column, error.into().into())
    }
}

/// An open file of people, after its header was read.
pub(crate) struct People {
    terms: Terms,
    reader: csv::Reader<Box<dyn Read>>,
    columns: Columns,
    record: ByteRecord,
    name: String,
    length: Option<u64>,
}

/// The positions of the columns.
#[derive(Debug, Clone, Copy)]
struct Columns {
    count: usize,
    email: usize,
    role: Option<usize>,
    locale: Option<usize>,
}

impl People {
    /// Opens a file, or stdin for `-`, and reads its header.
    pub(crate) fn open(path: &Path, terms: Terms) -> Result<Self, Failure> {
        let (name, source, length): (_, Box<dyn Read>, _) = if path == Path::new("-") {
            ("stdin".to_owned(), Box::new(io::stdin()), None)
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|problem| unreadable(&name, &problem))?;
            let length = file.metadata().ok().map(|metadata| metadata.len());
            (name, Box::new(file), length)
        };
        // Only LF ends a row, and the last row has one too, so that lines can be counted.
        let source: Box<dyn Read> = Box::new(source.chain(END));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(source);
        let header = reader
            .byte_headers()
            .map_err(|problem| unreadable(&name, &problem))?;
        let columns = check_header(header)
            .and_then(|()| Columns::of(header, terms.role.is_some()))
            .map_err(|problem| {
                Reason::invalid("header", format!("{name}, line 1: {problem}")).with("line", 1)
            })?;
        Ok(Self {
            terms,
            reader,
            columns,
            record: ByteRecord::new(),
            name,
            length,
        })
    }

    /// Returns the length in bytes, if it is a file.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the number of bytes read.
    pub(crate) fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Reads the next rows, at most `limit`; none at the end.
    pub(crate) fn batch(&mut self, limit: usize) -> Result<Vec<Candidate>, Failure> {
        let mut candidates = Vec::with_capacity(limit);
        while candidates.len() < limit {
            let read = self.reader.read_byte_record(&mut self.record);
            if !read.map_err(|problem| unreadable(&self.name, &problem))? {
                break;
            }
            let is_end = self.record.len() == 1 && self.record[0] == END[1..];
            if !is_end && (self.record.len() > 1 || !self.field(0).is_empty()) {
                candidates.push(self.candidate());
            }
        }
        Ok(candidates)
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            line: Some(self.line()),
            email: self.shown_email(),
            invite: self.invite(),
        }
    }

    /// Returns the address to show. In a row with an unclosed quote it is cut after its first line,
    /// because the field contains the rest of the file.
    fn shown_email(&self) -> String {
        let email = String::from_utf8_lossy(self.field(self.columns.email));
        let shown = match email.split_once('\n') {
            Some((first, _)) if is_unclosed(&self.record) => first,
            _ => &email,
        };
        shown.trim_matches(' ').to_owned()
    }

    /// Returns the line the row starts on. The reader gives the first blank line before the row
    /// instead, so it is counted back from the end of the row.
    fn line(&self) -> u64 {
        let inside = self
            .record
            .as_slice()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let inside = u64::try_from(inside).unwrap_or_default();
        // A row with an unclosed quote has no LF after it.
        let behind = u64::from(!is_unclosed(&self.record));
        let start = (self.reader.position().line()).saturating_sub(behind + inside);
        self.record
            .position()
            .map_or(start, |position| position.line().max(start))
    }

    /// Returns a field, empty if the row is too short; the last one without the CR of a CRLF.
    fn field(&self, index: usize) -> &[u8] {
        let field = self.record.get(index).unwrap_or_default();
        if index + 1 == self.record.len() {
            field.strip_suffix(b"\r").unwrap_or(field)
        } else {
            field
        }
    }

    fn invite(&self) -> Result<Invite, Wrong> {
        if is_unclosed(&self.record) {
            return Err(Wrong {
                column: None,
                reason: Reason::invalid("unclosed_quote", UNCLOSED),
            });
        }
        let (found, expected) = (self.record.len(), self.columns.count);
        if found != expected {
            let problem = format!("the row has {found} fields where the header has {expected}");
            return Err(Wrong {
                column: None,
                reason: Reason::invalid("invalid_row", problem),
            });
        }
        let email = self.text(EMAIL, Some(self.columns.email))?;
        let role = self.text(ROLE, self.columns.role)?;
        let locale = self.text(LOCALE, self.columns.locale)?;
        self.terms.invite(email, role, locale)
    }

    fn text(&self, column: &'static str, index: Option<usize>) -> Result<&str, Wrong> {
        let field = index.map(|index| self.field(index)).unwrap_or_default();
        std::str::from_utf8(field)
            .map_err(|_| Wrong::new(column, Reason::invalid("not_utf8", "the text is not UTF-8")))
    }
}

/// Appended to every file: the LF of its last row, and a row that no text contains. If a row's last
/// field ends with both, its quote was still open at the end of the file.
const END: &[u8] = b"\n\0";

const UNCLOSED: &str = "a quote (\") is opened and never closed, so nothing after it could be read";

fn is_unclosed(record: &ByteRecord) -> bool {
    record
        .iter()
        .next_back()
        .is_some_and(|field| field.ends_with(END))
}

/// Detects files that are not CSV with commas, by their first row, and names the mistake.
fn check_header(header: &ByteRecord) -> Result<(), String> {
    if is_unclosed(header) {
        return Err(UNCLOSED.to_owned());
    }
    let bytes = header.as_slice();
    if bytes.is_empty() || bytes == &END[1..] {
        return Err(
            "the file is empty; its first line has to name the columns, such as email,role,locale"
                .to_owned(),
        );
    }
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Err(
            "this is no text in UTF-8; save the table as CSV, in UTF-8 and with commas".to_owned(),
        );
    }
    for (separator, name) in [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")] {
        let titles = header
            .iter()
            .flat_map(|field| field.split(|byte| *byte == separator));
        let is_known = |title: &[u8]| {
            [EMAIL, ROLE, LOCALE]
                .iter()
                .any(|name| title.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        };
        if bytes.contains(&separator) && titles.filter(|title| is_known(title)).count() > 1 {
            return Err(format!(
                "the columns are separated by {name}; separate them by commas"
            ));
        }
    }
    Ok(())
}

/// The number of characters of a header that an error shows: without line ends it may be the whole
/// file.
const MAX_SHOWN_HEADER: usize = 200;

impl Columns {
    fn of(header: &ByteRecord, has_role: bool) -> Result<Self, String> {
        let titles: Vec<_> = header
            .iter()
            .map(|title| String::from_utf8_lossy(title).trim().to_lowercase())
            .collect();
        let find = |name: &str| {
            let mut places = titles
                .iter()
                .enumerate()
                .filter(|(_, title)| *title == name);
            match (places.next(), places.next()) {
                (_, Some(_)) => Err(format!("the header has the column {name} twice")),
                (place, None) => Ok(place.map(|(index, _)| index)),
            }
        };
        let found: String = titles.join(", ").chars().take(MAX_SHOWN_HEADER).collect();
        let missing = |name: &str| format!("the header has no column {name}; it has: {found}");
        let role = find(ROLE)?;
        if role.is_none() && !has_role {
            return Err(format!("{}; add it or give --role", missing(ROLE)));
        }
        Ok(Self {
            count: titles.len(),
            email: find(EMAIL)?.ok_or_else(|| missing(EMAIL))?,
            role,
            locale: find(LOCALE)?,
        })
    }
}

fn unreadable(name: &str, problem: &dyn std::fmt::Display) -> Failure {
    Reason::invalid("file", format!("cannot read {name}: {problem}")).into()
}
