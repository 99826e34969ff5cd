//! The documented replies that the rules and the judgement are tested on.

#![allow(clippy::unwrap_used)]

use crate::smtp::{Reply, Stage};

const REPLIES: &str = include_str!("../../../tests/data/replies.tsv");

/// A documented reply and what it means.
pub(in crate::mailer) struct Row {
    pub(in crate::mailer) stage: Stage,
    pub(in crate::mailer) text: &'static str,
    /// The cause if one recipient among others gets it.
    pub(in crate::mailer) one: &'static str,
    /// The cause if everybody gets it.
    pub(in crate::mailer) everybody: &'static str,
    pub(in crate::mailer) may_suppress: bool,
}

/// Reads the documented replies.
pub(in crate::mailer) fn rows() -> Vec<Row> {
    lines(REPLIES)
        .map(|columns| {
            let [stage, text, _, source, one, everybody, may_suppress, ..] = columns[..] else {
                panic!("columns are missing: {columns:?}");
            };
            assert!(!source.is_empty(), "no source: {text}");
            Row {
                stage: stage_of(stage),
                text,
                one,
                everybody,
                may_suppress: may_suppress == "yes",
            }
        })
        .collect()
}

/// Returns the rows of a table, without comments.
pub(in crate::mailer) fn lines(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
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
