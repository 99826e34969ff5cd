//! The command that invites people: one, several, or those in a file.

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
/// A file has a header with the columns email, role and locale in any order; role and locale may be
/// missing if --role is given. It is read row by row and committed 500 rows at a time, so it may
/// have any length. After an interruption run the same command again: people already invited are
/// reported as already_pending.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guestlist invite bob@acme.example eve@acme.example --organization ID --role agent --as u1\n  \
                  guestlist invite --file people.csv --organization ID --as u1 --dry-run"
)]
pub(crate) struct Command {
    /// The addresses to invite.
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
    /// The role they are invited to; with a file, the role of rows without one.
    #[arg(long, required_unless_present = "file")]
    role: Option<Role>,
    #[command(flatten)]
    acting_as: ActingAs,
    /// The language of the letter, such as de or pt-BR; with a file, of rows without one.
    #[arg(long, default_value = "en")]
    locale: Locale,
    /// A personal message in the letter.
    #[arg(long, value_name = "TEXT")]
    message: Option<PersonalMessage>,
    /// Revoke the open invitation of an address and invite it again, instead of refusing.
    #[arg(long)]
    supersede: bool,
    /// Print the outcomes without changing anything. Batches of 500 are tried and rolled back one
    /// by one, so an address that appears again in a later batch is reported as invited twice.
    #[arg(long)]
    dry_run: bool,
}

/// The number of invitations committed together.
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
            counts: OutcomeCounts::default(),
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
        Ok(bulk.counts.status())
    }
}

struct Bulk<'a> {
    context: &'a Context,
    organization: OrganizationId,
    acting_as: ActingAs,
    dry_run: bool,
    counts: OutcomeCounts,
    bar: ProgressBar,
}

/// The number of candidates for each outcome.
#[derive(Debug, Default)]
struct OutcomeCounts {
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

    /// Invites a batch in one transaction and prints each outcome after the commit.
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
            self.counts.add(result.outcome());
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

    /// Finds the missing organization or actor, if that is why an outcome is a refusal.
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

    /// Adds to a failure how many rows were done, so that the operator knows how far the command
    /// came.
    fn stopped(&self, failure: Failure) -> Failure {
        self.bar.finish_and_clear();
        let (code, message) = match &failure {
            Failure::Reason(reason) => (reason.code(), reason.message()),
            Failure::OutputClosed => ("output", "the reader closed the output"),
        };
        let far = format!(
            "{message}; stopped after {} It is safe to run the same command again.",
            self.summary()
        );
        Reason::fault(code, far)
            .with("rows", self.counts.rows())
            .with("invited", self.counts.invited)
            .into()
    }

    fn summary(&self) -> String {
        let OutcomeCounts {
            invited,
            already_pending,
            already_member,
            refused,
            invalid,
        } = self.counts;
        let tried = if self.dry_run {
            " (dry run, nothing was written)"
        } else {
            ""
        };
        format!(
            "{} rows{tried}: {invited} invited, {already_pending} already pending, \
             {already_member} already members, {refused} refused, {invalid} invalid.",
            self.counts.rows()
        )
    }
}

impl OutcomeCounts {
    fn rows(&self) -> u64 {
        self.invited + self.already_pending + self.already_member + self.refused + self.invalid
    }

    fn add(&mut self, outcome: &str) {
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

/// A candidate and the outcome.
struct Resulting {
    line: Option<u64>,
    email: String,
    result: Result<guestlist::Invitation, Wrong>,
}

impl Resulting {
    /// Returns one of the five words of the contract.
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

/// Makes a progress bar on stderr if it is a terminal.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = match length {
        Some(_) => "{bar:40} {percent} % ({eta} left)",
        None => "{spinner} {bytes} read",
    };
    bar.with_style(ProgressStyle::with_template(style).expect("the template is a constant"))
}
