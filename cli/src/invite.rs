//! Inviting: one person, several, or a file full of them.

use std::path::PathBuf;

use clap::Args;
use guestlist::{Error, Invite, Locale, OrganizationId, Outcome, PersonalMessage, Role};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value as Json, json};

use super::arguments::ActingAs;
use super::context::{Context, Ending};
use super::failure::{Done, Failure, Reason, Status};
use super::id;
use super::invite_csv::{Candidate, People, Terms, Wrong};
use super::not_found::Named;
use super::output::printable;

/// Invite people by address, or those in a CSV file.
///
/// Each address has an outcome of its own: invited, already_pending, already_member, refused or
/// invalid. The exit status is 3 if a rule refused any (already pending and already member
/// included), else 2 if any was invalid. A member that acts needs the right to invite to the role.
///
/// A file has a header with the columns email, role and locale in any order; role and locale may
/// be missing if --role is given. It is read row by row and committed 500 rows at a time, so it
/// may be of any length, and after an interruption the same command goes on: who was invited
/// already is already_pending.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guestlist invite bob@acme.example eve@acme.example --organization ID --role agent --as u1\n  \
                  guestlist invite --file people.csv --organization ID --as u1 --dry-run"
)]
pub(crate) struct Command {
    /// Whom to invite.
    #[arg(
        value_name = "ADDRESS",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    addresses: Vec<String>,
    /// Invite the people in this CSV file; - reads stdin.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The organization they are invited to.
    #[arg(long, value_name = "ID", value_parser = id::organization)]
    organization: OrganizationId,
    /// The role they are invited to; for a file, of rows without one.
    #[arg(long, required_unless_present = "file")]
    role: Option<Role>,
    #[command(flatten)]
    acting_as: ActingAs,
    /// The language of the letter, such as de or pt-BR; for a file, of rows without one.
    #[arg(long, default_value = "en")]
    locale: Locale,
    /// Words of your own in the letter.
    #[arg(long, value_name = "TEXT")]
    message: Option<PersonalMessage>,
    /// Revoke what is pending for an address and invite it anew, instead of being refused for it.
    #[arg(long)]
    supersede: bool,
    /// Say what would happen and leave everything as it is. Batches of 500 are tried and undone one
    /// by one, so an address that stands twice in a file, further apart, counts as invited twice.
    #[arg(long)]
    dry_run: bool,
}

/// How many invitations are committed together.
const BATCH: usize = 500;

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self {
            addresses,
            file,
            organization,
            role,
            acting_as,
            locale,
            message,
            supersede,
            dry_run,
        } = self;
        let terms = Terms {
            role,
            locale,
            message,
            supersede,
        };
        let mut bulk = Bulk {
            context,
            organization,
            acting_as,
            dry_run,
            tally: Tally::default(),
            bar: ProgressBar::hidden(),
        };
        match file {
            Some(file) => {
                let people = People::open(&file, terms)?;
                bulk.invite_people(people).await?;
                context.output.note(bulk.summary());
            }
            None => {
                let candidates: Vec<_> = addresses
                    .iter()
                    .map(|email| terms.candidate(email))
                    .collect();
                bulk.invite(candidates).await?;
            }
        }
        Ok(bulk.tally.status())
    }
}

struct Bulk<'a> {
    context: &'a Context,
    organization: OrganizationId,
    acting_as: ActingAs,
    dry_run: bool,
    tally: Tally,
    bar: ProgressBar,
}

/// How many candidates had which outcome.
#[derive(Debug, Default)]
struct Tally {
    invited: u64,
    already_pending: u64,
    already_member: u64,
    refused: u64,
    invalid: u64,
}

