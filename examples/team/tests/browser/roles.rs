//! What a role may not do is not offered to it.

use guestlist::User;

use crate::fixture::page_of;
use crate::screen::look;
use crate::site::{FOUR_TIER, Roles, Site, TWO_ROLE};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_tiers_are_offered_what_each_may_do() {
    let team = Team::of(FOUR_TIER, &["agent", "manager", "admin"]).await;
    let window = &team.window;
    team.sign_in("agent").await;
    assert_eq!(window.controls().await, ["Leave"]);
    look(window, "team-of-an-agent").await;
    team.refuses_the_history().await;

    team.switch_to("manager").await;
    assert_eq!(window.controls().await, ["Leave"]);

    // An admin manages everyone below Owner.
    team.switch_to("admin").await;
    let mut offered = managed("agent");
    offered.extend(managed("manager"));
    offered.extend(["Role of admin".to_owned(), "Leave".to_owned()]);
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    assert_eq!(
        options(window, "Role of agent").await,
        "Agent Manager Admin"
    );
    assert_eq!(options(window, "Role").await, "Agent Manager Admin");
    look(window, "team-of-an-admin").await;

    team.switch_to("olivia").await;
    let mut offered = managed("agent");
    offered.extend(managed("manager"));
    offered.extend(managed("admin"));
    offered.extend(["agent", "manager", "admin"].map(heir));
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
    look(window, "leave-of-the-last-owner").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_roles_are_offered_what_each_may_do_and_the_owner_is_replaced_by_a_transfer_alone() {
    let team = Team::of(TWO_ROLE, &["user", "admin"]).await;
    let window = &team.window;
    team.sign_in("user").await;
    assert_eq!(window.controls().await, ["Leave"]);
    team.refuses_the_history().await;

    team.switch_to("admin").await;
    let mut offered = managed("user");
    offered.extend(["Role of admin".to_owned(), "Leave".to_owned()]);
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    window
        .says("olivia is the last owner, who cannot be removed, given another role or leave. Only a transfer")
        .await;

    team.switch_to("olivia").await;
    let mut offered = managed("user");
    offered.extend(managed("admin"));
    offered.extend(["user", "admin"].map(heir));
    offered.extend(invite_form());
    let mut controls = window.controls().await;
    assert_eq!(sorted(&mut controls), sorted(&mut offered));
    assert_eq!(options(window, "Role of admin").await, "User Admin");

    window.press(&heir("admin")).await;
    window
        .says("becomes Owner of Acme, and you become Admin.")
        .await;
    look(window, "transfer").await;
    window.press("Transfer the ownership").await;
    window.says("admin is the owner now.").await;
    window.says("You are Admin here.").await;
    assert!(!window.controls().await.contains(&"Remove admin".to_owned()));
    let row = window.entry("admin@").await;
    assert!(row.contains("Owner admin is the last owner"), "{row}");

    window.press("Leave").await;
    window.says("What you wrote stays, with your name.").await;
    look(window, "leave").await;
    window.press("Leave Acme").await;
    window.says("You left Acme.").await;
    window.says("You are a member of none.").await;
    window.open(&page_of(team.acme, "inbox")).await;
    window.says_nothing_of("Inbox of Acme").await;
}

/// A team with somebody in each role, who is named after it, and a browser for one after the other.
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

    /// Opens the team page as somebody.
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

    /// Neither offered nor shown.
    async fn refuses_the_history(&self) {
        let window = &self.window;
        window.says_nothing_of("Settings: History").await;
        window.says_nothing_of("Pending invitations").await;
        window.open(&page_of(self.acme, "settings/history")).await;
        window.says("Your role may not").await;
        look(window, "refused").await;
        window.open(&page_of(self.acme, "settings/team")).await;
    }
}

/// What is offered about a member whom one may manage.
fn managed(name: &str) -> Vec<String> {
    vec![
        format!("Role of {name}"),
        format!("Suspend {name}"),
        format!("Remove {name}"),
    ]
}

fn heir(name: &str) -> String {
    format!("Make owner: transfer the ownership to {name}")
}

fn invite_form() -> Vec<String> {
    [
        "E-mail addresses",
        "Role",
        "Language of the letter",
        "A message of your own (optional)",
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
