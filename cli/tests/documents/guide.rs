//! The pages for hosts against the library and the worker.

use guestlist::{Delivery, Limits, Role, RoleModel};
use guestlist_jobs::config::Config;
use guestlist_jobs::letters::Letters;

use crate::markdown::{block, read, rows, section, spans};

#[test]
fn the_awaited_purge_is_a_doctest_of_the_worker() {
    let source = read("jobs/src/sessions/purge.rs");
    let (_, example) = source.split_once("/// ```no_run\n").unwrap();
    let lines = example.lines().map(|line| line.strip_prefix("///"));
    let example: String = lines
        .map_while(|line| line.filter(|line| *line != " ```"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let page = read("docs/guide/sessions.md");
    let shown = section(&page, "## Waiting for the purge");
    assert_eq!(block(shown, "rust"), example);
}

#[test]
fn the_role_model_shown_is_valid_and_means_what_it_says() {
    let page = read("docs/guide/roles.md");
    let model = RoleModel::from_toml(block(&page, "toml")).unwrap();
    let role = |name: &str| name.parse::<Role>().unwrap();
    assert_eq!(model.keeps(), &role("chief"));
    assert!(model.allows(&role("chief"), "docs.read"));
    assert!(model.may_invite(&role("editor"), &role("reader")));
    assert!(!model.may_invite(&role("editor"), &role("chief")));
    assert_eq!(
        model.get(&role("editor")).unwrap().display_name(),
        "Editor in charge"
    );
}

#[test]
fn the_phrase_shown_replaces_the_built_in_one_without_alert() {
    let page = read("docs/guide/letters.md");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("locales")).unwrap();
    let locale = block(&page, "toml");
    std::fs::write(folder.path().join("locales/de.toml"), locale).unwrap();
    let (_, alerts) = Letters::with_overrides(folder.path()).unwrap();
    assert_eq!(alerts, []);
}

#[test]
fn the_limits_shown_are_the_default() {
    let shown = spans(&read("docs/guide/limits.md"));
    let limits: Vec<Limits> = shown.iter().filter_map(|span| span.parse().ok()).collect();
    assert_eq!(limits, [Limits::default()]);
}

#[test]
fn the_session_stores_shown_are_understood() {
    let page = read("docs/guide/sessions.md");
    let rows = rows(section(&page, "## Stores"));
    assert!(rows.len() > 3, "{rows:?}");
    for row in rows {
        let store = spans(row[0]).remove(0);
        let environment = |name: &str| match name {
            "GUESTLIST_SESSIONS" => Some(store.clone().into()),
            "REDIS_URL" => Some("redis://127.0.0.1".into()),
            _ => None,
        };
        let config = Config::read(&environment).unwrap();
        assert_eq!(config.sessions.is_empty(), store == "none", "{store}");
    }
}

#[test]
fn every_state_of_delivery_is_explained() {
    let page = read("docs/operations.md");
    let rows = rows(section(&page, "## Delivery of invitations"));
    let explained: Vec<String> = rows.iter().flat_map(|row| spans(row[0])).collect();
    let states: Vec<&str> = Delivery::ALL.iter().map(|state| state.as_str()).collect();
    assert_eq!(explained, states);
}
