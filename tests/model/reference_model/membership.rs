//! Organizations, members and their sessions.

use super::{Member, Organization, ReferenceModel, Session, Subject, TaskKind};
use crate::accounts::{Account, is_unbound};
use crate::operation::{Answer, Operation, Refusal, refused, refused_with};
use crate::rules::{OWNER, UNBOUND};

impl ReferenceModel {
    pub(super) fn create(&mut self, operation: &Operation) -> Answer {
        let (account, address, is_verified) = operation.guest;
        if !is_verified {
            return refused("unverified_email");
        }
        let (locale, joined_at) = ("en", self.now);
        let owner = Member {
            address,
            role: OWNER,
            locale,
            joined_at,
            suspended_at: None,
        };
        let organization = self.organizations.len();
        self.organizations.push(Organization {
            name: operation.name(),
            members: [(account, owner)].into(),
            ..Organization::default()
        });
        self.record_event(
            "organization_created",
            organization,
            Some(account),
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn rename(&mut self, operation: &Operation) -> Answer {
        let actor = self.active(operation.organization, operation.actor)?;
        if !self.settings.roles.may_rename(actor.role) {
            return refused_with("forbidden", actor.role);
        }
        let organization = &mut self.organizations[operation.organization];
        if organization.name == operation.name() {
            return Ok(());
        }
        organization.name = operation.name();
        let actor = Some(operation.actor);
        self.record_event(
            "organization_renamed",
            operation.organization,
            actor,
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn delete(&mut self, operation: &Operation) -> Answer {
        let Operation {
            organization,
            actor,
            ..
        } = *operation;
        let member = self.active(organization, actor)?;
        if !self.settings.roles.may_delete(member.role) {
            return refused_with("forbidden", member.role);
        }
        let gone = &mut self.organizations[organization];
        gone.is_gone = true;
        gone.members.clear();
        gone.sessions
            .values_mut()
            .for_each(|session| *session = Session::Ended);
        for invitation in &mut self.invitations {
            invitation.is_gone |= invitation.organization == organization;
        }
        self.promise(organization, TaskKind::PurgeSessions { user: None });
        self.record_event(
            "organization_deleted",
            organization,
            Some(actor),
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn change_role(&mut self, operation: &Operation) -> Answer {
        let (actor, member) = self.actor_and_target(operation)?;
        let (roles, role) = (self.settings.roles, operation.row.role);
        if !roles.knows(role) {
            return refused_with("unknown_role", role);
        }
        if member.role == role {
            return Ok(());
        }
        if !roles.may_change(actor.role, member.role, role) {
            return refused_with("forbidden", actor.role);
        }
        self.keeps_an_owner(operation.organization, operation.target)?;
        self.set_role(operation, operation.target, role, "role_changed");
        Ok(())
    }

    pub(super) fn transfer_ownership(&mut self, operation: &Operation) -> Answer {
        let (actor, target) = self.actor_and_target(operation)?;
        if ![OWNER, UNBOUND].contains(&actor.role) {
            return refused_with("forbidden", actor.role);
        }
        if operation.actor == operation.target {
            return Ok(());
        }
        if target.suspended_at.is_some() {
            return refused("suspended");
        }
        if target.role != OWNER {
            self.set_role(operation, operation.target, OWNER, "ownership_transferred");
        }
        if !is_unbound(operation.actor) {
            let below = self.settings.roles.below_owner();
            self.set_role(operation, operation.actor, below, "role_changed");
        }
        Ok(())
    }

    fn set_role(
        &mut self,
        operation: &Operation,
        account: Account,
        role: &'static str,
        kind: &'static str,
    ) {
        let members = &mut self.organizations[operation.organization].members;
        members.get_mut(account).expect("a member").role = role;
        self.record_event(
            kind,
            operation.organization,
            Some(operation.actor),
            Subject::Account(account),
        );
    }

    pub(super) fn remove(&mut self, operation: &Operation) -> Answer {
        let (actor, member) = self.actor_and_target(operation)?;
        if !self.settings.roles.may_remove(actor.role, member.role) {
            return refused_with("forbidden", actor.role);
        }
        self.keeps_an_owner(operation.organization, operation.target)?;
        self.end(
            operation.organization,
            operation.target,
            Some(operation.actor),
            "member_removed",
        );
        Ok(())
    }

    pub(super) fn leave(&mut self, operation: &Operation) -> Answer {
        self.active(operation.organization, operation.actor)?;
        self.keeps_an_owner(operation.organization, operation.actor)?;
        self.end(
            operation.organization,
            operation.actor,
            Some(operation.actor),
            "member_left",
        );
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        organization: usize,
        account: Account,
        actor: Option<Account>,
        kind: &'static str,
    ) {
        self.organizations[organization].members.remove(account);
        self.end_sessions(organization, account);
        self.record_event(kind, organization, actor, Subject::Account(account));
    }

    pub(super) fn end_sessions(&mut self, organization: usize, account: Account) {
        for ((holder, _), session) in &mut self.organizations[organization].sessions {
            if *holder == account {
                *session = Session::Ended;
            }
        }
        self.promise(
            organization,
            TaskKind::PurgeSessions {
                user: Some(account),
            },
        );
    }

    /// Refuses if the leaving account is the only holder of the kept role.
    pub(super) fn keeps_an_owner(&self, organization: usize, leaving: Account) -> Answer {
        let is_owner = self.owners(organization).any(|owner| owner == leaving);
        let others = self
            .owners(organization)
            .filter(|owner| *owner != leaving)
            .count();
        match (is_owner, others) {
            (true, 0) => refused_with("last_owner", format!("[{organization}]")),
            _ => Ok(()),
        }
    }

    /// The actor and the target: two members of one organization.
    pub(super) fn actor_and_target(
        &self,
        operation: &Operation,
    ) -> Result<(Member, Member), Refusal> {
        let actor = self.active(operation.organization, operation.actor)?;
        match self.member(operation.organization, operation.target) {
            Some(member) => Ok((actor, member.clone())),
            None => refused("not_found"),
        }
    }

    pub(super) fn record_session(&mut self, operation: &Operation) -> Answer {
        self.active(operation.organization, operation.target)?;
        let sessions = &mut self.organizations[operation.organization].sessions;
        sessions.insert(
            (operation.target, operation.session()),
            Session::Live(self.now),
        );
        Ok(())
    }

    /// Forgets a live session. The purge of an ended session stays due.
    pub(super) fn forget_session(&mut self, operation: &Operation) -> Answer {
        let sessions = &mut self.organizations[operation.organization].sessions;
        let key = (operation.target, operation.session());
        if let Some(Session::Live(_)) = sessions.get(&key) {
            sessions.remove(&key);
        }
        Ok(())
    }
}
