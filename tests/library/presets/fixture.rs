//! Performs the operations of the tables, each in a transaction of its own that is rolled back.

use guestlist::{
    Action, Actor, Error, InvitationId, Paging, Role, RoleDefinition, RoleModel, Transaction,
    UserId,
};

use super::tables::Preset;
use crate::support::{OLIVIA, Team, address, user};

pub fn role(name: &str) -> Role {
    name.parse().expect("a role")
}

/// The member that acts for a role; Olivia owns the organization as well.
pub fn actor(role: &str) -> UserId {
    user(&format!("acting-{role}"))
}

pub fn subject(role: &str) -> UserId {
    user(&format!("other-{role}"))
}

pub fn suspended(role: &str) -> UserId {
    user(&format!("suspended-{role}"))
}

/// True if the operation was refused; asserts that the refusal names the role and the action.
pub fn is_refused(result: Result<(), Error>, by: &str, action: Action) -> bool {
    match result {
        Ok(()) => false,
        Err(Error::Forbidden {
            role: named,
            action: refused,
        }) => {
            assert_eq!((named, refused), (role(by), action));
            true
        }
        Err(error) => panic!("{by}: {action}, refused for another reason: {error}"),
    }
}

/// An organization under a preset with three members of each role, one of them suspended, and an
/// open invitation to each role.
pub struct Fixture {
    pub team: Team,
    pub preset: &'static Preset,
    invitations: Vec<InvitationId>,
}

/// The role of a member, and if they are suspended.
type MemberState = Option<(Role, bool)>;

impl Fixture {
    /// Adds all members under a role model whose owner may do more than the presets allow, then
    /// switches to the preset.
    pub async fn new(team: Team, preset: &'static Preset) -> Self {
        let every = || preset.roles.iter().map(|name| role(name));
        let mut roles: Vec<_> = every().map(RoleDefinition::new).collect();
        let owner = roles.pop().expect("a highest role");
        let keeps = owner.name().clone();
        roles.push(owner.inviting(every()).removing(every()));
        let model = RoleModel::new(roles, keeps).expect("valid");
        let permissive = team.configured(|builder| builder.role_model(model));
        let mut invitations = Vec::new();
        for name in preset.roles {
            for who in [actor(name), subject(name), suspended(name)] {
                permissive.join(who.as_str(), name).await;
            }
            let out = suspended(name);
            permissive
                .suspend(OLIVIA, out.as_str())
                .await
                .expect("suspended");
            let email = address(&format!("pending-{name}"));
            let invitation = permissive.invite(OLIVIA, &email, name).await;
            invitations.push(invitation.expect("invited").id);
        }
        // Two letters to one address need a minute in between.
        team.advance_clock(chrono::TimeDelta::minutes(2));
        Self {
            team: team.configured(|builder| builder.role_model((preset.model)())),
            preset,
            invitations,
        }
    }

