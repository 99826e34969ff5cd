//! A fixture for requests that no page offers: a team with every role, and direct POSTs by each of its members.

use guestlist::{Actor, InvitationId, Invite, OrganizationId, Role, RoleModel, User, UserId};

use crate::browser::Browser;
use crate::deployment::Deployment;
use crate::site::Site;

/// An organization with one signed-in member of each role. They act on further members and invitations, the targets.
pub(crate) struct Team {
    pub(crate) site: Site,
    pub(crate) model: RoleModel,
    pub(crate) acme: OrganizationId,
    pub(crate) owner: UserId,
    pub(crate) actors: Vec<(Role, Browser)>,
    targets: u32,
}

impl Team {
    pub(crate) async fn with_roles(preset: &'static str, deployment: Deployment) -> Self {
        let variables = [("GUESTLIST_ROLES", preset), ("GUESTLIST_LIMITS", "none")];
        let site = deployment.site(&variables).await;
        let model = RoleModel::preset(preset).unwrap();
        let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
        let acme = site.create_organization(&mut olivia, "Acme").await;
        let owner = site.account("olivia@acme.example").await;
        let mut actors = vec![(model.keeps().clone(), olivia)];
        for role in model
            .roles()
            .iter()
            .map(|role| role.name())
            .filter(|role| *role != model.keeps())
        {
            let email = format!("{role}@acme.example");
            site.sign_up("Actor", &email).await;
            let user = User::new(site.account(&email).await, email.parse().unwrap());
            site.join(acme, &owner, user, role).await;
            actors.push((role.clone(), site.sign_in(&email).await));
        }
        Self {
            site,
            model,
            acme,
            owner,
            actors,
            targets: 0,
        }
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.model
            .roles()
            .iter()
            .map(|role| role.name().clone())
            .collect()
    }

    /// Lists the roles that the owner may invite to.
    pub(crate) fn roles_of_targets(&self) -> Vec<Role> {
        let mut roles = self.roles();
        roles.retain(|role| self.model.may_invite(self.model.keeps(), role));
        roles
    }

    pub(crate) fn new_address(&mut self) -> String {
        self.targets += 1;
        format!("target-{}@acme.example", self.targets)
    }

    /// Adds a member and returns the id.
    pub(crate) async fn member(&mut self, role: &Role) -> UserId {
        let email = self.new_address();
        let id: UserId = email.parse().unwrap();
        let user = User::new(id.clone(), email.parse().unwrap());
        self.site.join(self.acme, &self.owner, user, role).await;
        id
    }

    /// Creates an invitation and returns its id.
    pub(crate) async fn invitation(&mut self, role: &Role) -> InvitationId {
        let email = self.new_address();
        let invite = Invite::new(email.parse().unwrap(), role.clone());
        let mut tx = self.site.database.begin().await.unwrap();
        let invitation = self
            .site
            .guestlist
            .act(Actor::member(&self.owner))
            .in_organization(self.acme)
            .invite(&mut tx, invite)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        invitation.id
    }

    /// Returns the role of a member, and true if suspended.
    pub(crate) async fn status_of(&self, user: &UserId) -> Option<(Role, bool)> {
        let mut connection = self.site.database.acquire().await.unwrap();
        let member = self
            .site
            .guestlist
            .find_member(&mut connection, self.acme, user)
            .await
            .unwrap();
        member.map(|member| (member.role.clone(), member.is_suspended()))
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        team_path(self.acme, rest)
    }

    /// Posts a form as one of the actors and compares the response with what the role model allows.
    pub(crate) async fn force(
        &mut self,
        actor: usize,
        rest: &str,
        fields: &[(&str, &str)],
        may: bool,
    ) {
        let path = self.path(rest);
        let (role, browser) = &mut self.actors[actor];
        let page = browser.force(&path, fields).await;
        let expected = if may { 200 } else { 403 };
        assert_eq!(
            page.status,
            expected,
            "{role} at {path} with {fields:?}: {}",
            page.text()
        );
        if !may {
            page.must_say("Your role may not");
        }
    }

    /// Returns the browser of the actor with a role.
    pub(crate) fn browser_of(&mut self, role: &str) -> &mut Browser {
        let found = self
            .actors
            .iter_mut()
            .find(|(other, _)| other.as_str() == role);
        &mut found.unwrap().1
    }
}

/// Returns the path of a page or action of the team page.
pub(crate) fn team_path(organization: OrganizationId, rest: &str) -> String {
    format!("/organizations/{organization}/settings/team/{rest}")
}