impl Bulk<'_> {
    async fn invite_people(&mut self, mut people: People) -> Result<(), Failure> {
        self.bar = progress_bar(people.length());
        loop {
            let batch = people
                .batch(BATCH)
                .map_err(|failure| self.stopped(failure))?;
            if batch.is_empty() {
                self.bar.finish_and_clear();
                return Ok(());
            }
            self.invite(batch)
                .await
                .map_err(|failure| self.stopped(failure))?;
            self.bar.set_position(people.position());
        }
    }

    /// Invites a batch in one transaction and prints each outcome once it is committed.
    async fn invite(&mut self, candidates: Vec<Candidate>) -> Result<(), Failure> {
        let invites: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| candidate.invite.as_ref().ok().cloned())
            .collect();
        let outcomes = self.commit(invites).await?;
        let missing = self.missing(&outcomes).await?;
        let mut outcomes = outcomes.into_iter();
        let mut lines = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let result = match candidate.invite {
                Ok(_) => outcomes
                    .next()
                    .expect("one outcome for each invite")
                    .map_err(|error| Wrong {
                        column: None,
                        reason: match (error, &missing) {
                            (Error::NotFound, Some(missing)) => missing.clone(),
                            (error, _) => error.into(),
                        },
                    }),
                Err(wrong) => Err(wrong),
            };
            let result = Resulting {
                line: candidate.line,
                email: candidate.email,
                result,
            };
            self.tally.count(result.outcome());
            lines.push(if self.context.output.is_json() {
                result.json(self.dry_run).to_string()
            } else {
                result.text()
            });
        }
        let output = self.context.output;
        Ok(self.bar.suspend(|| output.lines(lines))?)
    }

    async fn commit(&self, invites: Vec<Invite>) -> Result<Vec<Outcome>, Error> {
        let ending = if self.dry_run {
            Ending::Rollback
        } else {
            Ending::Commit
        };
        self.context
            .attempt(ending, async |tx| {
                self.context
                    .guestlist
                    .act(self.acting_as.actor())
                    .in_organization(self.organization)
                    .invite_all(tx, invites.clone())
                    .await
            })
            .await
    }

    /// Who or what is not there, where that is why an outcome is a refusal.
    async fn missing(&self, outcomes: &[Outcome]) -> Result<Option<Reason>, Failure> {
        if !outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(Error::NotFound)))
        {
            return Ok(None);
        }
        let named = Named::organization(self.organization).actor(self.acting_as.member());
        named.missing(self.context).await.map(Some)
    }

    /// Says how far it came, which is what someone needs to know who reads of a fault.
    fn stopped(&self, failure: Failure) -> Failure {
        self.bar.finish_and_clear();
        let (code, message) = match &failure {
            Failure::Reason(reason) => (reason.code(), reason.message()),
            Failure::OutputClosed => ("output", "nobody reads the outcomes any more"),
        };
        let far = format!(
            "{message}; stopped after {} Running the same again is safe.",
            self.summary()
        );
        Reason::fault(code, far)
            .with("rows", self.tally.rows())
            .with("invited", self.tally.invited)
            .into()
    }

    fn summary(&self) -> String {
        let Tally {
            invited,
            already_pending,
            already_member,
            refused,
            invalid,
        } = self.tally;
        let tried = if self.dry_run {
            " (dry run, nothing was written)"
        } else {
            ""
        };
        format!(
            "{} rows{tried}: {invited} invited, {already_pending} already pending, \
             {already_member} already members, {refused} refused, {invalid} invalid.",
            self.tally.rows()
        )
    }
}

impl Tally {
    fn rows(&self) -> u64 {
        self.invited + self.already_pending + self.already_member + self.refused + self.invalid
    }

    fn count(&mut self, outcome: &str) {
        *match outcome {
            "invited" => &mut self.invited,
            "already_pending" => &mut self.already_pending,
            "already_member" => &mut self.already_member,
            "invalid" => &mut self.invalid,
            _ => &mut self.refused,
        } += 1;
    }

    fn status(&self) -> Status {
        match (
            self.already_pending + self.already_member + self.refused,
            self.invalid,
        ) {
            (0, 0) => Status::Done,
            (0, _) => Status::Usage,
            _ => Status::Refused,
        }
    }
}

/// A candidate and what became of them.
struct Resulting {
    line: Option<u64>,
    email: String,
    result: Result<guestlist::Invitation, Wrong>,
}

impl Resulting {
    /// One of the five words of the contract.
    fn outcome(&self) -> &'static str {
        match &self.result {
            Ok(_) => "invited",
            Err(Wrong { reason, .. }) if reason.status() == Status::Usage => "invalid",
            Err(Wrong { reason, .. }) => match reason.code() {
                code @ ("already_pending" | "already_member") => code,
                _ => "refused",
            },
        }
    }

    fn json(&self, dry_run: bool) -> Json {
        let mut object = Map::new();
        if let Some(line) = self.line {
            object.insert("line".to_owned(), json!(line));
        }
        object.insert("email".to_owned(), json!(self.email));
        object.insert("outcome".to_owned(), json!(self.outcome()));
        match &self.result {
            Ok(invitation) => {
                object.insert("email".to_owned(), json!(invitation.email));
                object.insert("invitation".to_owned(), json!(invitation.id));
                object.insert("role".to_owned(), json!(invitation.role));
                object.insert("expires_at".to_owned(), json!(invitation.expires_at));
            }
            Err(Wrong { column, reason }) => {
                if let Some(column) = column {
                    object.insert("column".to_owned(), json!(column));
                }
                object.extend(reason.json());
            }
        }
        if dry_run {
            object.remove("invitation");
            object.insert("dry_run".to_owned(), json!(true));
        }
        Json::Object(object)
    }

    fn text(&self) -> String {
        let line = self
            .line
            .map(|line| format!("line {line:<8} "))
            .unwrap_or_default();
        let outcome = self.outcome().replace('_', " ");
        let why = match &self.result {
            Ok(_) => String::new(),
            Err(Wrong {
                column: Some(column),
                reason,
            }) => format!(": column {column}: {}", reason.message()),
            Err(Wrong {
                column: None,
                reason,
            }) => format!(": {}", reason.message()),
        };
        format!(
            "{line}{:<40} {outcome}{}",
            printable(&self.email),
            printable(&why)
        )
    }
}

/// A bar on stderr where that is a terminal, and nothing elsewhere.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = match length {
        Some(_) => "{bar:40} {percent} % ({eta} left)",
        None => "{spinner} {bytes} read",
    };
    bar.with_style(ProgressStyle::with_template(style).expect("the template is a constant"))
}
