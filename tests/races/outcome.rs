//! What came of two operations, without what differs between any two runs.

use std::fmt;

use guestlist::{
    Error, Event, EventKind, Fault, Filter, Invitation, Membership, Organization, Paging, Status,
    outbox, worker,
};
use serde_json::Value as Json;

use crate::support::user;
use crate::world::World;

/// Who signs in during a race. Of the others' sessions it is enough to see which ended.
const SIGNING_IN: [&str; 2] = ["adam", "gus"];

/// The answers of both, and every row there is afterwards, ids replaced by what they stand for.
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
    /// What stands in one of the two alone.
    pub fn difference(&self, other: &Self) -> String {
        let alone = |one: &Self, other: &Self, sign: char| {
            let mut rest = other.rows.clone();
            let rows = one.rows.iter().filter(|row| {
                let place = rest.iter().position(|another| another == *row);
                place.map(|place| rest.swap_remove(place)).is_none()
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

/// The answer of one operation in words that are the same in every run.
pub fn answer(result: &Result<String, Error>) -> String {
    match result {
        Ok(word) => format!("ok: {word}"),
        Err(Error::InvitationClosed { status }) => format!("refused: invitation is {status}"),
        Err(error) if error.fault() == Fault::Rule => format!("refused: {}", error.code()),
        Err(error) => format!("FAULT {}: {error:?}", error.code()),
    }
}

/// Whether something other than a rule said no: a deadlock, a busy database, anything.
pub fn is_a_fault(answer: &str) -> bool {
    answer.starts_with("FAULT")
}

/// Everything that is in the database, read through the public API.
pub struct State {
    organization: Option<Organization>,
    members: Vec<Membership>,
    invitations: Vec<Invitation>,
    events: Vec<Event>,
    messages: Vec<outbox::Message>,
    others: Vec<String>,
}

impl State {
    pub async fn read(world: &World) -> Result<Self, Error> {
        let library = world.library();
        let acme = world.acme();
        let all = &Paging::first(Paging::MAX_LIMIT);
        let mut connection = world.team.database.acquire().await?;
        let connection = &mut connection;
        let link = match library.open(&mut *connection, &world.link("ivy")).await {
            Ok(_) => "opens".to_owned(),
            Err(error) => answer(&Err(error)),
        };
        let mut others = vec![format!("ivy's first link: {link}")];
        if let Some(reason) =
            worker::suppression(&mut *connection, &world.invitation("ivy").email).await?
        {
            others.push(format!("suppressed: {reason}"));
        }
        for who in SIGNING_IN {
            for session in library.sessions(&mut *connection, acme, &user(who)).await? {
                others.push(format!("session: {who} {}", session.as_str()));
            }
        }
        for ended in worker::ended_sessions(&mut *connection, acme, None, 100).await? {
            others.push(format!("ended: {} {}", ended.user, ended.session.as_str()));
        }
        let now = library.now();
        Ok(Self {
            organization: library.organization(&mut *connection, acme).await?,
            members: library.members(&mut *connection, acme, all).await?.items,
            invitations: library
                .invitations(&mut *connection, acme, Filter::All, all)
                .await?
                .items,
            events: library.events(&mut *connection, acme, all).await?.items,
            messages: outbox::list(&mut *connection, now, outbox::State::Ready, None, 1000).await?,
            others,
        })
    }

    /// The rows in words, sorted: what two runs have in common if the same happened in both.
    pub fn rows(&self) -> Vec<String> {
        let mut rows = self.others.clone();
        rows.extend(
            self.organization
                .iter()
                .map(|row| line("organization", row)),
        );
        rows.extend(self.members.iter().map(|row| line("member", row)));
        rows.extend(self.invitations.iter().map(|row| line("invitation", row)));
        rows.extend(self.events.iter().map(|row| line("event", row)));
        rows.extend(
            self.messages
                .iter()
                .map(|message| format!("message: {} {}", message.kind, message.ids)),
        );
        for row in &mut rows {
            *row = self.without_ids(row);
        }
        rows.sort();
        rows
    }

    fn without_ids(&self, row: &str) -> String {
        let mut row = row.to_owned();
        for event in &self.events {
            let words = format!("the {} of {}", event.kind, event.subject);
            row = row.replace(&event.id.to_string(), &words);
        }
        for invitation in &self.invitations {
            row = row.replace(&invitation.id.to_string(), invitation.email.as_str());
        }
        for event in &self.events {
            let facts = event.after.as_ref().or(event.before.as_ref());
            let email = facts.and_then(|facts| facts["email"].as_str());
            if let (Some(email), true) = (email, is_an_id(&event.subject)) {
                row = row.replace(&event.subject, email);
            }
        }
        row
    }

    /// What may never be, whatever happened in whichever order.
    pub fn violations(&self, owner: &str) -> Vec<String> {
        let mut violations = Vec::new();
        let is_owner =
            |member: &Membership| member.role.as_str() == owner && member.suspended_at.is_none();
        if self.organization.is_some() && !self.members.iter().any(is_owner) {
            violations.push("no active owner".to_owned());
        }
        if self.organization.is_none() && !(self.members.is_empty() && self.invitations.is_empty())
        {
            violations.push("members or invitations of no organization".to_owned());
        }
        for (place, one) in self.members.iter().enumerate() {
            if self.members[..place]
                .iter()
                .any(|other| other.user == one.user)
            {
                violations.push(format!("two memberships of {}", one.user));
            }
        }
        let pending: Vec<_> = self
            .invitations
            .iter()
            .filter(|invitation| invitation.status == Status::Pending)
            .collect();
        for (place, one) in pending.iter().enumerate() {
            let same = |other: &&Invitation| other.email.canonical() == one.email.canonical();
            if pending[..place].iter().any(same) {
                violations.push(format!("two pending invitations to {}", one.email.as_str()));
            }
        }
        for invitation in &self.invitations {
            if let Some(user) = &invitation.accepted_by
                && self.organization.is_some()
                && !self.members.iter().any(|member| member.user == *user)
                && !self.was_ended(user.as_str())
            {
                violations.push(format!("{user} accepted and is no member"));
            }
        }
        violations
    }

    fn was_ended(&self, user: &str) -> bool {
        use EventKind::{MemberForgotten, MemberLeft, MemberRemoved};
        let ends = |kind| matches!(kind, MemberRemoved | MemberLeft | MemberForgotten);
        self.events
            .iter()
            .any(|event| ends(event.kind) && event.subject == user)
    }
}

fn is_an_id(subject: &str) -> bool {
    subject.parse::<uuid::Uuid>().is_ok()
}

fn line(what: &str, row: &impl serde::Serialize) -> String {
    let mut row = serde_json::to_value(row).expect("a row is JSON");
    let Json::Object(fields) = &mut row else {
        panic!("a row is an object: {row}");
    };
    fields.remove("id");
    format!("{what}: {row}")
}
