//! The team page offers each role only what it may do.

use guestlist::User;

use crate::fixture::page_of;
use crate::screen::check_page;
use crate::site::{FOUR_TIER, Roles, Site, TWO_ROLE};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_tiers_see_only_allowed_actions() {
    let team = Team::of(FOUR_TIER, &["agent", "manager", "admin"]).await;
    let window = &team.window;
    team.sign_in("agent").await;
    assert_eq!(window.controls().await, ["Leave"]);
    check_page(window, "team-of-an-agent").await;
    team.must_refuse_history().await;

    team.switch_to("manager").await;
    assert_eq!(window.controls().await, ["Leave"]);

    // An admin manages everyone below Owner.
    team.switch_to("admin").await;
    let mut offered = managing_controls("agent");
    offered.extend(managing_controls("manager"));
    offered.extend(["Role of admin".to_owned(), "Leave".to_owned()]);
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    assert_eq!(
        options(window, "Role of agent").await,
        "Agent Manager Admin"
    );
    assert_eq!(options(window, "Role").await, "Agent Manager Admin");
    check_page(window, "team-of-an-admin").await;

    team.switch_to("olivia").await;
    let mut offered = managing_controls("agent");
    offered.extend(managing_controls("manager"));
    offered.extend(managing_controls("admin"));
    offered.extend(["agent", "manager", "admin"].map(transfer_control));
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    let every = "Agent Manager Admin Owner";
    assert_eq!(options(window, "Role of agent").await, every);
    assert_eq!(options(window, "Role").await, every);
    window
        .open(&page_of(team.acme, "settings/team/leave"))
        .await;
    window.says("Transfer the ownership").await;
    check_page(window, "leave-of-the-last-owner").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_roles_see_only_allowed_actions() {
    let team = Team::of(TWO_ROLE, &["user", "admin"]).await;
    let window = &team.window;
    team.sign_in("user").await;
    assert_eq!(window.controls().await, ["Leave"]);
    team.must_refuse_history().await;

    team.switch_to("admin").await;
    let mut offered = managing_controls("user");
    offered.extend(["Role of admin".to_owned(), "Leave".to_owned()]);
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    window
        .says("olivia is the last owner. The last owner cannot be removed, leave or get another role. Only a transfer")
        .await;

    team.switch_to("olivia").await;
    let mut offered = managing_controls("user");
    offered.extend(managing_controls("admin"));
    offered.extend(["user", "admin"].map(transfer_control));
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    assert_eq!(options(window, "Role of admin").await, "User Admin");

    window.press(&transfer_control("admin")).await;
    window
        .says("becomes Owner of Acme, and you become Admin.")
        .await;
    check_page(window, "transfer").await;
    window.press("Transfer the ownership").await;
    window.says("admin is now the owner.").await;
    window.says("Your role is Admin.").await;
    assert!(!window.controls().await.contains(&"Remove admin".to_owned()));
    let row = window.entry("admin@").await;
    assert!(row.contains("Owner admin is the last owner"), "{row}");

    window.press("Leave").await;
    window.says("What you wrote stays, with your name.").await;
    check_page(window, "leave").await;
    window.press("Leave Acme").await;
    window.says("You left Acme.").await;
    window
        .says("You are not a member of any organization.")
        .await;
    window.open(&page_of(team.acme, "inbox")).await;
    window.says_nothing_of("Inbox of Acme").await;
}

/// A team with one member per role, named after the role, and a browser that they use in turn.
struct Team {
    window: Window,
    site: Site,
    acme: guestlist::OrganizationId,
}

impl Team {
    async fn of(roles: Roles, names: &[&str]) -> Self {
        let site = Site::embedded(roles).await;
        let olivia = site.person("olivia").await;
        let acme = site.organization("Acme", &olivia).await;
        for name in names {
            let member: User = site.person(name).await;
            site.join(acme, &olivia, &member, name).await;
        }
        Self {
            window: site.window().await,
            site,
            acme,
        }
    }

    /// Signs in as a member and opens the team page.
    async fn sign_in(&self, name: &str) {
        self.window.sign_in(&self.site.address(name)).await;
        self.window.press("Settings: Team").await;
        self.window.says("Team of Acme").await;
    }

    async fn switch_to(&self, name: &str) {
        self.window.press("Sign out").await;
        self.window.says("You are signed out.").await;
        self.sign_in(name).await;
    }

    /// Checks that the history is neither offered nor accessible.
    async fn must_refuse_history(&self) {
        let window = &self.window;
        window.says_nothing_of("Settings: History").await;
        window.says_nothing_of("Pending invitations").await;
        window.open(&page_of(self.acme, "settings/history")).await;
        window.says("Your role may not").await;
        check_page(window, "refused").await;
        window.open(&page_of(self.acme, "settings/team")).await;
    }
}

/// Lists the controls for a member that the visitor may manage.
fn managing_controls(name: &str) -> Vec<String> {
    vec![
        format!("Role of {name}"),
        format!("Suspend {name}"),
        format!("Remove {name}"),
    ]
}

fn transfer_control(name: &str) -> String {
    format!("Make owner: transfer the ownership to {name}")
}

fn invite_form() -> Vec<String> {
    [
        "E-mail addresses",
        "Role",
        "Language of the e-mail",
        "Personal message (optional)",
        "Send the invitations",
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn options(window: &Window, label: &str) -> String {
    const OPTIONS: &str = "
        const label = [...document.querySelectorAll('label')].find((label) => label.textContent === arguments[0]);
        return [...label.control.options].map((option) => option.textContent).join(' ');";
    let options = window.execute(OPTIONS, vec![label.into()]).await;
    options.as_str().unwrap().to_owned()
}

fn sorted(names: &mut [String]) -> &[String] {
    names.sort();
    names
}
