//! Acceptance and refusal of an invitation by its link.

use std::io::{self, Read};

use clap::Args;
use guestlist::{EmailAddress, Fault, Name, User, UserId};
use serde_json::json;

use super::context::Context;
use super::failure::{Done, Failure, Reason};
use super::output::Row;
use super::{invitation, member};

/// Accept an invitation: make a user a member.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guestlist accept TOKEN --user u2 --email bob@acme.example --name Bob\n  \
                  guestlist link INVITATION --as u1 | guestlist accept - --user u2 --email bob@acme.example"
)]
pub(crate) struct Accept {
    /// The token, the whole link, or - to read either from stdin and keep it out of the shell's history.
    token: String,
    /// The user's id in your application.
    #[arg(long, value_name = "USER")]
    user: UserId,
    /// The user's address, which your application has verified; it has to be the invited one.
    #[arg(long, value_name = "VERIFIED-ADDRESS")]
    email: EmailAddress,
    /// The user's name.
    #[arg(long)]
    name: Option<Name>,
}

/// Decline an invitation.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist decline TOKEN")]
pub(crate) struct Decline {
    /// The token, the whole link, or - to read either from stdin and keep it out of the shell's history.
    token: String,
}

impl Accept {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let token = token(context, self.token)?;
        let user = User::new(self.user, self.email);
        let user = match self.name {
            Some(name) => user.named(name),
            None => user,
        };
        let (offered, member) = context
            .change(async |tx| {
                // If a link cannot be opened, accept refuses it with the same reason, unless the
                // same user accepted it before: then accept returns the role they have.
                let offered = match context.guestlist.open(&mut *tx, &token).await {
                    Ok(invitation) => Some(invitation.role),
                    Err(problem) if problem.fault() == Fault::Rule => None,
                    Err(problem) => return Err(problem),
                };
                let member = context.guestlist.accept(tx, &token, &user).await?;
                Ok((offered, member))
            })
            .await?;
        let mut sentence = format!(
            "{} is a member of {} as {}.",
            member.user, member.organization, member.role
        );
        let kept = offered.is_some_and(|offered| {
            if offered != member.role {
                sentence += &format!(
                    " They were already a member and keep that role; the invitation was to {offered}."
                );
            }
            offered != member.role
        });
        let mut object = member::Listed(member).json();
        object["role_kept"] = json!(kept);
        context.output.sentence(object, sentence)
    }
}

impl Decline {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let token = token(context, self.token)?;
        let declined = context
            .change(async |tx| context.guestlist.decline(tx, &token).await)
            .await?;
        let sentence = format!("Declined for {}.", declined.email.as_str());
        context
            .output
            .one(&invitation::Listed::new(declined, context), sentence)
    }
}

/// The maximum length of a link, in bytes.
const MAX_LENGTH: u64 = 8 * 1024;

fn token(context: &Context, given: String) -> Result<String, Failure> {
    let mut text = given;
    if text == "-" {
        text.clear();
        io::stdin()
            .take(MAX_LENGTH)
            .read_to_string(&mut text)
            .map_err(|problem| {
                Reason::fault(
                    "input",
                    format!("cannot read the token from stdin: {problem}"),
                )
            })?;
    }
    Ok(context.config.link.token_in(text.trim()).to_owned())
}
