//! What the doctor says when something is wrong: which, and what to do.

use serde_json::Value as Json;

use crate::installation::Site;
use crate::redis_server::{RedisServer, free_port};
use crate::smtp::{Act, Script};
use crate::support::{CommandLine, text};
use crate::worker::eventually;

/// The doctor's lines that are not well, by what they check.
fn ailments(command_line: &CommandLine, status: i32) -> Vec<(String, String)> {
    let checks = command_line.run("doctor --json").ended(status).json();
    let names: Vec<_> = checks.iter().map(|check| text(&check["check"])).collect();
    assert_eq!(
        names,
        [
            "database",
            "schema",
            "clock",
            "redis",
            "sessions",
            "smtp",
            "keys",
            "templates"
        ]
    );
    let ill = checks.iter().filter(|check| check["status"] != "ok");
    let part = |check: &Json, name: &str| text(&check[name]);
    ill.map(|check| (part(check, "check"), part(check, "detail")))
        .collect()
}

/// Insists that one thing is wrong, and that its line says all of `says`.
fn assert_only(ailments: &[(String, String)], check: &str, says: &[&str]) {
    let names: Vec<_> = ailments.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [check], "{ailments:?}");
    for part in says {
        assert!(ailments[0].1.contains(part), "{part:?} in {ailments:?}");
    }
}

#[test]
fn all_is_well() {
    assert_eq!(ailments(&Site::new().command_line, 0), []);
    assert_eq!(ailments(&CommandLine::on_sqlite(), 0), []);
}

#[test]
fn the_database_does_not_answer() {
    let port = free_port();
    let site = Site::new().with(
        "DATABASE_URL",
        &format!("postgres://me:hunter2@127.0.0.1:{port}/app"),
    );
    let ailments = ailments(&site.command_line, 1);
    let names: Vec<_> = ailments.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["database", "schema", "clock", "sessions"]);
    for (_, detail) in &ailments[1..] {
        assert_eq!(
            detail,
            "not looked at, because the database does not answer"
        );
    }
    for part in [&format!("127.0.0.1:{port}/app"), "correct DATABASE_URL"] {
        assert!(ailments[0].1.contains(part), "{ailments:?}");
    }
    assert!(
        ailments
            .iter()
            .all(|(_, detail)| !detail.contains("hunter2")),
        "{ailments:?}"
    );
}

#[test]
fn the_tables_are_missing() {
    let key = guestlist::Key::generate();
    let command_line = CommandLine::on_empty_postgres().with("GUESTLIST_KEYS", &key.expose());
    assert_only(
        &ailments(&command_line, 1),
        "schema",
        &["run `guestlist migrate`"],
    );
}

#[test]
fn redis_does_not_answer() {
    let mut site = Site::new();
    site.redis.kill();
    let address = format!("127.0.0.1:{}", site.redis.port());
    let ailments = ailments(&site.command_line, 1);
    assert_redis_alone_is_blamed(&ailments, &[&address]);
}

/// Insists that one line says what to mend, and that the sessions, which are in the same Redis, are not
/// looked at.
fn assert_redis_alone_is_blamed(ailments: &[(String, String)], says: &[&str]) {
    assert_only(&ailments[..1], "redis", says);
    assert!(ailments[0].1.contains("correct REDIS_URL"), "{ailments:?}");
    let sessions = "not looked at, because they are in that Redis".to_owned();
    assert_eq!(ailments[1..], [("sessions".to_owned(), sessions)]);
}

#[test]
fn sessions_elsewhere_are_looked_at_although_redis_does_not_answer() {
    let mut site = Site::new();
    site.redis.kill();
    let elsewhere = format!("redis://127.0.0.1:{}", free_port());
    let site = site.with("GUESTLIST_SESSIONS_REDIS_URL", &elsewhere);
    let ailments = ailments(&site.command_line, 1);
    let says = ["refused", "correct GUESTLIST_SESSIONS_REDIS_URL"];
    assert_only(&ailments[1..], "sessions", &says);
}

