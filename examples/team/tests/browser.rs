//! Tests of the application in Chromium, with JavaScript.
//!
//! Each screen is checked in both colour schemes and at two widths for accessibility and for horizontal scrolling.
//! Screenshots are saved in `target/team-screenshots`.

#![allow(clippy::unwrap_used)]

#[path = "browser/accounts.rs"]
mod accounts;
#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/fixture.rs"]
mod fixture;
#[path = "browser/invitation_answers.rs"]
mod invitation_answers;
#[path = "browser/languages.rs"]
mod languages;
#[path = "browser/letters.rs"]
mod letters;
#[path = "browser/links.rs"]
mod links;
#[path = "browser/owners.rs"]
mod owners;
#[path = "browser/readme.rs"]
mod readme;
#[path = "browser/removal.rs"]
mod removal;
#[path = "browser/roles.rs"]
mod roles;
#[path = "browser/screen.rs"]
mod screen;
#[path = "browser/site.rs"]
mod site;
#[path = "browser/team_page.rs"]
mod team_page;
#[path = "browser/window.rs"]
mod window;
