//! Invitations that exist already.

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use guestlist::{
    Connection, Filter, Invitation, InvitationId, OrganizationId, Page, Status, UserId,
};
use serde_json::{Value as Json, json};

use super::Done;
use super::context::Context;
use super::output::{Row, moment};

/// List the invitations of an organization, oldest first.
#[derive(Debug, Args)]
#[command(
    name = "invitations",
    after_help = "Example:\n  guestlist invitations --organization ID --status pending"
)]
pub(crate) struct List {
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
    /// Only those of this status, as it holds now.
    #[arg(long, value_parser = statuses())]
    status: Option<Status>,
    /// Stop after so many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Send an open or expired invitation again; it lives its full time from now.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist resend INVITATION --as u1")]
pub(crate) struct Resend {
    #[command(flatten)]
    target: Target,
}

/// Withdraw an open invitation: its link is refused from now on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist revoke INVITATION --as u1")]
pub(crate) struct Revoke {
    #[command(flatten)]
    target: Target,
}

/// Print the link of an open invitation, to hand it over without mail.
///
/// Whoever has it can accept with the invited address, so it is written to the audit trail who
/// asked for it. It is the URL of GUESTLIST_LINK with the token in place of {token}.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist link INVITATION --as u1")]
pub(crate) struct Link {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Target {
    /// The invitation.
    invitation: InvitationId,
    /// Who does it: a member who may invite to the invitation's role.
    #[arg(long = "as", value_name = "USER")]
    actor: UserId,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.iter().map(Status::as_str))
        .try_map(|text| text.parse::<Status>())
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.organization).await?.id;
        let filter = self.status.map_or(Filter::All, Filter::Only);
        let fetch = async |connection: Connection<'_>, paging: &_| {
            let page = context
                .organizations
                .invitations(connection, organization, filter, paging)
                .await?;
            let items = page
                .items
                .into_iter()
                .map(|invitation| Listed::new(invitation, context))
                .collect();
            Ok(Page {
                items,
                next: page.next,
            })
        };
        context
            .show_list(self.limit, "There are no such invitations.", fetch)
            .await
    }
}

impl Resend {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Target { invitation, actor } = self.target;
        let resent = context
            .change(async |tx| context.organizations.resend(tx, &actor, invitation).await)
            .await?;
        let sentence = format!(
            "Sending it to {} again; it is open until {}.",
            resent.email.as_str(),
            moment(resent.expires_at)
        );
        context.output.one(&Listed::new(resent, context), sentence)
    }
}

impl Revoke {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Target { invitation, actor } = self.target;
        let revoked = context
            .change(async |tx| context.organizations.revoke(tx, &actor, invitation).await)
            .await?;
        let sentence = format!("Revoked the invitation of {}.", revoked.email.as_str());
        context.output.one(&Listed::new(revoked, context), sentence)
    }
}

impl Link {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let Target { invitation, actor } = self.target;
        let token = context
            .change(async |tx| {
                context
                    .organizations
                    .show_link(tx, &actor, invitation)
                    .await
            })
            .await?;
        let link = context.config.link.with(&token);
        context.output.sentence(json!({ "link": link }), link)
    }
}

/// An invitation as listed, with the status that holds now.
pub(crate) struct Listed {
    invitation: Invitation,
    now: DateTime<Utc>,
}

impl Listed {
    pub(crate) fn new(invitation: Invitation, context: &Context) -> Self {
        Self {
            invitation,
            now: context.organizations.now(),
        }
    }
}

impl Row for Listed {
    const HEADER: &'static [&'static str] = &[
        "invitation",
        "email",
        "role",
        "status",
        "delivery",
        "expires",
    ];

    fn json(&self) -> Json {
        let Self { invitation, now } = self;
        json!({
            "invitation": invitation.id,
            "organization": invitation.organization,
            "email": invitation.email,
            "role": invitation.role,
            "locale": invitation.locale,
            "message": invitation.message,
            "status": invitation.status_at(*now),
            "delivery": invitation.delivery,
            "delivery_detail": invitation.delivery_detail,
            "granted_by": invitation.granted_by,
            "accepted_by": invitation.accepted_by,
            "letters": invitation.letters,
            "last_letter_at": invitation.last_letter_at,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
            "closed_at": invitation.closed_at,
        })
    }

    fn cells(&self) -> Vec<String> {
        let Self { invitation, now } = self;
        vec![
            invitation.id.to_string(),
            invitation.email.as_str().to_owned(),
            invitation.role.to_string(),
            invitation.status_at(*now).to_string(),
            invitation.delivery.to_string(),
            moment(invitation.expires_at),
        ]
    }
}
