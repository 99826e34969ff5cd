//! The doctor's report on a wrong setup: the failed check and the remedy.

use guestlist_testkit::smtp::{Action, Rule, Script, Stage};
use serde_json::Value as Json;

use guestlist_testkit::{PostgresServer, RedisServer, free_port};

use crate::installation::Installation;
use crate::support::{CommandLine, text};
use crate::worker::eventually;

/// The doctor's lines about failed checks, by check.
fn failed_checks(command_line: &CommandLine, status: i32) -> Vec<(String, String)> {
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

/// Asserts that one check fails and that its line contains all of `says`.
fn assert_only_failure(failed_checks: &[(String, String)], check: &str, says: &[&str]) {
    let names: Vec<_> = failed_checks
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, [check], "{failed_checks:?}");
    for part in says {
        assert!(
            failed_checks[0].1.contains(part),
            "{part:?} in {failed_checks:?}"
        );
    }
}

#[test]
fn all_is_well() {
    assert_eq!(failed_checks(&Installation::new().command_line, 0), []);
    assert_eq!(failed_checks(&CommandLine::on_sqlite(), 0), []);
}

#[test]
fn the_database_does_not_answer() {
    let port = free_port();
    let installation = Installation::new().with(
        "DATABASE_URL",
        &format!("postgres://me:hunter2@127.0.0.1:{port}/app"),
    );
    let failed_checks = failed_checks(&installation.command_line, 1);
    let names: Vec<_> = failed_checks
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["database", "schema", "clock", "sessions"]);
    for (_, detail) in &failed_checks[1..] {
        assert_eq!(detail, "not checked, because the database does not answer");
    }
    for part in [&format!("127.0.0.1:{port}/app"), "correct DATABASE_URL"] {
        assert!(failed_checks[0].1.contains(part), "{failed_checks:?}");
    }
    assert!(
        failed_checks
            .iter()
            .all(|(_, detail)| !detail.contains("hunter2")),
        "{failed_checks:?}"
    );
}

#[test]
fn the_tables_are_missing() {
    let key = guestlist::Key::generate();
    let command_line = CommandLine::on_empty_postgres().with("GUESTLIST_KEYS", &key.expose());
    assert_only_failure(
        &failed_checks(&command_line, 1),
        "schema",
        &["run `guestlist migrate`"],
    );
}

#[test]
fn postgres_is_read_only() {
    let installation = Installation::new();
    let url = installation.command_line.database_url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let option = "options=-c%20default_transaction_read_only%3Don";
    let installation = installation.with("DATABASE_URL", &format!("{url}{separator}{option}"));
    let failed_checks = failed_checks(&installation.command_line, 1);
    let says = ["default_transaction_read_only is on", "make it writable"];
    assert_only_failure(&failed_checks, "database", &says);
}

#[test]
fn postgres_is_a_standby() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let primary = runtime.block_on(PostgresServer::start()).unwrap();
    let mut installation = Installation::on_database(&primary.url());
    installation.start_mail_server(Script::default());
    let standby = runtime.block_on(primary.standby()).unwrap();
    let installation = installation.with("DATABASE_URL", &standby.url());
    let failed_checks = failed_checks(&installation.command_line, 1);
    assert_only_failure(&failed_checks, "database", &["the server is a standby"]);
}

#[test]
fn sqlite_file_is_read_only() {
    let command_line = CommandLine::on_sqlite();
    command_line.run("organization list").done();
    let url = format!("{}?mode=ro", command_line.database_url());
    let command_line = command_line.with("DATABASE_URL", &url);
    let failed_checks = failed_checks(&command_line, 1);
    assert_only_failure(&failed_checks, "database", &["the file or its folder"]);
}

#[test]
fn right_on_a_table_is_missing() {
    let installation = Installation::new();
    let url = installation.command_line.database_url();
    let role = format!("worker_{}", guestlist::Key::generate().id());
    installation.command_line.sql(&format!(
        "CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
         REVOKE INSERT ON guestlist_events FROM {role}"
    ));
    let separator = if url.contains('?') { '&' } else { '?' };
    let option = format!("{separator}options=-c%20role%3D{role}");
    let installation = installation.with("DATABASE_URL", &format!("{url}{option}"));
    let failed_checks = failed_checks(&installation.command_line, 1);
    let installation = installation.with("DATABASE_URL", &url);
    installation
        .command_line
        .sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    let says = ["GRANT INSERT ON guestlist_events TO CURRENT_USER"];
    assert_only_failure(&failed_checks, "schema", &says);
    assert_eq!(failed_checks[0].1.matches("GRANT").count(), 1);
}

