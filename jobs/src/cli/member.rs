//! Members and their roles.

use clap::Args;
use guestlist::{Connection, Membership, Name, OrganizationId, Page, Role, UserId};
use serde_json::{Value as Json, json};

use super::Done;
use super::context::Context;
use super::output::{Row, moment, or_dash};

/// List the members of an organization, in the order in which they joined.
#[derive(Debug, Args)]
#[command(
    name = "members",
    after_help = "Example:\n  guestlist members --organization ID --json"
)]
pub(crate) struct List {
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
    /// Stop after so many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Give a member another role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist change-role u2 admin --organization ID --as u1")]
pub(crate) struct ChangeRole {
    /// The member.
    user: UserId,
    /// The role they have from now on.
    role: Role,
    #[command(flatten)]
    by: By,
}

/// End another member's membership; their sessions of this organization end with it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist remove u2 --organization ID --as u1")]
pub(crate) struct Remove {
    /// The member.
    user: UserId,
    #[command(flatten)]
    by: By,
}

/// End one's own membership.
#[derive(Debug, Args)]
pub(crate) struct Leave {
    #[command(flatten)]
    by: By,
}

/// Hand the ownership to another member; the old owner steps down by one rank.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// The member who becomes owner.
    user: UserId,
    #[command(flatten)]
    by: By,
}

#[derive(Debug, Args)]
struct By {
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
    /// Who does it: a member of the organization.
    #[arg(long = "as", value_name = "USER")]
    actor: UserId,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.organization).await?.id;
        let fetch = async |connection: Connection<'_>, paging: &_| {
            let page = context
                .organizations
                .members(connection, organization, paging)
                .await?;
            Ok(Page {
                items: page.items.into_iter().map(Listed).collect(),
                next: page.next,
            })
        };
        context
            .show_list(self.limit, "There are no members.", fetch)
            .await
    }
}

impl ChangeRole {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self {
            user,
            role,
            by: By {
                organization,
                actor,
            },
        } = self;
        let member = context
            .change(async |tx| {
                context
                    .organizations
                    .change_role(tx, &actor, organization, &user, &role)
                    .await
            })
            .await?;
        let sentence = format!("{} is {} now.", member.user, member.role);
        context.output.one(&Listed(member), sentence)
    }
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self {
            user,
            by: By {
                organization,
                actor,
            },
        } = self;
        context
            .change(async |tx| {
                context
                    .organizations
                    .remove(tx, &actor, organization, &user)
                    .await
            })
            .await?;
        let object = json!({ "user": user, "organization": organization, "removed": true });
        context.output.sentence(object, format!("Removed {user}."))
    }
}

impl Leave {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let By {
            organization,
            actor,
        } = self.by;
        context
            .change(async |tx| context.organizations.leave(tx, &actor, organization).await)
            .await?;
        let object = json!({ "user": actor, "organization": organization, "left": true });
        context.output.sentence(object, format!("{actor} left."))
    }
}

impl Transfer {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self {
            user,
            by: By {
                organization,
                actor,
            },
        } = self;
        let heir = context
            .change(async |tx| {
                context
                    .organizations
                    .transfer_ownership(tx, &actor, organization, &user)
                    .await
            })
            .await?;
        let sentence = format!("{} is {} now.", heir.user, heir.role);
        context.output.one(&Listed(heir), sentence)
    }
}

/// A member as listed.
pub(crate) struct Listed(pub(crate) Membership);

impl Row for Listed {
    const HEADER: &'static [&'static str] = &["user", "email", "name", "role", "joined"];

    fn json(&self) -> Json {
        let Self(member) = self;
        json!({
            "user": member.user,
            "email": member.email,
            "name": member.name,
            "role": member.role,
            "organization": member.organization,
            "joined_at": member.joined_at,
        })
    }

    fn cells(&self) -> Vec<String> {
        let Self(member) = self;
        vec![
            member.user.to_string(),
            member.email.as_str().to_owned(),
            or_dash(member.name.as_ref().map(Name::as_str)),
            member.role.to_string(),
            moment(member.joined_at),
        ]
    }
}
