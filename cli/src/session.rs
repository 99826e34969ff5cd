//! Commands on sessions that end with a membership.

use clap::{Args, Subcommand};
use guestlist::{Membership, OrganizationId, Paging, SessionKey, UserId};
use serde_json::{Value as Json, json};

use super::arguments::Within;
use super::context::Context;
use super::failure::{Done, Failure, Status};
use super::not_found::{self, Named};
use super::output::Row;

/// The commands on sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record a session of a member, so that it ends with the membership.
    #[command(
        after_help = "Example:\n  guestlist session record SESSION --user u2 --organization ID"
    )]
    Record(Session),
    List(List),
    /// Delete the record of a session that your application ended itself.
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
    #[command(flatten)]
    within: Within,
}

/// List the recorded sessions of one member, or of every member of an organization.
///
/// The key of a session may be enough to use it, so keep the output private.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    within: Within,
    /// Only sessions of this member.
    #[arg(long, value_name = "USER")]
    user: Option<UserId>,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match self {
            Self::Record(session) => session.record(context).await,
            Self::Forget(session) => session.forget(context).await,
            Self::List(list) => list.run(context).await,
        }
    }
}

impl Session {
    async fn record(self, context: &Context) -> Done {
        let Self {
            session,
            user,
            within: Within { organization },
        } = self;
        let named = Named::organization(organization).member(&user);
        named
            .change(context, async |tx| {
                context
                    .guestlist
                    .record_session(tx, organization, &user, &session)
                    .await
            })
            .await?;
        let object = json!({ "user": user, "organization": organization, "recorded": true });
        context
            .output
            .sentence(object, format!("Recorded a session of {user}."))
    }

    async fn forget(self, context: &Context) -> Done {
        let Self {
            session,
            user,
            within: Within { organization },
        } = self;
        context
            .change(async |tx| {
                context
                    .guestlist
                    .forget_session(tx, organization, &user, &session)
                    .await
            })
            .await?;
        let object = json!({ "user": user, "organization": organization, "forgotten": true });
        context.output.sentence(
            object,
            format!("Deleted the record of a session of {user}."),
        )
    }
}

impl List {
    async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.within.organization).await?.id;
        let listed = match &self.user {
            Some(user) => of_member(context, organization, user).await?,
            None => of_everyone(context, organization).await?,
        };
        if listed == 0 && !context.output.is_json() {
            context.output.line("There are no recorded sessions.")?;
        }
        Ok(Status::Done)
    }
}

async fn of_member(
    context: &Context,
    organization: OrganizationId,
    user: &UserId,
) -> Result<usize, Failure> {
    if not_found::member(context, organization, user)
        .await?
        .is_none()
    {
        return Err(not_found::no_member(organization, user).into());
    }
    print(context, organization, user).await
}

async fn of_everyone(context: &Context, organization: OrganizationId) -> Result<usize, Failure> {
    let mut listed = 0;
    let mut paging = Paging::first(Paging::MAX_LIMIT);
    loop {
        let page = context
            .read(async |tx| context.guestlist.members(tx, organization, &paging).await)
            .await?;
        for Membership { user, .. } in &page.items {
            listed += print(context, organization, user).await?;
        }
        let Some(next) = page.next else {
            return Ok(listed);
        };
        paging = Paging::after(next, Paging::MAX_LIMIT);
    }
}

/// Prints a member's sessions and returns their number.
async fn print(
    context: &Context,
    organization: OrganizationId,
    user: &UserId,
) -> Result<usize, Failure> {
    let sessions = context
        .read(async |tx| context.guestlist.sessions(tx, organization, user).await)
        .await?;
    let rows: Vec<_> = sessions
        .into_iter()
        .map(|session| Listed {
            user: user.clone(),
            session,
        })
        .collect();
    context.output.rows(&rows)?;
    Ok(rows.len())
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
