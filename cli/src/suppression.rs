//! Suppressed addresses, for operators.

use clap::Subcommand;
use guestlist::worker::{self, Suppression};
use guestlist::{Connection, EmailAddress};
use serde_json::{Value as Json, json};

use super::arguments::Limit;
use super::context::Context;
use super::failure::{Done, Reason};
use super::output::{Row, moment};

/// The commands on suppressed addresses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the suppressed addresses, in alphabetical order.
    ///
    /// No organization sends a letter to a suppressed address, because a mail server said that the
    /// mailbox does not exist or is disabled. A suppression ends after 30 days, when the address
    /// accepts an invitation, when an invitation that was not delivered is resent, or when an
    /// operator lifts it.
    #[command(
        after_help = "Examples:\n  guestlist suppressions list\n  guestlist suppressions list --limit 10 --json"
    )]
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Lift the suppression of an address: later letters to it are sent again.
    ///
    /// Letters that were not sent meanwhile stay unsent; `guestlist resend` sends them again.
    #[command(after_help = "Example:\n  guestlist suppressions lift bob@acme.example")]
    Lift {
        /// The address.
        #[arg(value_name = "ADDRESS")]
        email: EmailAddress,
    },
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match self {
            Self::List { limit } => list(context, limit).await,
            Self::Lift { email } => lift(context, &email).await,
        }
    }
}

async fn list(context: &Context, limit: Limit) -> Done {
    let fetch = async |connection: Connection<'_>, paging: &_| {
        worker::suppressions(connection, context.guestlist.now(), paging).await
    };
    let empty = "There are no suppressed addresses.";
    context.show_list(limit.limit, empty, fetch).await
}

async fn lift(context: &Context, email: &EmailAddress) -> Done {
    let is_lifted = context
        .change(async |tx| worker::lift_suppression(tx, email).await)
        .await?;
    let address = email.as_str();
    if !is_lifted {
        let problem = format!("{address} is not suppressed");
        let refusal = Reason::refused("not_found", problem).with("email", address);
        return Err(refusal.into());
    }
    context.output.sentence(
        json!({ "email": address, "lifted": true }),
        format!("Lifted the suppression of {address}; later letters are sent again."),
    )
}

impl Row for Suppression {
    const HEADER: &'static [&'static str] = &["address", "since", "until", "reply"];

    fn json(&self) -> Json {
        json!({
            "email": self.email,
            "reason": self.reason,
            "at": self.at,
            "expires_at": self.expires_at(),
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.email.as_str().to_owned(),
            moment(self.at),
            moment(self.expires_at()),
            self.reason.clone(),
        ]
    }
}
