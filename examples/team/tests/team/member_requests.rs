//! What no page offers, posted all the same: the server decides.

use std::str::FromStr;

use guestlist::{InvitationId, Invite, OrganizationId, Role, RoleModel, User, UserId};

use crate::browser::Browser;
use crate::deployment::{Setting, in_both_settings};
use crate::site::{PASSWORD, Site};

in_both_settings! {
    four_tiers_act_on_members_as_the_matrix_says
    two_roles_act_on_members_as_the_matrix_says
    four_tiers_act_on_invitations_as_the_matrix_says
    two_roles_act_on_invitations_as_the_matrix_says
    pages_of_who_manages_refuse_who_does_not
    an_address_that_takes_only_forms_is_no_page
    a_form_that_is_too_large_says_so
    what_no_page_leads_to_is_refused_on_a_page
    the_last_owner_stays_whatever_is_posted
    a_form_without_the_token_of_its_session_does_nothing
    a_form_whose_session_is_over_leads_to_sign_in_and_does_nothing
    a_removed_members_cookie_does_nothing
    a_removed_member_who_is_in_another_organization_reaches_only_that
    what_belongs_to_another_organization_is_as_if_it_were_not
    an_invitation_admits_to_its_own_organization_and_role_whatever_is_posted
}

/// An organization with somebody of each role, who are signed in.
struct Team {
    site: Site,
    model: RoleModel,
    acme: OrganizationId,
    owner: UserId,
    actors: Vec<(Role, Browser)>,
    victims: u32,
}

impl Team {
    async fn under(preset: &'static str, setting: Setting) -> Self {
        let variables = [("GUESTLIST_ROLES", preset), ("GUESTLIST_LIMITS", "none")];
        let site = setting.site(&variables).await;
        let model = RoleModel::preset(preset).unwrap();
        let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
        let acme = site.found(&mut olivia, "Acme").await;
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
            victims: 0,
        }
    }

    fn roles(&self) -> Vec<Role> {
        self.model
            .roles()
            .iter()
            .map(|role| role.name().clone())
            .collect()
    }

    /// The roles that the library lets the owner invite to.
    fn roles_of_victims(&self) -> Vec<Role> {
        let mut roles = self.roles();
        roles.retain(|role| self.model.may_invite(self.model.keeps(), role));
        roles
    }

    fn new_address(&mut self) -> String {
        self.victims += 1;
        format!("victim-{}@acme.example", self.victims)
    }

    async fn victim(&mut self, role: &Role) -> UserId {
        let email = self.new_address();
        let id: UserId = email.parse().unwrap();
        let user = User::new(id.clone(), email.parse().unwrap());
        self.site.join(self.acme, &self.owner, user, role).await;
        id
    }

    async fn invitation(&mut self, role: &Role) -> InvitationId {
        let email = self.new_address();
        let invite = Invite::new(email.parse().unwrap(), role.clone());
        let mut tx = self.site.database.begin().await.unwrap();
        let invitation = self
            .site
            .guestlist
            .act(&self.owner)
            .in_organization(self.acme)
            .invite(&mut tx, invite)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        invitation.id
    }

    async fn role_of(&self, user: &UserId) -> Option<(Role, bool)> {
        let mut connection = self.site.database.acquire().await.unwrap();
        let member = self
            .site
            .guestlist
            .find_member(&mut connection, self.acme, user)
            .await
            .unwrap();
        member.map(|member| (member.role.clone(), member.is_suspended()))
    }

    fn path(&self, rest: &str) -> String {
        format!("/organizations/{}/settings/team/{rest}", self.acme)
    }

    /// Forces something with an actor, and holds the answer against what the matrix says.
    async fn force(&mut self, actor: usize, rest: &str, fields: &[(&str, &str)], may: bool) {
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
}

async fn four_tiers_act_on_members_as_the_matrix_says(setting: Setting) {
    members(Team::under("four-tier", setting).await).await;
}

async fn two_roles_act_on_members_as_the_matrix_says(setting: Setting) {
    members(Team::under("two-role", setting).await).await;
}

async fn four_tiers_act_on_invitations_as_the_matrix_says(setting: Setting) {
    invitations(Team::under("four-tier", setting).await).await;
}

async fn two_roles_act_on_invitations_as_the_matrix_says(setting: Setting) {
    invitations(Team::under("two-role", setting).await).await;
}