#[test]
fn a_url_that_does_not_read_is_one_mistake() {
    for (variable, stores) in [
        ("REDIS_URL", "redis"),
        ("REDIS_URL", "sql:sessions.id,redis:s:{session}"),
        ("GUESTLIST_SESSIONS_REDIS_URL", "redis"),
    ] {
        let command_line = CommandLine::on_sqlite()
            .with(variable, "redis://nowhere:x")
            .with("GUESTLIST_SESSIONS", stores);
        let ran = command_line.run("doctor --json").ended(2);
        let mistakes = ran.object()["mistakes"].as_array().unwrap().clone();
        assert_eq!(mistakes.len(), 1, "{ran:?}");
        assert_eq!(text(&mistakes[0]["variable"]), variable);
    }
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_SESSIONS", "redis");
    let ran = command_line.run("doctor").ended(2);
    assert!(ran.stderr.contains("needs REDIS_URL"), "{ran:?}");
}

#[test]
fn redis_is_a_cluster() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(async {
        let node = RedisServer::start_node().await;
        node.command::<()>("CLUSTER ADDSLOTSRANGE 0 16383").await;
        node
    });
    eventually("the cluster is up", || {
        let told: String = runtime.block_on(node.command("CLUSTER INFO"));
        told.contains("cluster_state:ok")
    });
    let url = format!("redis+cluster://127.0.0.1:{}", node.port());
    let site = Site::new().with("REDIS_URL", &url);
    let checks = site.command_line.run("doctor --json").ended(0).json();
    let redis = checks.iter().find(|check| check["check"] == "redis");
    let detail = text(&redis.unwrap()["detail"]);
    let place = format!("the cluster 127.0.0.1:{}", node.port());
    assert!(detail.contains(&place), "{detail}");
}

#[test]
fn the_sentinels_do_not_answer() {
    let port = free_port();
    let url = format!("redis+sentinel://:hunter2@127.0.0.1:{port}/main?sentinel_password=hunter2");
    let site = Site::new().with("REDIS_URL", &url);
    let ailments = ailments(&site.command_line, 1);
    let place = format!("main of the sentinels 127.0.0.1:{port}");
    assert_redis_alone_is_blamed(&ailments, &[&place]);
    assert!(!format!("{ailments:?}").contains("hunter2"));
}

#[test]
fn the_mail_server_does_not_answer() {
    let port = free_port();
    let site = Site::new().with("SMTP_URL", &format!("smtp://127.0.0.1:{port}?tls=none"));
    let address = format!("127.0.0.1:{port}");
    assert_only(
        &ailments(&site.command_line, 1),
        "smtp",
        &[&address, "SMTP_URL"],
    );
}

#[test]
fn the_mail_server_lets_nobody_in() {
    let script = Script::default().on("CONNECT", Act::SayAndHang("554 5.7.1 go away"));
    let site = Site::with_mail_server(script);
    assert_only(
        &ailments(&site.command_line, 1),
        "smtp",
        &["554 5.7.1 go away"],
    );
}

#[test]
fn the_key_is_missing() {
    let command_line = CommandLine::on_postgres().with("GUESTLIST_KEYS", "");
    assert_only(
        &ailments(&command_line, 1),
        "keys",
        &["guestlist keys new", "GUESTLIST_KEYS"],
    );
}

#[test]
fn a_letter_of_ones_own_is_broken() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_TEMPLATES", "own");
    let folder = command_line.folder().join("own/invitation");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("text.hbs"), "Come in\n{{#if}\n").unwrap();
    assert_only(
        &ailments(&command_line, 1),
        "templates",
        &["invitation/text.hbs", "own"],
    );
}

#[test]
fn a_folder_of_letters_cannot_be_used() {
    let command_line = CommandLine::on_sqlite().with("SMTP_URL", "file:taken/letters");
    command_line.write("taken", "a file where a folder should be");
    assert_only(&ailments(&command_line, 1), "smtp", &["taken"]);
}

#[test]
fn the_sessions_are_not_where_they_are_said_to_be() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_SESSIONS", "sql:nosuch.id");
    assert_only(
        &ailments(&command_line, 1),
        "sessions",
        &["nosuch", "correct GUESTLIST_SESSIONS"],
    );
}
