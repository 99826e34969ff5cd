//! A role model in TOML.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{InvalidRoleModel, RoleDefinition, SHOWN, excerpt};
use crate::role::Role;

/// The parsed text with the position of each word, before any rule of the model is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keeps: Option<Spanned<String>>,
    #[serde(default)]
    role: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [[role]]")]
struct Table {
    name: Spanned<String>,
    title: Option<String>,
    includes: Option<Spanned<String>>,
    #[serde(default)]
    permissions: Vec<Spanned<String>>,
    #[serde(default)]
    invites: Vec<Spanned<String>>,
    #[serde(default)]
    changes_from: Vec<Spanned<String>>,
    #[serde(default)]
    changes_to: Vec<Spanned<String>>,
    #[serde(default)]
    removes: Vec<Spanned<String>>,
}

/// Reads the roles of `text`, lowest first, and the owner role.
pub(super) fn read(text: &str) -> Result<(Vec<RoleDefinition>, Option<Role>), InvalidRoleModel> {
    // Some editors begin a file with an invisible byte-order mark, which no column counts.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let source = Source(text);
    let document: Document = toml::from_str(text).map_err(|error| source.explain(&error))?;
    let keeps = document.keeps.map(|name| source.role(&name)).transpose()?;
    let roles = document.role.into_iter().map(|table| source.define(table));
    Ok((roles.collect::<Result<_, _>>()?, keeps))
}

/// The text, for positions and excerpts in errors.
struct Source<'a>(&'a str);

impl Source<'_> {
    fn define(&self, table: Table) -> Result<RoleDefinition, InvalidRoleModel> {
        let includes = table.includes.map(|name| self.role(&name)).transpose()?;
        Ok(RoleDefinition {
            name: self.role(&table.name)?,
            title: table.title,
            includes,
            permissions: self.each(&table.permissions, |word| Ok(word.get_ref().clone()))?,
            invites: self.each(&table.invites, |name| self.role(name))?,
            changes_from: self.each(&table.changes_from, |name| self.role(name))?,
            changes_to: self.each(&table.changes_to, |name| self.role(name))?,
            removes: self.each(&table.removes, |name| self.role(name))?,
        })
    }

    fn role(&self, name: &Spanned<String>) -> Result<Role, InvalidRoleModel> {
        name.get_ref().parse().map_err(|problem| {
            let problem = format!(
                "{:?} names no role; {problem}",
                excerpt(name.get_ref(), SHOWN)
            );
            self.malformed(name.span(), problem)
        })
    }

    fn each<T: Ord>(
        &self,
        list: &[Spanned<String>],
        read: impl Fn(&Spanned<String>) -> Result<T, InvalidRoleModel>,
    ) -> Result<BTreeSet<T>, InvalidRoleModel> {
        let mut set = BTreeSet::new();
        for word in list {
            if !set.insert(read(word)?) {
                let problem = format!(
                    "{:?} stands in this list twice",
                    excerpt(word.get_ref(), SHOWN)
                );
                return Err(self.malformed(word.span(), problem));
            }
        }
        Ok(set)
    }

    /// Describes a mistake that the parser found.
    fn explain(&self, error: &toml::de::Error) -> InvalidRoleModel {
        let end = self.0.len();
        let span = error.span().unwrap_or(end..end);
        let there = self.0.get(span.clone()).unwrap_or_default();
        let next = self
            .0
            .get(span.start..)
            .and_then(|rest| rest.chars().next());
        self.malformed(span, reworded(error.message().trim(), there, next))
    }

    fn malformed(&self, at: Range<usize>, problem: String) -> InvalidRoleModel {
        let before = self.0.get(..at.start).unwrap_or(self.0);
        let line = before.rsplit('\n').next().unwrap_or_default();
        InvalidRoleModel::Malformed {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            problem: excerpt(&problem.replace(char::is_control, " "), 300),
        }
    }
}