async fn members(mut team: Team) {
    for actor in 0..team.actors.len() {
        let by = team.actors[actor].0.clone();
        for role in team.roles_of_victims() {
            let may_remove = team.model.may_remove(&by, &role);
            for to in team.roles().into_iter().filter(|to| *to != role) {
                let victim = team.victim(&role).await;
                let may = team.model.may_change(&by, &role, &to);
                let rest = format!("members/{victim}/role");
                team.force(actor, &rest, &[("role", to.as_str())], may)
                    .await;
                let is = if may { to } else { role.clone() };
                assert_eq!(team.role_of(&victim).await, Some((is, false)));
            }
            let victim = team.victim(&role).await;
            let asks = team.path(&format!("members/{victim}/remove"));
            let page = team.actors[actor].1.open(&asks).await;
            assert_eq!(
                page.status == 200,
                may_remove,
                "{by} is asked about a {role}"
            );
            team.force(actor, &format!("members/{victim}/suspend"), &[], may_remove)
                .await;
            assert_eq!(
                team.role_of(&victim).await,
                Some((role.clone(), may_remove))
            );
            team.force(
                actor,
                &format!("members/{victim}/reinstate"),
                &[],
                may_remove,
            )
            .await;
            assert_eq!(team.role_of(&victim).await, Some((role.clone(), false)));
            team.force(actor, &format!("members/{victim}/remove"), &[], may_remove)
                .await;
            assert_eq!(team.role_of(&victim).await.is_none(), may_remove);
        }
        if by != *team.model.keeps() {
            let owner = team.owner.clone();
            let heir = team.victim(&team.roles()[0]).await;
            team.force(actor, &format!("members/{heir}/transfer"), &[], false)
                .await;
            for action in ["remove", "suspend"] {
                let is_refused = !team.model.may_remove(&by, team.model.keeps());
                assert!(is_refused, "nobody below the kept role removes its holder");
                team.force(actor, &format!("members/{owner}/{action}"), &[], false)
                    .await;
            }
            assert_eq!(
                team.role_of(&owner).await,
                Some((team.model.keeps().clone(), false))
            );
        }
    }
}

async fn invitations(mut team: Team) {
    for actor in 0..team.actors.len() {
        let by = team.actors[actor].0.clone();
        for role in team.roles() {
            let may = team.model.may_invite(&by, &role);
            let email = team.new_address();
            let fields = [("emails", email.as_str()), ("role", role.as_str())];
            team.force(actor, "invitations", &fields, may).await;
        }
        for role in team.roles_of_victims() {
            let may = team.model.may_invite(&by, &role);
            for action in ["resend", "link", "cancel"] {
                let id = team.invitation(&role).await;
                team.force(actor, &format!("invitations/{id}/{action}"), &[], may)
                    .await;
            }
        }
        let history = format!("/organizations/{}/settings/history", team.acme);
        let manages = team
            .roles()
            .iter()
            .any(|role| team.model.may_invite(&by, role));
        let page = team.actors[actor].1.open(&history).await;
        assert_eq!(page.status == 200, manages, "{by} reads the history");
    }
}

async fn pages_of_who_manages_refuse_who_does_not(setting: Setting) {
    let mut team = Team::under("four-tier", setting).await;
    let agent = Role::from_str("agent").unwrap();
    let victim = team.victim(&agent).await;
    let place = team.actors.iter().position(|(role, _)| *role == agent);
    let of_victim = format!("settings/team/members/{victim}");
    for (page, words) in [
        ("settings/history".to_owned(), "see this page"),
        (format!("{of_victim}/remove"), "remove this member"),
        (format!("{of_victim}/transfer"), "transfer the ownership"),
    ] {
        let path = format!("/organizations/{}/{page}", team.acme);
        let page = team.actors[place.unwrap()].1.open(&path).await;
        assert_eq!(page.status, 403, "{path}");
        page.must_say(&format!("Your role may not {words}"));
        page.must_say("Ask an owner of the organization.");
        assert!(page.offers("Sign out"));
        assert!(!page.says("victim"), "{}", page.text());
    }
}

async fn an_address_that_takes_only_forms_is_no_page(setting: Setting) {
    let mut team = Team::under("two-role", setting).await;
    let user = team.victim(&Role::from_str("user").unwrap()).await;
    for rest in ["invitations".to_owned(), format!("members/{user}/suspend")] {
        let path = team.path(&rest);
        let page = team.actors[0].1.open(&path).await;
        assert_eq!(page.status, 404, "{path}");
        page.must_say("There is no page at this address.");
        assert_eq!(
            team.role_of(&user).await.map(|(_, suspended)| suspended),
            Some(false)
        );
    }
}

