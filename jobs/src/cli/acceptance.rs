//! What an invitee does with a link.

use std::io::{self, Read};

use clap::Args;
use guestlist::{EmailAddress, Name, User, UserId};

use super::Done;
use super::context::Context;
use super::failure::{Failure, Reason};
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
        let member = context
            .change(async |tx| context.organizations.accept(tx, &token, &user).await)
            .await?;
        let sentence = format!(
            "{} is a member of {} as {}.",
            member.user, member.organization, member.role
        );
        context.output.one(&member::Listed(member), sentence)
    }
}

impl Decline {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let token = token(context, self.token)?;
        let declined = context
            .change(async |tx| context.organizations.decline(tx, &token).await)
            .await?;
        let sentence = format!("Declined for {}.", declined.email.as_str());
        context
            .output
            .one(&invitation::Listed::new(declined, context), sentence)
    }
}

/// No link is longer.
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
