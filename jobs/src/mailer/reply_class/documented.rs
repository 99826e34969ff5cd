//! The documented replies that the rules and the judgement are tested on.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::smtp::{Reply, Stage};

const REPLIES: &str = include_str!("../../../tests/data/replies.tsv");

const UNDECIDED: &str = include_str!("../../../tests/data/replies-undecided.tsv");

/// A documented reply and what it means.
pub(crate) struct Row {
    pub(crate) stage: Stage,
    /// The stage as the table names it.
    pub(crate) stage_name: &'static str,
    pub(crate) text: &'static str,
    /// The cause if one recipient among others gets it.
    pub(crate) one: &'static str,
    /// The cause if everybody gets it.
    pub(crate) everybody: &'static str,
    pub(crate) may_suppress: bool,
    /// False if the text alone does not tell its cause.
    pub(crate) is_decided: bool,
}

/// Reads the documented replies, or those of the file that `GUESTLIST_TEST_REPLIES` names.
pub(crate) fn rows() -> Vec<Row> {
    let table = match std::env::var_os("GUESTLIST_TEST_REPLIES") {
        Some(path) => std::fs::read_to_string(path).expect("a table").leak(),
        None => REPLIES,
    };
    let undecided = undecided();
    lines(table)
        .map(|columns| {
            let [stage, text, _, source, one, everybody, may_suppress, ..] = columns[..] else {
                panic!("columns are missing: {columns:?}");
            };
            assert!(!source.is_empty(), "no source: {text}");
            Row {
                stage: stage_of(stage),
                stage_name: stage,
                text,
                one,
                everybody,
                may_suppress: may_suppress == "yes",
                is_decided: !undecided.contains_key(text),
            }
        })
        .collect()
}

/// Returns the texts that do not tell their cause, each with the reason.
pub(in crate::mailer) fn undecided() -> BTreeMap<&'static str, &'static str> {
    let rows = lines(UNDECIDED);
    rows.map(|columns| (columns[1], columns[2])).collect()
}

/// Returns the rows of a table, without comments.
fn lines(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

fn stage_of(name: &str) -> Stage {
    match name {
        "connect" => Stage::Greeting,
        "ehlo" => Stage::Hello,
        "starttls" => Stage::StartTls,
        "auth" => Stage::Auth,
        "mail" => Stage::Mail,
        "rcpt" => Stage::Rcpt,
        "data" => Stage::Data,
        "end" => Stage::End,
        _ => panic!("no stage: {name}"),
    }
}

/// Makes the reply of a text whose lines are joined by `\n`.
pub(in crate::mailer) fn reply(text: &str) -> Reply {
    Reply {
        code: text[..3].parse().unwrap(),
        lines: text
            .split("\\n")
            .map(|line| line.get(4..).unwrap_or("").to_owned())
            .collect(),
    }
}