async fn a_form_that_is_too_large_says_so(setting: Setting) {
    let mut team = Team::under("two-role", setting).await;
    let addresses = "somebody@acme.example\n".repeat(4_000);
    let fields = [("emails", addresses.as_str()), ("role", "user")];
    let path = team.path("invitations");
    let page = team.actors[0].1.force(&path, &fields).await;
    assert_eq!(page.status, 413);
    page.must_say("The form holds too much.");
    assert!(page.offers("Sign out"), "it is told in the frame");
}

async fn what_no_page_leads_to_is_refused_on_a_page(setting: Setting) {
    let mut team = Team::under("two-role", setting).await;
    let owner = team.owner.clone();
    let olivia = &mut team.actors[0].1;
    let team_page = team_path(team.acme, "");
    let team_page = team_page.trim_end_matches('/');
    let role = team_path(team.acme, &format!("members/{owner}/role"));
    let resend = team_path(team.acme, "invitations/none/resend");
    for page in [
        olivia
            .open(&format!("{team_page}?members=1&members=2"))
            .await,
        olivia.open("/mailbox/%ff").await,
        olivia.force(&role, &[]).await,
        olivia.force(&resend, &[]).await,
    ] {
        assert!(page.status.is_client_error(), "{}", page.path);
        page.must_say("This is not as our own pages send it.");
        assert!(page.offers("Sign out"), "it is told in the frame");
    }
}

async fn the_last_owner_stays_whatever_is_posted(setting: Setting) {
    let mut team = Team::under("four-tier", setting).await;
    let owner = team.owner.clone();
    for (rest, fields) in [
        ("leave".to_owned(), vec![]),
        (format!("members/{owner}/remove"), vec![]),
        (format!("members/{owner}/suspend"), vec![]),
        (format!("members/{owner}/role"), vec![("role", "agent")]),
    ] {
        let path = team.path(&rest);
        let page = team.actors[0].1.force(&path, &fields).await;
        assert_eq!(page.status, 409, "{rest}");
        page.must_say("keeps at least one owner");
    }
    assert_eq!(
        team.role_of(&owner).await,
        Some((team.model.keeps().clone(), false))
    );
}

async fn a_form_without_the_token_of_its_session_does_nothing(setting: Setting) {
    let mut team = Team::under("two-role", setting).await;
    let victim = team.victim(&"user".parse().unwrap()).await;
    let foreign = team.site.browser().token().await;
    let path = team.path(&format!("members/{victim}/remove"));
    for fields in [
        vec![],
        vec![("csrf", "")],
        vec![("csrf", "wrong")],
        vec![("csrf", foreign.as_str())],
    ] {
        let page = team.actors[0].1.post(&path, &fields).await;
        assert_eq!(page.status, 403);
        page.must_say("The form was too old");
    }
    assert!(team.role_of(&victim).await.is_some());
    let mut guest = team.site.browser();
    guest.open("/sign-in").await;
    for path in [
        "/sign-in",
        "/sign-up",
        "/sign-out",
        "/organizations",
        "/invitation/accept",
        "/invitation/decline",
    ] {
        assert_eq!(guest.post(path, &[]).await.status, 403, "{path}");
    }
}

async fn a_form_whose_session_is_over_leads_to_sign_in_and_does_nothing(setting: Setting) {
    let mut team = Team::under("two-role", setting).await;
    let email = "user@acme.example";
    let token = team.actors[0].1.token().await;
    let mut guest = team.site.browser();
    let typed = [
        ("csrf", token.as_str()),
        ("email", email),
        ("password", PASSWORD),
    ];
    for path in ["/sign-in", "/sign-out", "/organizations"] {
        let page = guest.post(path, &typed).await;
        assert_eq!(
            (page.status.as_u16(), page.path.as_str()),
            (200, "/sign-in")
        );
        page.must_say("You are signed out. Sign in to go on.");
        assert!(!page.says(email), "{path} signs in");
        guest = team.site.browser();
    }
}

