//! The sessions that end with a membership.

use clap::{Args, Subcommand};
use guestlist::{Membership, OrganizationId, Paging, SessionKey, UserId};
use serde_json::{Value as Json, json};

use super::Done;
use super::context::Context;
use super::failure::{Failure, Status};
use super::output::Row;

/// What can be done about sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record that a member signed in, so that the session ends with the membership.
    #[command(
        after_help = "Example:\n  guestlist session record SESSION --user u2 --organization ID"
    )]
    Record(Session),
    List(List),
    /// Forget a session your application ended itself.
    Forget(Session),
}

/// A session of a member.
#[derive(Debug, Args)]
pub(crate) struct Session {
    /// The key of the session in its store.
    session: SessionKey,
    /// The member.
    #[arg(long, value_name = "USER")]
    user: UserId,
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
}

/// List the recorded sessions of one member, or of every member of an organization.
///
/// Whoever sees a session's key may be able to use the session.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
    /// Only this member's.
    #[arg(long, value_name = "USER")]
    user: Option<UserId>,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match self {
            Self::Record(Session {
                session,
                user,
                organization,
            }) => {
                context
                    .change(async |tx| {
                        context
                            .organizations
                            .record_session(tx, organization, &user, &session)
                            .await
                    })
                    .await?;
                let object =
                    json!({ "user": user, "organization": organization, "recorded": true });
                context
                    .output
                    .sentence(object, format!("Recorded a session of {user}."))
            }
            Self::Forget(Session {
                session,
                user,
                organization,
            }) => {
                context
                    .change(async |tx| {
                        context
                            .organizations
                            .forget_session(tx, organization, &user, &session)
                            .await
                    })
                    .await?;
                let object =
                    json!({ "user": user, "organization": organization, "forgotten": true });
                context
                    .output
                    .sentence(object, format!("Forgot a session of {user}."))
            }
            Self::List(list) => list.run(context).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.organization).await?.id;
        if let Some(user) = &self.user {
            print(context, organization, user).await?;
            return Ok(Status::Done);
        }
        let mut paging = Paging::first(Paging::MAX_LIMIT);
        loop {
            let page = context
                .read(async |tx| {
                    context
                        .organizations
                        .members(tx, organization, &paging)
                        .await
                })
                .await?;
            for Membership { user, .. } in &page.items {
                print(context, organization, user).await?;
            }
            let Some(next) = page.next else {
                return Ok(Status::Done);
            };
            paging = Paging::after(next, Paging::MAX_LIMIT);
        }
    }
}

async fn print(
    context: &Context,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Failure> {
    let sessions = context
        .read(async |tx| context.organizations.sessions(tx, organization, user).await)
        .await?;
    let rows: Vec<_> = sessions
        .into_iter()
        .map(|session| Listed {
            user: user.clone(),
            session,
        })
        .collect();
    Ok(context.output.rows(&rows)?)
}

struct Listed {
    user: UserId,
    session: SessionKey,
}

impl Row for Listed {
    const HEADER: &'static [&'static str] = &["user", "session"];

    fn json(&self) -> Json {
        json!({ "session": self.session, "user": self.user })
    }

    fn cells(&self) -> Vec<String> {
        vec![self.user.to_string(), self.session.as_str().to_owned()]
    }
}
