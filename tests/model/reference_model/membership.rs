//! Guestlist, members and their sessions.

use super::{Member, Organization, Session, Subject, What, World};
use crate::accounts::Person;
use crate::operation::{Answer, Deed, Refusal, refused, refused_saying};
use crate::rules::OWNER;

impl World {
    pub(super) fn create(&mut self, deed: &Deed) -> Answer {
        let (person, address, is_verified) = deed.guest;
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
            name: deed.name(),
            members: [(person, owner)].into(),
            ..Organization::default()
        });
        self.tell(
            "organization_created",
            organization,
            Some(person),
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn rename(&mut self, deed: &Deed) -> Answer {
        let actor = self.active(deed.organization, deed.actor)?;
        if !self.settings.roles.may_rename(actor.role) {
            return refused_saying("forbidden", actor.role);
        }
        let organization = &mut self.organizations[deed.organization];
        if organization.name == deed.name() {
            return Ok(());
        }
        organization.name = deed.name();
        let actor = Some(deed.actor);
        self.tell(
            "organization_renamed",
            deed.organization,
            actor,
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn delete(&mut self, deed: &Deed) -> Answer {
        let Deed {
            organization,
            actor,
            ..
        } = *deed;
        let member = self.active(organization, actor)?;
        if !self.settings.roles.may_delete(member.role) {
            return refused_saying("forbidden", member.role);
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
        self.promise(organization, What::PurgeSessions { user: None });
        self.tell(
            "organization_deleted",
            organization,
            Some(actor),
            Subject::Organization,
        );
        Ok(())
    }

    pub(super) fn change_role(&mut self, deed: &Deed) -> Answer {
        let (actor, member) = self.pair(deed)?;
        let (roles, role) = (self.settings.roles, deed.row.role);
        if !roles.knows(role) {
            return refused_saying("unknown_role", role);
        }
        if member.role == role {
            return Ok(());
        }
        if !roles.may_change(actor.role, member.role, role) {
            return refused_saying("forbidden", actor.role);
        }
        self.keeps_an_owner(deed.organization, deed.whom)?;
        self.become_role(deed, deed.whom, role, "role_changed");
        Ok(())
    }

    pub(super) fn transfer_ownership(&mut self, deed: &Deed) -> Answer {
        let (actor, heir) = self.pair(deed)?;
        if actor.role != OWNER {
            return refused_saying("forbidden", actor.role);
        }
        if deed.actor == deed.whom {
            return Ok(());
        }
        if heir.suspended_at.is_some() {
            return refused("suspended");
        }
        if heir.role != OWNER {
            self.become_role(deed, deed.whom, OWNER, "ownership_transferred");
        }
        let below = self.settings.roles.below_owner();
        self.become_role(deed, deed.actor, below, "role_changed");
        Ok(())
    }

    fn become_role(&mut self, deed: &Deed, who: Person, role: &'static str, kind: &'static str) {
        let members = &mut self.organizations[deed.organization].members;
        members.get_mut(who).expect("a member").role = role;
        self.tell(
            kind,
            deed.organization,
            Some(deed.actor),
            Subject::Person(who),
        );
    }

    pub(super) fn remove(&mut self, deed: &Deed) -> Answer {
        let (actor, member) = self.pair(deed)?;
        if !self.settings.roles.may_remove(actor.role, member.role) {
            return refused_saying("forbidden", actor.role);
        }
        self.keeps_an_owner(deed.organization, deed.whom)?;
        self.end(
            deed.organization,
            deed.whom,
            Some(deed.actor),
            "member_removed",
        );
        Ok(())
    }

    pub(super) fn leave(&mut self, deed: &Deed) -> Answer {
        self.active(deed.organization, deed.actor)?;
        self.keeps_an_owner(deed.organization, deed.actor)?;
        self.end(
            deed.organization,
            deed.actor,
            Some(deed.actor),
            "member_left",
        );
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        organization: usize,
        who: Person,
        actor: Option<Person>,
        kind: &'static str,
    ) {
        self.organizations[organization].members.remove(who);
        self.end_sessions(organization, who);
        self.tell(kind, organization, actor, Subject::Person(who));
    }

    pub(super) fn end_sessions(&mut self, organization: usize, who: Person) {
        for ((whose, _), session) in &mut self.organizations[organization].sessions {
            if *whose == who {
                *session = Session::Ended;
            }
        }
        self.promise(organization, What::PurgeSessions { user: Some(who) });
    }

    /// Refused when the one who is about to lose the kept role is its only holder.
    pub(super) fn keeps_an_owner(&self, organization: usize, leaving: Person) -> Answer {
        let is_owner = self.owners(organization).any(|owner| owner == leaving);
        let others = self
            .owners(organization)
            .filter(|owner| *owner != leaving)
            .count();
        match (is_owner, others) {
            (true, 0) => refused_saying("last_owner", format!("[{organization}]")),
            _ => Ok(()),
        }
    }

    /// Who acts, and on whom: two members of one organization.
    pub(super) fn pair(&self, deed: &Deed) -> Result<(Member, Member), Refusal> {
        let actor = self.active(deed.organization, deed.actor)?;
        match self.member(deed.organization, deed.whom) {
            Some(member) => Ok((actor, member.clone())),
            None => refused("not_found"),
        }
    }

    pub(super) fn record_session(&mut self, deed: &Deed) -> Answer {
        self.active(deed.organization, deed.whom)?;
        let sessions = &mut self.organizations[deed.organization].sessions;
        sessions.insert((deed.whom, deed.session()), Session::Live(self.now));
        Ok(())
    }

    /// The purge of an ended session stays owed, whatever the host forgets.
    pub(super) fn forget_session(&mut self, deed: &Deed) -> Answer {
        let sessions = &mut self.organizations[deed.organization].sessions;
        let key = (deed.whom, deed.session());
        if let Some(Session::Live(_)) = sessions.get(&key) {
            sessions.remove(&key);
        }
        Ok(())
    }
}