    /// Performs an operation and returns `yes` or `no`, as seen in its effect.
    pub async fn operation(
        &self,
        operation: &str,
        by: &str,
        who: &UserId,
        on: &str,
    ) -> &'static str {
        let mut tx = self.team.begin().await;
        let before = self.member_state(&mut tx, who).await;
        let (result, action) = self.attempt(&mut tx, operation, by, who, on).await;
        let refused = is_refused(result, by, action);
        let after = self.member_state(&mut tx, who).await;
        let steps_down = operation == "transfer" && !refused && *who != actor(by);
        let expected = match operation {
            _ if refused => before,
            "remove" => None,
            "suspend" => Some((role(on), true)),
            "reinstate" => Some((role(on), false)),
            "transfer" => Some((role("owner"), false)),
            _ => before,
        };
        assert_eq!(after, expected, "{by}: {operation} {on}, {who}");
        if *who != actor(by) {
            let below_owner = self.preset.roles[self.preset.roles.len() - 2];
            let expected = role(if steps_down { below_owner } else { by });
            let actor = self.member_state(&mut tx, &actor(by)).await;
            assert_eq!(actor, Some((expected, false)), "{by}: {operation} {on}");
        }
        if refused { "no" } else { "yes" }
    }

    async fn attempt(
        &self,
        tx: &mut Transaction,
        operation: &str,
        by: &str,
        who: &UserId,
        on: &str,
    ) -> (Result<(), Error>, Action) {
        let (guestlist, id, by) = (&self.team.guestlist, self.team.organization.id, actor(by));
        match operation {
            "invite" => {
                let invite = self.team.invitation_of("new@example.com", on);
                let invited = guestlist
                    .act(Actor::member(&by))
                    .in_organization(id)
                    .invite(tx, invite)
                    .await;
                let invited = invited.map(|invitation| assert_eq!(invitation.role, role(on)));
                (invited, Action::Invite)
            }
            "resend" => {
                let resent = guestlist
                    .act(Actor::member(&by))
                    .resend(tx, self.pending(on))
                    .await;
                (resent.map(drop), Action::Resend)
            }
            "revoke" => {
                let revoked = guestlist
                    .act(Actor::member(&by))
                    .revoke(tx, self.pending(on))
                    .await;
                (revoked.map(drop), Action::Revoke)
            }
            "remove" => (
                guestlist
                    .act(Actor::member(&by))
                    .in_organization(id)
                    .remove(tx, who)
                    .await,
                Action::Remove,
            ),
            "suspend" => {
                let suspended = guestlist
                    .act(Actor::member(&by))
                    .in_organization(id)
                    .suspend(tx, who)
                    .await;
                (suspended.map(drop), Action::Suspend)
            }
            "reinstate" => {
                let reinstated = guestlist
                    .act(Actor::member(&by))
                    .in_organization(id)
                    .reinstate(tx, who)
                    .await;
                (reinstated.map(drop), Action::Reinstate)
            }
            "transfer" => {
                let transferred = guestlist
                    .act(Actor::member(&by))
                    .in_organization(id)
                    .transfer_ownership(tx, who)
                    .await;
                (transferred.map(drop), Action::TransferOwnership)
            }
            _ => panic!("no operation: {operation}"),
        }
    }

    /// Changes a member's role and returns `yes`, `no`, or `same` if nothing changed.
    pub async fn change(&self, by: &str, who: &UserId, from: &str, to: &str) -> &'static str {
        let (guestlist, id) = (&self.team.guestlist, self.team.organization.id);
        let mut tx = self.team.begin().await;
        let events = self.count_events(&mut tx).await;
        let changed = guestlist
            .act(Actor::member(&actor(by)))
            .in_organization(id)
            .change_role(&mut tx, who, &role(to))
            .await;
        let refused = is_refused(changed.map(drop), by, Action::ChangeRole);
        let is = self.member_state(&mut tx, who).await.expect("a member").0;
        let events = self.count_events(&mut tx).await - events;
        outcome(refused, events, &is, (from, to))
    }

    /// Changes an open invitation's role and returns the same words.
    pub async fn change_invitation(&self, by: &str, from: &str, to: &str) -> &'static str {
        let guestlist = &self.team.guestlist;
        let mut tx = self.team.begin().await;
        let events = self.count_events(&mut tx).await;
        let changed = guestlist
            .act(Actor::member(&actor(by)))
            .change_invitation_role(&mut tx, self.pending(from), &role(to))
            .await;
        let refused = is_refused(changed.map(drop), by, Action::ChangeInvitationRole);
        let invitation = guestlist.invitation(&mut tx, self.pending(from)).await;
        let is = invitation.unwrap().expect("there").role;
        let events = self.count_events(&mut tx).await - events;
        outcome(refused, events, &is, (from, to))
    }

    fn pending(&self, role: &str) -> InvitationId {
        let index = self.preset.roles.iter().position(|name| *name == role);
        self.invitations[index.expect("a role of the preset")]
    }

    async fn member_state(&self, tx: &mut Transaction, who: &UserId) -> MemberState {
        let paging = Paging::first(Paging::MAX_LIMIT);
        let members = self
            .team
            .guestlist
            .members(tx, self.team.organization.id, &paging);
        let page = members.await.unwrap();
        assert!(page.next.is_none(), "all fit a page");
        let member = page.items.into_iter().find(|member| member.user == *who)?;
        Some((member.role, member.suspended_at.is_some()))
    }

    async fn count_events(&self, tx: &mut Transaction) -> usize {
        let paging = Paging::first(Paging::MAX_LIMIT);
        let events = self
            .team
            .guestlist
            .events(tx, self.team.organization.id, &paging);
        let page = events.await.unwrap();
        assert!(page.next.is_none(), "all fit a page");
        page.items.len()
    }
}

/// The word for the result of a change; a change writes one event, anything else none.
fn outcome(refused: bool, events: usize, is: &Role, (from, to): (&str, &str)) -> &'static str {
    match (refused, events) {
        (true, 0) if is.as_str() == from => "no",
        (false, 0) if is.as_str() == from && from == to => "same",
        (false, 1) if is.as_str() == to && from != to => "yes",
        _ => panic!("{from} to {to}: {is}, {events} events, refused: {refused}"),
    }
}
