//! The commands on a user of the host, in all organizations.

use clap::Args;
use guestlist::{EmailAddress, Error, OrganizationId, User, UserId};
use serde_json::json;

use super::context::{Context, Ending};
use super::failure::{Done, Failure, Reason};

/// Remove a user from every organization, because your application deletes their account.
///
/// Ends every membership with its sessions, suspended ones included, and revokes every open
/// invitation to their addresses. It needs no permission and sends no letter. Run it after the user
/// can no longer sign in.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  guestlist forget u2 --email bob@acme.example")]
pub(crate) struct Forget {
    /// The user's id in your application.
    user: UserId,
    /// The user's address, which your application has verified. The addresses they joined with are
    /// known already.
    #[arg(long, value_name = "ADDRESS")]
    email: EmailAddress,
}

impl Forget {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let user = User::new(self.user, self.email);
        let forgotten = context
            .attempt(Ending::Commit, async |tx| {
                context.guestlist.forget_user(tx, &user).await
            })
            .await;
        let ended = match forgotten {
            Err(Error::LastOwner {
                role,
                organizations,
            }) => {
                let organizations = named(context, organizations).await?;
                return Err(last_owner(&user.id, role.as_str(), &organizations).into());
            }
            ended => ended?,
        };
        let organizations = ended.memberships.iter();
        let organizations = organizations
            .map(|membership| membership.organization)
            .collect();
        let organizations = named(context, organizations).await?;
        let sentence = format!(
            "Forgot {}: {}; {}.",
            user.id,
            match organizations.as_slice() {
                [] => "they were a member of no organization".to_owned(),
                ended => format!("their membership of {} ended", listed(ended)),
            },
            match ended.invitations.len() {
                0 => "no invitation to them was open".to_owned(),
                1 => "the one open invitation to them was revoked".to_owned(),
                several => format!("{several} open invitations to them were revoked"),
            },
        );
        let revoked = ended.invitations.iter();
        let object = json!({
            "user": user.id,
            "forgotten": true,
            "organizations": ids(&organizations),
            "names": names(&organizations),
            "revoked": revoked.map(|invitation| invitation.id).collect::<Vec<_>>(),
        });
        context.output.sentence(object, sentence)
    }
}

/// An organization and its name.
type NamedOrganization = (OrganizationId, String);

async fn named(
    context: &Context,
    ids: Vec<OrganizationId>,
) -> Result<Vec<NamedOrganization>, Failure> {
    let mut named = Vec::with_capacity(ids.len());
    for id in ids {
        let found = context
            .read(async |connection| context.guestlist.organization(connection, id).await)
            .await?;
        named.push((
            id,
            found.map_or_else(String::new, |found| found.name.to_string()),
        ));
    }
    Ok(named)
}

fn last_owner(user: &UserId, role: &str, organizations: &[NamedOrganization]) -> Reason {
    let message = format!(
        "{user} is the last member whose role is {role} in {}; nothing was changed; transfer the \
         ownership (`guestlist transfer`) or delete the organization first",
        listed(organizations)
    );
    Reason::refused("last_owner", message)
        .with("role", role)
        .with("organizations", json!(ids(organizations)))
        .with("names", json!(names(organizations)))
}

fn listed(organizations: &[NamedOrganization]) -> String {
    let each: Vec<_> = organizations
        .iter()
        .map(|(id, name)| format!("{name} ({id})"))
        .collect();
    each.join(", ")
}

fn ids(organizations: &[NamedOrganization]) -> Vec<OrganizationId> {
    organizations.iter().map(|(id, _)| *id).collect()
}

fn names(organizations: &[NamedOrganization]) -> Vec<&str> {
    organizations
        .iter()
        .map(|(_, name)| name.as_str())
        .collect()
}