async fn a_removed_members_cookie_does_nothing(setting: Setting) {
    let mut team = Team::under("four-tier", setting).await;
    let victim = team.victim(&"agent".parse().unwrap()).await;
    let admin = team.site.account("admin@acme.example").await;
    let place = team
        .actors
        .iter()
        .position(|(role, _)| role.as_str() == "admin")
        .unwrap();
    let token = team.actors[place].1.token().await;
    let path = team.path(&format!("members/{admin}/remove"));
    assert_eq!(team.actors[0].1.force(&path, &[]).await.status, 200);

    // The form was open before, with the cookie and the token of that time.
    let path = team.path(&format!("members/{victim}/remove"));
    let page = team.actors[place].1.post(&path, &[("csrf", &token)]).await;
    assert_eq!(page.path, "/sign-in");
    page.must_say("You are signed out. Sign in to go on.");
    let page = team.actors[place].1.force(&path, &[]).await;
    page.must_say("You are signed out. Sign in to go on.");
    assert!(team.role_of(&victim).await.is_some());
}

async fn a_removed_member_who_is_in_another_organization_reaches_only_that(setting: Setting) {
    let mut team = Team::under("four-tier", setting).await;
    let place = team
        .actors
        .iter()
        .position(|(role, _)| role.as_str() == "admin")
        .unwrap();
    let other = team.site.found(&mut team.actors[place].1, "Other").await;
    let (owner, admin) = (
        team.owner.clone(),
        team.site.account("admin@acme.example").await,
    );
    let path = team.path(&format!("members/{admin}/remove"));
    assert_eq!(team.actors[0].1.force(&path, &[]).await.status, 200);
    let fields = [("emails", "eve@acme.example"), ("role", "agent")];
    let page = team.actors[place]
        .1
        .force(&team_path(team.acme, "invitations"), &fields)
        .await;
    assert_eq!(page.status, 403);
    page.must_say("You have no access to this organization.");
    let page = team.actors[place]
        .1
        .force(&team_path(other, "invitations"), &fields)
        .await;
    assert_eq!(page.status, 200);
    assert!(team.role_of(&owner).await.is_some());
}

fn team_path(organization: OrganizationId, rest: &str) -> String {
    format!("/organizations/{organization}/settings/team/{rest}")
}

async fn what_belongs_to_another_organization_is_as_if_it_were_not(setting: Setting) {
    let mut team = Team::under("four-tier", setting).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    let other = team.site.found(&mut mallory, "Other").await;
    let invitation = team.invitation(&"agent".parse().unwrap()).await;
    let victim = team.victim(&"agent".parse().unwrap()).await;

    // By the address of her own organization, and by that of the other.
    for action in ["resend", "cancel", "link"] {
        let rest = format!("invitations/{invitation}/{action}");
        assert_eq!(
            mallory.force(&team_path(other, &rest), &[]).await.status,
            404,
            "{action}"
        );
        assert_eq!(
            mallory
                .force(&team_path(team.acme, &rest), &[])
                .await
                .status,
            403,
            "{action}"
        );
    }
    for action in ["remove", "suspend", "reinstate", "transfer"] {
        let rest = format!("members/{victim}/{action}");
        assert_eq!(
            mallory.force(&team_path(other, &rest), &[]).await.status,
            404,
            "{action}"
        );
        assert_eq!(
            mallory
                .force(&team_path(team.acme, &rest), &[])
                .await
                .status,
            403,
            "{action}"
        );
    }
    let inbox = format!("/organizations/{}/inbox", team.acme);
    let there = mallory.open(&inbox).await;
    let nowhere = mallory
        .open(&inbox.replace(&team.acme.to_string(), &uuid::Uuid::now_v7().to_string()))
        .await;
    assert_eq!(
        (there.status, there.text()),
        (nowhere.status, nowhere.text())
    );
    assert!(team.role_of(&victim).await.is_some());
}

async fn an_invitation_admits_to_its_own_organization_and_role_whatever_is_posted(
    setting: Setting,
) {
    let team = Team::under("four-tier", setting).await;
    let mut mallory = team.site.sign_up("Mallory", "mallory@other.example").await;
    let other = team.site.found(&mut mallory, "Other").await;
    let mut bob = team.site.sign_up("Bob", "bob@acme.example").await;
    let fields = [("emails", "bob@acme.example"), ("role", "agent")];
    mallory
        .force(&team_path(other, "invitations"), &fields)
        .await;
    let letter = team.site.letter_to("bob@acme.example", "invited you").await;
    bob.open(&crate::site::link_in(&letter))
        .await
        .must_say("Join Other");
    let acme = team.acme.to_string();
    let fields = [("organization", acme.as_str()), ("role", "owner")];
    bob.force("/invitation/accept", &fields)
        .await
        .must_say("Welcome! You are Agent here.");
    let bob = team.site.account("bob@acme.example").await;
    assert_eq!(team.role_of(&bob).await, None);
}