#[test]
fn redis_does_not_answer() {
    let mut installation = Installation::new();
    installation.redis.kill();
    let address = format!("127.0.0.1:{}", installation.redis.port());
    let failed_checks = failed_checks(&installation.command_line, 1);
    assert_only_redis_fails(&failed_checks, &[&address]);
}

/// Asserts that one line names the remedy, and that the sessions, which are in the same Redis, are
/// not checked.
fn assert_only_redis_fails(failed_checks: &[(String, String)], says: &[&str]) {
    assert_only_failure(&failed_checks[..1], "redis", says);
    assert!(
        failed_checks[0].1.contains("correct REDIS_URL"),
        "{failed_checks:?}"
    );
    let sessions = "not checked, because a session store is in that Redis".to_owned();
    assert_eq!(failed_checks[1..], [("sessions".to_owned(), sessions)]);
}

#[test]
fn session_redis_is_checked_although_redis_is_down() {
    let mut installation = Installation::new();
    installation.redis.kill();
    let elsewhere = format!("redis://127.0.0.1:{}", free_port());
    let installation = installation.with("GUESTLIST_SESSIONS_REDIS_URL", &elsewhere);
    let failed_checks = failed_checks(&installation.command_line, 1);
    let says = ["refused", "correct GUESTLIST_SESSIONS_REDIS_URL"];
    assert_only_failure(&failed_checks[1..], "sessions", &says);
}

#[test]
fn invalid_url_is_one_mistake() {
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
        let node = RedisServer::builder().cluster_node(free_port());
        let node = node.start().await.unwrap();
        let slots = node.command::<()>("CLUSTER ADDSLOTSRANGE 0 16383").await;
        slots.unwrap();
        node
    });
    eventually("the cluster is up", || {
        let told: String = runtime.block_on(node.command("CLUSTER INFO")).unwrap();
        told.contains("cluster_state:ok")
    });
    let url = format!("redis+cluster://127.0.0.1:{}", node.port());
    let installation = Installation::new().with("REDIS_URL", &url);
    let checks = installation
        .command_line
        .run("doctor --json")
        .ended(0)
        .json();
    let redis = checks.iter().find(|check| check["check"] == "redis");
    let detail = text(&redis.unwrap()["detail"]);
    let place = format!("the cluster 127.0.0.1:{}", node.port());
    assert!(detail.contains(&place), "{detail}");
}

/// The line of the operations guide, for a user with the password `secret`.
fn documented_rights() -> String {
    let guide = include_str!("../../../docs/operations.md");
    let line = guide
        .lines()
        .find(|line| line.starts_with("ACL SETUSER guestlist "));
    let line = line.expect("the guide has the line");
    line.replace("PASSWORD", "secret")
}

#[test]
fn redis_user_needs_the_documented_rights() {
    let installation = Installation::new();
    let port = installation.redis.port();
    let url = format!("redis://guestlist:secret@127.0.0.1:{port}/");
    let installation = installation
        .with("REDIS_URL", &url)
        .with("GUESTLIST_SESSIONS", "redis:sess:{session}");
    let rights = documented_rights();
    let _: () = installation.redis(&format!("{rights} ~sess:*"));
    let command_line = &installation.command_line;
    assert_eq!(failed_checks(command_line, 0), []);
    let acme = command_line.organization();
    command_line.member(&acme, "bob", "agent");
    let _: () = installation.redis("SET sess:bob-1 data");
    command_line
        .run(&format!(
            "session record bob-1 --user bob --organization {acme}"
        ))
        .done();
    command_line
        .run(&format!("remove bob --organization {acme} --as ann"))
        .done();
    installation.invite(20);
    command_line.run("work --until-idle").done();
    assert_eq!(installation.redis::<i64>("EXISTS sess:bob-1"), 0);
    assert!(installation.letters() >= 20);
    for (missing, named) in [
        ("-hset", "+hset"),
        ("-@scripting", "+script|load"),
        ("resetkeys", "~{core:apalis:queues:list}:guestlist-"),
    ] {
        let _: () = installation.redis(&format!("{rights} ~sess:* {missing}"));
        let failed_checks = failed_checks(command_line, 1);
        assert_only_failure(
            &failed_checks[..1],
            "redis",
            &["lacks", named, "ACL SETUSER"],
        );
    }
}

