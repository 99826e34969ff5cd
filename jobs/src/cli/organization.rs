//! Organizations.

use clap::{Args, Subcommand};
use guestlist::{EmailAddress, Name, Organization, OrganizationId, Page, User, UserId};
use serde_json::{Value as Json, json};

use super::Done;
use super::context::Context;
use super::output::{Row, moment};

/// What can be done about organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    /// List every organization, oldest first.
    List {
        /// Stop after so many.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
    Rename(Rename),
    Delete(Delete),
}

/// Create an organization with its first owner.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  guestlist organization create \"Acme\" --owner u1 --email ann@acme.example --name Ann"
)]
pub(crate) struct Create {
    /// What the organization is called.
    #[arg(value_name = "NAME")]
    organization: Name,
    /// The owner's user id in your application.
    #[arg(long, value_name = "USER")]
    owner: UserId,
    /// The owner's address, which your application has verified.
    #[arg(long, value_name = "ADDRESS")]
    email: EmailAddress,
    /// The owner's name.
    #[arg(long = "name", value_name = "NAME", id = "owner_name")]
    name: Option<Name>,
}

/// Give an organization another name.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The organization.
    #[arg(value_name = "ORGANIZATION")]
    organization: OrganizationId,
    /// What it is called from now on.
    name: Name,
    /// Who does it: a member whose role permits `organization.rename`.
    #[arg(long = "as", value_name = "USER")]
    actor: UserId,
}

/// Delete an organization with its memberships and invitations; its history stays.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The organization.
    #[arg(value_name = "ORGANIZATION")]
    organization: OrganizationId,
    /// Who does it: a member whose role permits `organization.delete`.
    #[arg(long = "as", value_name = "USER")]
    actor: UserId,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::List { limit } => {
                let fetch = async |connection: guestlist::Connection<'_>, paging: &_| {
                    let page = context
                        .organizations
                        .organizations(connection, paging)
                        .await?;
                    Ok(Page {
                        items: page.items.into_iter().map(Listed).collect(),
                        next: page.next,
                    })
                };
                context
                    .show_list(limit, "There are no organizations.", fetch)
                    .await
            }
            Self::Rename(rename) => rename.run(context).await,
            Self::Delete(delete) => delete.run(context).await,
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Done {
        let user = User::new(self.owner, self.email);
        let user = match self.name {
            Some(name) => user.named(name),
            None => user,
        };
        let name = self.organization;
        let made = context
            .change(async |tx| context.organizations.create(tx, name, &user).await)
            .await?;
        let sentence = format!("Created {}: {}.", made.name.as_str(), made.id);
        context.output.one(&Listed(made), sentence)
    }
}

impl Rename {
    async fn run(self, context: &Context) -> Done {
        let Self {
            organization,
            name,
            actor,
        } = self;
        let renamed = context
            .change(async |tx| {
                context
                    .organizations
                    .rename(tx, &actor, organization, name)
                    .await
            })
            .await?;
        let sentence = format!("It is called {} now.", renamed.name.as_str());
        context.output.one(&Listed(renamed), sentence)
    }
}

impl Delete {
    async fn run(self, context: &Context) -> Done {
        let Self {
            organization,
            actor,
        } = self;
        context
            .change(async |tx| context.organizations.delete(tx, &actor, organization).await)
            .await?;
        let object = json!({ "organization": organization, "deleted": true });
        context
            .output
            .sentence(object, format!("Deleted {organization}."))
    }
}

struct Listed(Organization);

impl Row for Listed {
    const HEADER: &'static [&'static str] = &["organization", "name", "created"];

    fn json(&self) -> Json {
        let Self(organization) = self;
        json!({
            "organization": organization.id,
            "name": organization.name,
            "created_at": organization.created_at,
        })
    }

    fn cells(&self) -> Vec<String> {
        let Self(organization) = self;
        vec![
            organization.id.to_string(),
            organization.name.as_str().to_owned(),
            moment(organization.created_at),
        ]
    }
}
