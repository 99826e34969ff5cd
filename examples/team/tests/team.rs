//! Tests of the application through HTTP requests, as a browser without JavaScript.

#![allow(clippy::unwrap_used)]

#[path = "team/attempts.rs"]
mod attempts;
#[path = "team/browser.rs"]
mod browser;
#[path = "team/configuration.rs"]
mod configuration;
#[path = "team/deadline.rs"]
mod deadline;
#[path = "team/deliveries.rs"]
mod deliveries;
#[path = "team/deployment.rs"]
mod deployment;
#[path = "team/help.rs"]
mod help;
#[path = "team/invitation_requests.rs"]
mod invitation_requests;
#[path = "team/links.rs"]
mod links;
#[path = "team/lost_access.rs"]
mod lost_access;
#[path = "team/member_requests.rs"]
mod member_requests;
#[path = "team/notes.rs"]
mod notes;
#[path = "team/notices.rs"]
mod notices;
#[path = "team/paging.rs"]
mod paging;
#[path = "team/request_checks.rs"]
mod request_checks;
#[path = "team/role_team.rs"]
mod role_team;
#[path = "team/sessions.rs"]
mod sessions;
#[path = "team/site.rs"]
mod site;
#[path = "team/story.rs"]
mod story;