#[test]
fn the_sentinels_do_not_answer() {
    let port = free_port();
    let url = format!("redis+sentinel://:hunter2@127.0.0.1:{port}/main?sentinel_password=hunter2");
    let installation = Installation::new().with("REDIS_URL", &url);
    let failed_checks = failed_checks(&installation.command_line, 1);
    let place = format!("main of the sentinels 127.0.0.1:{port}");
    assert_only_redis_fails(&failed_checks, &[&place]);
    assert!(!format!("{failed_checks:?}").contains("hunter2"));
}

#[test]
fn the_mail_server_does_not_answer() {
    let port = free_port();
    let installation =
        Installation::new().with("SMTP_URL", &format!("smtp://127.0.0.1:{port}?tls=none"));
    let address = format!("127.0.0.1:{port}");
    assert_only_failure(
        &failed_checks(&installation.command_line, 1),
        "smtp",
        &[&address, "SMTP_URL"],
    );
}

#[test]
fn mail_server_refuses_the_password() {
    let refusal = Action::reply_and_hang_up("554 5.7.1 go away");
    let script = Script::default().on(Stage::Connect, refusal);
    let installation = Installation::with_mail_server(script);
    assert_only_failure(
        &failed_checks(&installation.command_line, 1),
        "smtp",
        &["554 5.7.1 go away"],
    );
}

#[test]
fn the_key_is_missing() {
    let command_line = CommandLine::on_postgres().with("GUESTLIST_KEYS", "");
    assert_only_failure(
        &failed_checks(&command_line, 1),
        "keys",
        &["guestlist keys new", "GUESTLIST_KEYS"],
    );
}

#[test]
fn own_template_is_broken() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_TEMPLATES", "own");
    let folder = command_line.folder().join("own/invitation");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("text.hbs"), "Come in\n{{#if}\n").unwrap();
    assert_only_failure(
        &failed_checks(&command_line, 1),
        "templates",
        &["invitation/text.hbs", "own"],
    );
}

#[test]
fn letter_folder_is_unusable() {
    let command_line = CommandLine::on_sqlite().with("SMTP_URL", "file:taken/letters");
    command_line.write("taken", "a file where a folder should be");
    assert_only_failure(&failed_checks(&command_line, 1), "smtp", &["taken"]);
}

#[test]
fn session_store_is_missing() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_SESSIONS", "sql:nosuch.id");
    assert_only_failure(
        &failed_checks(&command_line, 1),
        "sessions",
        &["nosuch", "correct GUESTLIST_SESSIONS"],
    );
}

/// The line about the mail server.
fn smtp(command_line: &CommandLine, status: i32) -> String {
    let checks = command_line.run("doctor --json").ended(status).json();
    let smtp = checks.iter().find(|check| check["check"] == "smtp");
    text(&smtp.unwrap()["detail"])
}

#[test]
fn results_of_workers_are_shown() {
    let full = Script::default().rule(Rule::new(Stage::Rcpt, "452 4.2.2 mailbox full"));
    let installation = Installation::with_mail_server(full);
    let command_line = &installation.command_line;
    let line = installation.people(0);
    let rows: String = (0..24)
        .map(|n| format!("p{n}@d{}.example,agent\n", n % 4))
        .collect();
    command_line.write("people.csv", format!("email,role\n{rows}"));
    command_line.run(&line).done();
    assert!(!smtp(command_line, 0).contains("deferred"));
    command_line.run("work --until-idle").done();
    let detail = smtp(command_line, 0);
    let deferral = "24 of the 24 letters tried in the last 30 minutes were deferred or throttled, to 4 \
                    domains; the latest reply: 452 4.2.2 mailbox full";
    assert!(detail.contains(deferral), "{detail}");
    command_line.sql(
        "INSERT INTO guestlist_mail_pause (id, since, reason, worker, until)
         VALUES (1, now(), '535 5.7.8 no', 'worker-1', now())",
    );
    let detail = smtp(command_line, 1);
    for part in ["the worker worker-1 sends no letter", "535 5.7.8 no"] {
        assert!(detail.contains(part), "{detail}");
    }
}