/// Rewords the parser's message about the text `there`, which begins with `next`, in the terms of
/// TOML.
fn reworded(told: &str, there: &str, next: Option<char>) -> String {
    // The parser guesses the type of a value from its first letter.
    let is_no_value = [
        "string values must be quoted",
        "invalid boolean",
        "invalid float",
    ]
    .iter()
    .any(|guess| told.starts_with(guess));
    match next {
        Some(c) if is_no_value && c.is_alphabetic() => {
            return "a word without quotes, expected a text in quotes".to_owned();
        }
        None | Some('\n' | '\r' | '#') if is_no_value => {
            return "no value, expected a text in quotes or a list".to_owned();
        }
        _ => {}
    }
    if told == "duplicate key" {
        return format!("key `{}` stands here a second time", excerpt(there, SHOWN));
    }
    const WORDS: [(&str, &str); 4] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("invalid type: map,", "invalid type: table,"),
        ("invalid type: sequence,", "invalid type: list,"),
    ];
    let word = WORDS.iter().find(|(theirs, _)| told.starts_with(theirs));
    let problem = word.map_or_else(
        || told.to_owned(),
        |(theirs, ours)| told.replacen(theirs, ours, 1),
    );
    let problem = problem.replacen("expected a sequence", "expected a list", 1);
    let hint = match there {
        "[role]" | "role" => "; every role begins with [[role]]",
        "keeps" => "; keeps stands above the first [[role]]",
        _ => "",
    };
    problem + hint
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::role_model::{InvalidRoleModel, RoleModel};

    fn refusal(text: &str) -> String {
        RoleModel::from_toml(text).expect_err(text).to_string()
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_is_expected() {
        const KEYS: &str = "`name`, `title`, `includes`, `permissions`, `invites`, `changes_from`, `changes_to`, `removes`";
        let unknown = |at: &str, key: &str, hint: &str| {
            format!("{at}: unknown key `{key}`, expected one of {KEYS}{hint}")
        };
        let begun = "keeps = \"a\"\n[[role]]\n";
        let cases = [
            ("keeps = \"a".to_owned(), "line 1, column 11: invalid basic string, expected `\"`".to_owned()),
            ("{\"keeps\": \"a\"}".into(), "line 1, column 1: invalid key-value pair, expected key".into()),
            ("keeps = 1".into(), "line 1, column 9: invalid type: integer `1`, expected a string".into()),
            ("keeps = \"The Boss\"".into(), "line 1, column 9: \"The Boss\" names no role; a role's name is 1 to 64 of a-z, 0-9, - and _".into()),
            ("keep = \"a\"".into(), "line 1, column 1: unknown key `keep`, expected `keeps` or `role`".into()),
            ("keeps = \"a\"\n[role]\nname = \"a\"".into(), "line 2, column 1: invalid type: table, expected a list; every role begins with [[role]]".into()),
            ("keeps = \"a\"\n[role.a]".into(), "line 2, column 2: invalid type: table, expected a list; every role begins with [[role]]".into()),
            ("keeps = \"a\"\nkeeps = \"b\"".into(), "line 2, column 1: key `keeps` stands here a second time".into()),
            ("keeps = owner".into(), "line 1, column 9: a word without quotes, expected a text in quotes".into()),
            ("keeps = team".into(), "line 1, column 9: a word without quotes, expected a text in quotes".into()),
            ("keeps =\n".into(), "line 1, column 8: no value, expected a text in quotes or a list".into()),
            ("keeps = # who?".into(), "line 1, column 9: no value, expected a text in quotes or a list".into()),
            ("role = [5]".into(), "line 1, column 9: invalid type: integer `5`, expected a table [[role]]".into()),
            (format!("{begun}title = \"a\""), "line 2, column 1: missing key `name`".into()),
            (format!("{begun}\tnäme = \"a\""), "line 3, column 3: invalid unquoted key, expected letters, numbers, `-`, `_`".into()),
            (format!("{begun}nane = \"a\""), unknown("line 3, column 1", "nane", "")),
            (format!("{begun}name = \"a\"\nkeeps = \"a\""), unknown("line 4, column 1", "keeps", "; keeps stands above the first [[role]]")),
            (format!("{begun}name = \"a\"\nname = \"b\""), "line 4, column 1: key `name` stands here a second time".into()),
            (format!("{begun}name = \"a\"\ntitle = \"é\" x"), "line 4, column 13: unexpected key or value, expected newline, `#`".into()),
            (format!("{begun}name = \"a\"\nincludes = [\"a\"]"), "line 4, column 12: invalid type: list, expected a string".into()),
            (format!("{begun}name = \"a\"\ninvites = \"a\""), "line 4, column 11: invalid type: string \"a\", expected a list".into()),
            (format!("{begun}name = \"a\"\ninvites = [\n  \"a\",\n  \"Ä\"]"), "line 6, column 3: \"Ä\" names no role; a role's name is 1 to 64 of a-z, 0-9, - and _".into()),
            (format!("{begun}name = \"a\"\nremoves = [\"a\", \"a\"]"), "line 4, column 17: \"a\" stands in this list twice".into()),
            (format!("{begun}name = \"a\"\npermissions = [inbox.reply]"), "line 4, column 16: a word without quotes, expected a text in quotes".into()),
            (format!("{begun}name = \"a\"\npermissions = [\"a\" \"b\"]"), "line 4, column 20: missing comma between array elements, expected `,`".into()),
            (format!("{begun}name = \"a\"\npermissions = [\"a\", true]"), "line 4, column 21: invalid type: boolean `true`, expected a string".into()),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(&text), expected, "{text}");
            assert_eq!(refusal(&format!("\u{FEFF}{text}")), expected, "{text}");
        }
    }

    #[test]
    fn the_message_is_one_short_line_without_controls() {
        for text in [
            "\"\\u001b[31m\\n\" = 1".to_owned(),
            format!("{} = 1", "x".repeat(100_000)),
            format!("role = \"{}\"", "x".repeat(100_000)),
            format!("keeps = \"{}\"", "X".repeat(100_000)),
            format!("a = {}", "[".repeat(100_000)),
            "keeps = \"a\nb\"".to_owned(),
        ] {
            let told = refusal(&text);
            assert!(
                told.len() < 400 && !told.contains(char::is_control),
                "{told}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_place_lies_in_it(text in "(keeps = |\\[\\[role\\]\\]|name|title|= |\"|a|é|\\[|\\]|\\{|\n|\r|\\PC){0,40}") {
            if let Err(InvalidRoleModel::Malformed { line, column, .. }) = RoleModel::from_toml(&text) {
                let found = text.split('\n').nth(line - 1);
                prop_assert!(found.is_some_and(|found| column <= found.chars().count() + 1));
            }
        }
    }
}
