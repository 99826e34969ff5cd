//! Commands on members.

use clap::Args;
use guestlist::{Actor, Connection, Membership, Name, Role, UserId};
use serde_json::{Value as Json, json};

use super::arguments::{By, Limit, ToMember, Within};
use super::context::Context;
use super::failure::Done;
use super::not_found::Named;
use super::output::{Row, moment, or_dash};

/// List the members of an organization, in the order in which they joined.
#[derive(Debug, Args)]
#[command(
    name = "members",
    after_help = "Example:\n  guestlist members --organization ID --json"
)]
pub(crate) struct List {
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    limit: Limit,
}

/// Give a member another role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist change-role u2 admin --organization ID --as u1")]
pub(crate) struct ChangeRole {
    /// The member.
    user: UserId,
    /// The new role.
    role: Role,
    #[command(flatten)]
    by: By,
}

/// Suspend a member: they have no access, their sessions of this organization end, role and history
/// stay.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist suspend u2 --organization ID --as u1")]
pub(crate) struct Suspend {
    #[command(flatten)]
    member: ToMember,
}

/// Reinstate a suspended member in their role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist reinstate u2 --organization ID --as u1")]
pub(crate) struct Reinstate {
    #[command(flatten)]
    member: ToMember,
}

/// End another member's membership, with their sessions of this organization.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist remove u2 --organization ID --as u1")]
pub(crate) struct Remove {
    #[command(flatten)]
    member: ToMember,
}

/// End the actor's own membership.
#[derive(Debug, Args)]
pub(crate) struct Leave {
    #[command(flatten)]
    within: Within,
    /// The member that leaves.
    #[arg(long = "as", value_name = "USER")]
    user: UserId,
}

/// Transfer the ownership to another member; the old owner steps down by one rank.
///
/// If your application acts (--as-host), no owner steps down.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    #[command(flatten)]
    heir: ToMember,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let organization = context.organization(self.within.organization).await?.id;
        let fetch = async |connection: Connection<'_>, paging: &_| {
            let page = context
                .guestlist
                .members(connection, organization, paging)
                .await?;
            Ok(page.map(Listed))
        };
        context
            .show_list(self.limit.limit, "There are no members.", fetch)
            .await
    }
}

impl ChangeRole {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self { user, role, by } = self;
        let member = ToMember { user, by };
        let changed = member
            .change(context, async |tx| {
                let ToMember { user, by } = &member;
                context
                    .guestlist
                    .act(by.actor())
                    .in_organization(by.organization())
                    .change_role(tx, user, &role)
                    .await
            })
            .await?;
        let sentence = format!("{} now has the role {}.", changed.user, changed.role);
        context.output.one(&Listed(changed), sentence)
    }
}

impl Suspend {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let suspended = self
            .member
            .change(context, async |tx| {
                let ToMember { user, by } = &self.member;
                context
                    .guestlist
                    .act(by.actor())
                    .in_organization(by.organization())
                    .suspend(tx, user)
                    .await
            })
            .await?;
        let sentence = format!("{} is suspended.", suspended.user);
        context.output.one(&Listed(suspended), sentence)
    }
}

impl Reinstate {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let reinstated = self
            .member
            .change(context, async |tx| {
                let ToMember { user, by } = &self.member;
                context
                    .guestlist
                    .act(by.actor())
                    .in_organization(by.organization())
                    .reinstate(tx, user)
                    .await
            })
            .await?;
        let sentence = format!(
            "{} has access again, as {}.",
            reinstated.user, reinstated.role
        );
        context.output.one(&Listed(reinstated), sentence)
    }
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Done {
        self.member
            .change(context, async |tx| {
                let ToMember { user, by } = &self.member;
                context
                    .guestlist
                    .act(by.actor())
                    .in_organization(by.organization())
                    .remove(tx, user)
                    .await
            })
            .await?;
        let user = &self.member.user;
        let organization = self.member.organization();
        let object = json!({ "user": user, "organization": organization, "removed": true });
        context.output.sentence(object, format!("Removed {user}."))
    }
}

impl Leave {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let Self {
            within: Within { organization },
            user,
        } = self;
        let named = Named::organization(organization).actor(Some(&user));
        named
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(Actor::member(&user))
                    .in_organization(organization)
                    .leave(tx)
                    .await
            })
            .await?;
        let object = json!({ "user": user, "organization": organization, "left": true });
        context.output.sentence(object, format!("{user} left."))
    }
}

impl Transfer {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let heir = self
            .heir
            .change(context, async |tx| {
                let ToMember { user, by } = &self.heir;
                context
                    .guestlist
                    .act(by.actor())
                    .in_organization(by.organization())
                    .transfer_ownership(tx, user)
                    .await
            })
            .await?;
        let sentence = format!("{} now has the role {}.", heir.user, heir.role);
        context.output.one(&Listed(heir), sentence)
    }
}

/// A member in a list.
pub(crate) struct Listed(pub(crate) Membership);

impl Row for Listed {
    const HEADER: &'static [&'static str] =
        &["user", "email", "name", "role", "joined", "suspended"];

    fn json(&self) -> Json {
        let Self(member) = self;
        json!({
            "user": member.user,
            "email": member.email,
            "name": member.name,
            "role": member.role,
            "organization": member.organization,
            "joined_at": member.joined_at,
            "suspended_at": member.suspended_at,
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
            or_dash(member.suspended_at.map(moment)),
        ]
    }
}
