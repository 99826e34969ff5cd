//! The outcome of two operations, without values that differ between runs.

use std::collections::BTreeSet;
use std::fmt;

use guestlist::{Error, Fault};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::rows::{self, Rows};

/// The answers of both operations and all rows afterwards, with ids replaced by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub answers: [String; 2],
    pub rows: Vec<String>,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  answers: {} | {}", self.answers[0], self.answers[1])?;
        self.rows.iter().try_for_each(|row| writeln!(f, "  {row}"))
    }
}

impl Observation {
    /// The rows that only one of the two has.
    pub fn difference(&self, other: &Self) -> String {
        let alone = |one: &Self, other: &Self, sign: char| {
            let mut rest = other.rows.clone();
            let rows = one.rows.iter().filter(|row| {
                let index = rest.iter().position(|another| another == *row);
                index.map(|index| rest.swap_remove(index)).is_none()
            });
            rows.map(|row| format!("    {sign} {row}\n"))
                .collect::<String>()
        };
        let (mine, theirs) = (alone(self, other, '+'), alone(other, self, '-'));
        format!(
            "    answers here {:?}, there {:?}\n{mine}{theirs}",
            self.answers, other.answers
        )
    }
}

/// The answer of an operation, without values that differ between runs.
pub fn answer(result: &Result<String, Error>) -> String {
    match result {
        Ok(word) => format!("ok: {word}"),
        Err(Error::InvitationClosed { status }) => format!("refused: invitation is {status}"),
        Err(error) if error.fault() == Fault::Rule => format!("refused: {}", error.code()),
        Err(error) => format!("FAULT {}: {error:?}", error.code()),
    }
}

/// The answer is not a refusal by a rule but a fault, such as a deadlock or a busy database.
pub fn is_fault(answer: &str) -> bool {
    answer.starts_with("FAULT")
}

/// All rows of the database.
pub struct State(Rows);

impl State {
    pub async fn read(fixture: &Fixture) -> Self {
        Self(rows::read(&fixture.team.database, &fixture.reading).await)
    }

    fn of(&self, table: &str) -> &[Json] {
        self.0.get(table).map_or(&[], Vec::as_slice)
    }

    /// The nonces from which links are made.
    pub fn nonces(&self) -> BTreeSet<String> {
        let invitations = self.of("guestlist_invitations").iter();
        invitations.map(|row| row["nonce"].to_string()).collect()
    }

    /// The rows as sorted text, equal for two runs in which the same happened.
    pub fn lines(&self, fixture: &Fixture) -> Vec<String> {
        let names = self.names();
        let rows = self.0.iter().flat_map(|(table, rows)| {
            let table = table.trim_start_matches("guestlist_");
            rows.iter()
                .map(move |row| format!("{table}: {}", without_random_values(row.clone(), fixture)))
        });
        let mut words: Vec<_> = rows
            .map(|row| {
                let replace = |row: String, (id, name): &(String, String)| row.replace(id, name);
                names.iter().fold(row, replace)
            })
            .collect();
        words.sort();
        words
    }

    /// The name for each id that is random in every run.
    fn names(&self) -> Vec<(String, String)> {
        let events = self.of("guestlist_events").iter();
        let mut names: Vec<_> = events
            .map(|event| {
                let name = format!("{} of {}", text(&event["kind"]), text(&event["subject"]));
                (id(&event["id"]), name)
            })
            .collect();
        for event in self.of("guestlist_events") {
            let facts = if event["after"].is_null() {
                &event["before"]
            } else {
                &event["after"]
            };
            let email = facts_of(facts)["email"].clone();
            if let (Json::String(email), Ok(id)) = (email, text(&event["subject"]).parse::<Uuid>())
            {
                names.push((id.to_string(), email));
            }
        }
        names
    }

    /// The states that are never allowed, in whichever order the operations ran.
    pub fn violations(&self) -> Vec<String> {
        let (organizations, members) = (
            self.of("guestlist_organizations"),
            self.of("guestlist_memberships"),
        );
        let invitations = self.of("guestlist_invitations");
        let mut violations = Vec::new();
        let is_active_owner =
            |member: &Json| member["role"] == "owner" && member["suspended_at"].is_null();
        if organizations.is_empty() {
            if !(members.is_empty() && invitations.is_empty()) {
                violations.push("members or invitations of no organization".to_owned());
            }
        } else if !members.iter().any(is_active_owner) {
            violations.push("no active owner".to_owned());
        }
        let users = members.iter().map(|member| text(&member["user_id"]));
        violations.extend(repeated(users).map(|user| format!("two memberships of {user}")));
        let pending = invitations.iter().filter(|row| row["status"] == "pending");
        let emails = pending.map(|row| text(&row["email_key"]));
        violations.extend(repeated(emails).map(|email| format!("two pending to {email}")));
        for invitation in invitations.iter().filter(|row| row["status"] == "accepted") {
            let user = &invitation["accepted_by"];
            if !members.iter().any(|member| member["user_id"] == *user) && !self.has_ended(user) {
                violations.push(format!("{user} accepted and is no member"));
            }
        }
        violations
    }

    fn has_ended(&self, user: &Json) -> bool {
        let ends = ["member_removed", "member_left", "member_forgotten"];
        self.of("guestlist_events")
            .iter()
            .any(|event| ends.contains(&text(&event["kind"])) && event["subject"] == *user)
    }
}

fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| !seen.insert(*name))
}

/// Removes random ids, and replaces the nonce of a link by the word that says which link it is.
fn without_random_values(mut row: Json, fixture: &Fixture) -> Json {
    let Json::Object(fields) = &mut row else {
        panic!("a row is an object: {row}");
    };
    for field in ["id", "organization_id", "updated_at"] {
        fields.remove(field);
    }
    let which = |nonce: &Json| {
        if fixture.mailed.contains(&nonce.to_string()) {
            "mailed"
        } else {
            "new"
        }
    };
    if let Some(nonce) = fields.get_mut("nonce") {
        *nonce = json!(which(nonce));
    }
    if let Some(seal) = fields.get_mut("role_seal") {
        *seal = json!(!seal.is_null());
    }
    if let Some(links) = fields.get_mut("replaced_links") {
        *links = facts_of(links);
        for link in links.as_array_mut().expect("a list") {
            link["nonce"].take();
        }
    }
    for field in ["ids", "before", "after"] {
        if let Some(facts) = fields.get_mut(field) {
            *facts = facts_of(facts);
        }
    }
    row
}

/// Parses JSON, which SQLite stores as text.
fn facts_of(value: &Json) -> Json {
    match value {
        Json::String(text) => text.parse().expect("JSON"),
        value => value.clone(),
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// The id in its usual form; SQLite returns bytes.
fn id(value: &Json) -> String {
    text(value).parse::<Uuid>().expect("an id").to_string()
}
