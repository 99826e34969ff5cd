//! Every operation, tried on one organization.

use chrono::TimeDelta;
use guestlist::{Actor, Error, InvitationId, OrganizationId, Transaction};

use crate::support::{OLIVIA, Team, address, name, user};

/// Every operation of an actor on an organization.
pub const OPERATIONS: &[&str] = &[
    "invite",
    "invite superseding",
    "invite all",
    "resend",
    "revoke",
    "show the link",
    "change the role of an invitation",
    "change a role",
    "change one's own role",
    "transfer the ownership",
    "remove",
    "leave",
    "suspend",
    "reinstate",
    "reinstate oneself",
    "rename",
    "delete",
    "record a session",
];

/// The organization and the invitation that the operations act on.
#[derive(Clone, Copy)]
pub struct Target {
    pub organization: OrganizationId,
    pub invitation: InvitationId,
}

/// Adds Sam, an owner beside Olivia; Bob, an agent; Dave, a suspended agent; and Carl, invited two
/// minutes ago.
pub async fn set_up(team: &Team) -> Target {
    team.join("sam", "owner").await;
    team.join("bob", "agent").await;
    team.join("dave", "agent").await;
    team.suspend(OLIVIA, "dave").await.unwrap();
    let invitation = team
        .invite(OLIVIA, &address("carl"), "agent")
        .await
        .unwrap()
        .id;
    team.advance_clock(TimeDelta::minutes(2));
    Target {
        organization: team.organization.id,
        invitation,
    }
}

pub async fn attempt(
    team: &Team,
    tx: &mut Transaction,
    operation: &str,
    actor: &str,
    on: Target,
) -> Result<(), Error> {
    let (actor, bob, dave) = (user(actor), user("bob"), user("dave"));
    let Target {
        organization,
        invitation,
    } = on;
    let acting = team.guestlist.act(Actor::member(&actor));
    let inside = acting.clone().in_organization(organization);
    let agent = "agent".parse().unwrap();
    let manager = "manager".parse().unwrap();
    let invite =
        |who: &str| guestlist::Invite::new(address(who).parse().unwrap(), "agent".parse().unwrap());
    match operation {
        "invite" => inside.invite(tx, invite("eve")).await.map(drop),
        "invite superseding" => inside
            .invite(tx, invite("carl").superseding())
            .await
            .map(drop),
        "invite all" => {
            let outcomes = inside
                .invite_all(tx, vec![invite("eve"), invite("fay")])
                .await?;
            outcomes
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .map(drop)
        }
        "resend" => acting.resend(tx, invitation).await.map(drop),
        "revoke" => acting.revoke(tx, invitation).await.map(drop),
        "show the link" => acting.show_link(tx, invitation).await.map(drop),
        "change the role of an invitation" => acting
            .change_invitation_role(tx, invitation, &manager)
            .await
            .map(drop),
        "change a role" => inside.change_role(tx, &bob, &manager).await.map(drop),
        "change one's own role" => inside.change_role(tx, &actor, &agent).await.map(drop),
        "transfer the ownership" => inside.transfer_ownership(tx, &bob).await.map(drop),
        "remove" => inside.remove(tx, &bob).await,
        "leave" => inside.leave(tx).await,
        "suspend" => inside.suspend(tx, &bob).await.map(drop),
        "reinstate" => inside.reinstate(tx, &dave).await.map(drop),
        "reinstate oneself" => inside.reinstate(tx, &actor).await.map(drop),
        "rename" => inside.rename(tx, name("Other")).await.map(drop),
        "delete" => inside.delete(tx).await,
        "record a session" => {
            team.guestlist
                .record_session(tx, organization, &actor, &"key".parse().unwrap())
                .await
        }
        unknown => panic!("{unknown} is no operation"),
    }
}

/// The refusal as text. The transaction is committed after a refusal, too.
pub async fn answer_of(team: &Team, operation: &str, actor: &str, on: Target) -> Option<String> {
    let mut tx = team.begin().await;
    let refused = attempt(team, &mut tx, operation, actor, on).await.err();
    tx.commit()
        .await
        .expect("the transaction can be committed after a refusal");
    refused.map(|error| format!("{error:?} {error} {}", error.code()))
}
