//! Commands on organizations.

use std::str::FromStr;

use clap::{Args, Subcommand};
use guestlist::{Actor, EmailAddress, Name, Organization, OrganizationId, User, UserId};
use serde_json::{Value as Json, json};

use super::arguments::{ActingAs, Limit};
use super::context::Context;
use super::failure::Done;
use super::id;
use super::not_found::Named;
use super::output::{Row, moment};

/// The commands on organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    /// List all organizations, oldest first.
    List(Limit),
    Rename(Rename),
    Seats(Seats),
    Delete(Delete),
}

/// Create an organization with its first owner.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  guestlist organization create \"Acme\" --owner u1 --email ann@acme.example --name Ann"
)]
pub(crate) struct Create {
    /// The name of the organization.
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

/// Rename an organization.
///
/// A member that acts needs the permission `organization.rename`.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The organization.
    #[arg(value_name = "ORGANIZATION", value_parser = id::organization)]
    organization: OrganizationId,
    /// The new name.
    name: Name,
    #[command(flatten)]
    acting_as: ActingAs,
}

/// Set the number of seats of an organization.
///
/// The host does this itself, after a purchase for instance, so no member has to permit it. Members
/// stay even if there are fewer seats than members.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guestlist organization seats ORGANIZATION 25\n  guestlist organization seats ORGANIZATION default"
)]
pub(crate) struct Seats {
    /// The organization.
    #[arg(value_name = "ORGANIZATION", value_parser = id::organization)]
    organization: OrganizationId,
    /// The number of seats, or default for the value of GUESTLIST_SEATS.
    #[arg(value_name = "NUMBER|default")]
    seats: Number,
}

/// A number of seats, or the configured one.
#[derive(Debug, Clone, Copy)]
struct Number(Option<u32>);

/// Delete an organization with its memberships and invitations; its history stays.
///
/// A member that acts needs the permission `organization.delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The organization.
    #[arg(value_name = "ORGANIZATION", value_parser = id::organization)]
    organization: OrganizationId,
    #[command(flatten)]
    acting_as: ActingAs,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Done {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::List(Limit { limit }) => {
                let fetch = async |connection: guestlist::Connection<'_>, paging: &_| {
                    let page = context.guestlist.organizations(connection, paging).await?;
                    Ok(page.map(Listed))
                };
                context
                    .show_list(limit, "There are no organizations.", fetch)
                    .await
            }
            Self::Rename(rename) => rename.run(context).await,
            Self::Seats(seats) => seats.run(context).await,
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
            .change(async |tx| context.guestlist.create(tx, name.clone(), &user).await)
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
            acting_as,
        } = self;
        let named = Named::organization(organization).actor(acting_as.member());
        let renamed = named
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .in_organization(organization)
                    .rename(tx, name.clone())
                    .await
            })
            .await?;
        let sentence = format!("The organization is now called {}.", renamed.name.as_str());
        context.output.one(&Listed(renamed), sentence)
    }
}

impl Delete {
    async fn run(self, context: &Context) -> Done {
        let Self {
            organization,
            acting_as,
        } = self;
        let named = Named::organization(organization).actor(acting_as.member());
        named
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(acting_as.actor())
                    .in_organization(organization)
                    .delete(tx)
                    .await
            })
            .await?;
        let object = json!({ "organization": organization, "deleted": true });
        context
            .output
            .sentence(object, format!("Deleted {organization}."))
    }
}

/// The reason in the audit trail for this command.
const SEATS_REASON: &str = "guestlist organization seats";

impl Seats {
    async fn run(self, context: &Context) -> Done {
        let Self {
            organization,
            seats: Number(seats),
        } = self;
        let changed = Named::organization(organization)
            .change(context, async |tx| {
                context
                    .guestlist
                    .act(Actor::host(SEATS_REASON.parse().expect("a reason")))
                    .in_organization(organization)
                    .set_seats(tx, seats)
                    .await
            })
            .await?;
        let name = changed.name.as_str();
        let sentence = match changed.seats() {
            Some(seats) => format!("{name} now has {seats} seats."),
            None => format!("{name} now has the configured number of seats."),
        };
        context.output.one(&Listed(changed), sentence)
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" => Ok(Self(None)),
            number => number
                .parse()
                .map(|seats| Self(Some(seats)))
                .map_err(|_| "write a number such as 25, or default".to_owned()),
        }
    }
}

struct Listed(Organization);

impl Row for Listed {
    const HEADER: &'static [&'static str] = &["organization", "name", "seats", "created"];

    fn json(&self) -> Json {
        let Self(organization) = self;
        json!({
            "organization": organization.id,
            "name": organization.name,
            "seats": organization.seats(),
            "created_at": organization.created_at,
        })
    }

    fn cells(&self) -> Vec<String> {
        let Self(organization) = self;
        vec![
            organization.id.to_string(),
            organization.name.as_str().to_owned(),
            organization
                .seats()
                .map_or_else(|| "default".to_owned(), |seats| seats.to_string()),
            moment(organization.created_at),
        ]
    }
}
