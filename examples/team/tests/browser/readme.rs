//! The screenshots of README.md. `bin/pictures` runs this test to take them.

use crate::screen::check_page;
use crate::site::{FOUR_TIER, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pictures_of_the_readme() {
    let site = Site::embedded(FOUR_TIER).await;
    let olivia = site.person("Olivia").await;
    let acme = site.organization("Acme", &olivia).await;
    for (name, role) in [("Ada", "admin"), ("Ben", "manager"), ("Cleo", "agent")] {
        let member = site.person(name).await;
        site.join(acme, &olivia, &member, role).await;
    }
    let (nina, oleg) = (site.address("nina"), site.address("oleg"));
    site.invite(acme, &olivia, &nina, "manager").await;
    site.invite(acme, &olivia, &oleg, "agent").await;
    for email in [&nina, &oleg] {
        site.letters.link_to(email, "invited you to Acme").await;
    }
    let window = site.window_of(&olivia).await;
    window.press("Settings: Team").await;
    window.says_after_reload("E-mail sent").await;
    check_page(&window, "readme-team").await;
    window.press("Mailbox").await;
    window.press("Olivia invited you to Acme").await;
    window.says("View invitation:").await;
    check_page(&window, "readme-letter").await;
}
