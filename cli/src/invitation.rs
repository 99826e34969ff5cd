//! Commands on existing invitations.

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use guestlist::{Connection, Error, Filter, Invitation, InvitationId, Role, Status, Transaction};
use serde_json::{Value as Json, json};

use super::arguments::{ActingAs, Limit, Within};
use super::context::Context;
use super::failure::{Done, Failure};
use super::id;
use super::not_found::Named;
use super::output::{Row, moment, or_dash};

/// List the invitations of an organization, oldest first.
#[derive(Debug, Args)]
#[command(
    name = "invitations",
    after_help = "Example:\n  guestlist invitations --organization ID --status pending"
)]
pub(crate) struct List {
    #[command(flatten)]
    within: Within,
    /// Only invitations that have this status now.
    #[arg(long, value_parser = statuses())]
    status: Option<Status>,
    #[command(flatten)]
    limit: Limit,
}

/// Send an open or expired invitation again, and extend it to its full lifetime from now.
///
/// A member that acts needs the right to invite to the invitation's role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist resend INVITATION --as u1")]
pub(crate) struct Resend {
    #[command(flatten)]
    target: Target,
}

/// Revoke an open invitation: its link is refused from now on.
///
/// A member that acts needs the right to invite to the invitation's role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist revoke INVITATION --as u1")]
pub(crate) struct Revoke {
    #[command(flatten)]
    target: Target,
}

/// Print the link of an open invitation, to pass it on without e-mail.
///
/// A holder of the link can accept with the invited address, so the audit trail records the actor.
/// The link is the URL of GUESTLIST_LINK with the token in place of {token}. A member that acts
/// needs the right to invite to the invitation's role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist link INVITATION --as u1")]
pub(crate) struct Link {
    #[command(flatten)]
    target: Target,
}

/// Give an open invitation another role.
///
/// The mailed link leads to the new role; no letter is sent. A member that acts needs the right to
/// invite to both roles.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist change-invitation-role INVITATION manager --as u1")]
pub(crate) struct ChangeRole {
    /// The invitation.
    #[arg(value_parser = id::invitation)]
    invitation: InvitationId,
    /// The new role.
    role: Role,
    #[command(flatten)]
    acting_as: ActingAs,
}

#[derive(Debug, Args)]
struct Target {
    /// The invitation.
    #[arg(value_parser = id::invitation)]
    invitation: InvitationId,
    #[command(flatten)]
    acting_as: ActingAs,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.iter().map(Status::as_str))
        .try_map(|text| text.parse::<Status>())
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.within.organization).await?.id;
        let filter = self.status.map_or(Filter::All, Filter::Only);
        let fetch = async |connection: Connection<'_>, paging: &_| {
            let page = context
                .guestlist
                .invitations(connection, organization, filter, paging)
                .await?;
            Ok(page.map(|invitation| Listed::new(invitation, context)))
        };
        let status = context
            .show_list(self.limit.limit, "There are no such invitations.", fetch)
            .await?;
        context.note_mail_pause().await?;
        Ok(status)
    }
}

impl Resend {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Target {
            invitation,
            acting_as,
        } = &self.target;
        let resent = self
            .target
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .resend(tx, *invitation)
                    .await
            })
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
        let Target {
            invitation,
            acting_as,
        } = &self.target;
        let revoked = self
            .target
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .revoke(tx, *invitation)
                    .await
            })
            .await?;
        let sentence = format!("Revoked the invitation of {}.", revoked.email.as_str());
        context.output.one(&Listed::new(revoked, context), sentence)
    }
}

impl Link {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let Target {
            invitation,
            acting_as,
        } = &self.target;
        let token = self
            .target
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .show_link(tx, *invitation)
                    .await
            })
            .await?;
        let link = context.config.link.with(&token);
        context.output.sentence(json!({ "link": link }), link)
    }
}

impl ChangeRole {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let Self {
            invitation,
            role,
            acting_as,
        } = self;
        let named = Named::invitation(invitation).actor(acting_as.member());
        let changed = named
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .change_invitation_role(tx, invitation, &role)
                    .await
            })
            .await?;
        let sentence = format!(
            "The invitation of {} is now to the role {}.",
            changed.email.as_str(),
            changed.role
        );
        context.output.one(&Listed::new(changed, context), sentence)
    }
}

impl Target {
    /// Changes something by the library; if it finds nothing, names the missing part.
    async fn change<T>(
        &self,
        context: &Context,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let named = Named::invitation(self.invitation).actor(self.acting_as.member());
        named.change(context, action).await
    }
}

/// An invitation in a list, with its status now.
pub(crate) struct Listed {
    invitation: Invitation,
    now: DateTime<Utc>,
}

impl Listed {
    pub(crate) fn new(invitation: Invitation, context: &Context) -> Self {
        Self {
            invitation,
            now: context.guestlist.now(),
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
        "reply",
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
            "bounced_at": invitation.bounced_at,
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
            or_dash(invitation.delivery_detail.as_ref()),
        ]
    }
}
