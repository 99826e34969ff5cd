//! The environment variables, and the messages when they are wrong.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{CommandLine, text};

#[test]
fn all_mistakes_are_reported_without_secrets() {
    let command_line = CommandLine::on_sqlite()
        .with("DATABASE_URL", "postgres://me:hunter2@db.example:x/app")
        .with("REDIS_URL", "redis://:hunter2@localhost:x")
        .with("SMTP_URL", "hunter2")
        .with("GUESTLIST_KEYS", "k1:hunter2")
        .with("GUESTLIST_TTL", "soon")
        .with("GUESTLIST_LOG", "xml");
    let ran = command_line.run("organization list").ended(2);
    for variable in [
        "DATABASE_URL",
        "REDIS_URL",
        "SMTP_URL",
        "GUESTLIST_KEYS",
        "GUESTLIST_TTL",
        "GUESTLIST_LOG",
    ] {
        let lines = ran
            .stderr
            .lines()
            .filter(|line| line.trim_start().starts_with(&format!("{variable}: ")));
        assert_eq!(lines.count(), 1, "{variable}: {}", ran.stderr);
    }
    let json = command_line.run("organization list --json").ended(2);
    assert_eq!(json.object()["invalid"], "configuration");
    assert_eq!(json.object()["mistakes"].as_array().unwrap().len(), 6);
    assert!(
        !ran.stderr.contains("hunter2") && !json.stdout.contains("hunter2"),
        "{ran:?}"
    );
}

#[test]
fn embedded_default_creates_and_keeps_a_private_key() {
    let command_line = CommandLine::on_sqlite();
    let first = command_line.run("organization list").done();
    let file = command_line.folder().join("guestlist.db.keys");
    assert_eq!(first.stderr.lines().count(), 1, "{first:?}");
    assert!(first.stderr.contains("guestlist.db.keys"), "{first:?}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let key = fs::read_to_string(&file).unwrap();
    assert!(
        !first.stderr.contains(key.trim().split_once(':').unwrap().1),
        "{first:?}"
    );

    assert_eq!(command_line.run("organization list").done().stderr, "");
    assert_eq!(fs::read_to_string(&file).unwrap(), key);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = command_line.run("organization list --json").ended(1);
    assert_eq!(exposed.object()["error"], "keys");
    assert!(
        exposed.stderr.contains("chmod 600 guestlist.db.keys"),
        "{exposed:?}"
    );
}

#[test]
fn printed_key_is_a_valid_variable() {
    let command_line = CommandLine::on_sqlite();
    let key = text(&command_line.one("keys new")["key"]);
    assert_ne!(command_line.run("keys new").done().stdout.trim(), key);
    command_line
        .with("GUESTLIST_KEYS", &key)
        .run("organization list")
        .done();
}

#[test]
fn postgres_is_migrated_only_by_the_migrate_command() {
    let command_line = CommandLine::on_empty_postgres();
    let ran = command_line.run("organization list --json").ended(1);
    assert_eq!(ran.object()["error"], "schema");
    assert!(ran.stderr.contains("run `guestlist migrate`"), "{ran:?}");
    command_line.run("migrate").done();
    command_line.run("migrate").done();
    assert!(command_line.all("organization list").is_empty());
}

#[test]
fn migrate_reports_the_applied_migrations() {
    for (command_line, folder) in [
        (CommandLine::on_empty_postgres(), "../migrations/postgres"),
        (CommandLine::on_sqlite(), "../migrations/sqlite"),
    ] {
        let first = command_line.run("migrate").done().stdout;
        let all = fs::read_dir(folder).unwrap().count();
        assert_eq!(first.trim(), format!("{all} migrations were applied."));
        let again = command_line.run("migrate").done().stdout;
        assert_eq!(again.trim(), "The tables are up to date.");
        let object = command_line.one("migrate");
        assert_eq!(
            (&object["migrated"], &object["applied"]),
            (&json!(true), &json!(0))
        );
    }
}

#[test]
fn without_a_key_everything_but_links_works() {
    let command_line = CommandLine::on_postgres().with("GUESTLIST_KEYS", "");
    let acme = command_line.organization();
    let invited = command_line.one(&format!(
        "invite bob@acme.example --organization {acme} --role agent --as ann"
    ));
    let link = format!("link {} --as ann", text(&invited["invitation"]));
    for line in [
        link.as_str(),
        "accept x --user bob --email bob@acme.example",
        "decline x",
    ] {
        let ran = command_line.run(&format!("{line} --json")).ended(1);
        assert_eq!(ran.object()["error"], "no_key");
        assert!(ran.stderr.contains("guestlist keys new"), "{ran:?}");
    }
}

#[test]
fn unopenable_database_is_one_clear_line() {
    let postgres = CommandLine::on_postgres();
    let reachable = std::env::var("GUESTLIST_TEST_POSTGRES").unwrap();
    let mut missing = url::Url::parse(&reachable).unwrap();
    missing.set_path("guestlist_no_such_database");
    missing.set_password(Some("hunter2")).unwrap();
    let closed_port = guestlist_testkit::free_port();
    for (url, says) in [
        (missing.to_string(), "guestlist_no_such_database"),
        (
            format!("postgres://me:hunter2@127.0.0.1:{closed_port}/app"),
            "efused",
        ),
        (
            "postgres://me:hunter2@no-such-host.invalid/app".to_owned(),
            "no-such-host.invalid",
        ),
        (
            "sqlite:no/such/folder/guestlist.db".to_owned(),
            "no/such/folder",
        ),
    ] {
        let ran = CommandLine::on_sqlite()
            .with("DATABASE_URL", &url)
            .run("organization list --json")
            .ended(1);
        assert_eq!(ran.object()["error"], "database", "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(
            ran.stderr.contains(says) && !ran.stderr.contains("hunter2"),
            "{ran:?}"
        );
    }
    drop(postgres);
}

stories! {
    fn tables_of_a_newer_version_are_not_touched(command_line) {
        command_line.run("organization list").done();
        command_line.sql(
            "INSERT INTO guestlist_migrations (version, description, success, checksum, execution_time)
             SELECT 999999, 'from the future', success, checksum, 1 FROM guestlist_migrations LIMIT 1",
        );
        let ran = command_line.run("organization list --json").ended(1);
        assert_eq!(ran.object()["error"], "schema");
        assert!(ran.stderr.contains("newer"), "{ran:?}");
    }

    fn links_are_bound_to_their_audience(command_line) {
        let acme = command_line.organization();
        let invited = command_line.one(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        let link = text(&command_line.one(&format!("link {} --as ann", text(&invited["invitation"])))["link"]);
        let command_line = command_line.with("GUESTLIST_AUDIENCE", "another");
        let refused = command_line.run(&format!("decline {link} --json")).ended(3);
        assert_eq!(refused.object()["refused"], "invalid_token");
    }

    fn invitation_lifetime_is_configurable(command_line) {
        let command_line = command_line.with("GUESTLIST_TTL", "1s");
        let acme = command_line.organization();
        let invited = command_line.one(&format!("invite bob@acme.example --organization {acme} --role agent --as ann"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let list = format!("invitations --organization {acme}");
        while command_line.one(&list)["status"] != "expired" {
            assert!(std::time::Instant::now() < deadline, "it never expired");
        }
        let refused = command_line.run(&format!("link {} --as ann --json", text(&invited["invitation"]))).ended(3);
        assert_eq!(refused.object()["refused"], "invitation_expired");
    }
}

#[test]
fn help_documents_every_variable() {
    let command_line = CommandLine::on_sqlite();
    let help = command_line.run("--help").done().stdout;
    let listed = command_line.all("variables");
    assert_eq!(listed.len(), 26);
    for variable in listed {
        assert!(
            help.contains(&format!("\n  {}", text(&variable["variable"]))),
            "{variable}"
        );
    }
}

#[test]
fn misspelled_variable_is_reported() {
    let command_line = CommandLine::on_sqlite()
        .with("GUESTLIST_LIMIT", "none")
        .with("GUESTLIST_DATABASE_URL", "sqlite:other.db")
        .with("GUESTLIST_SERVICE_HOST", "10.0.0.1")
        .with("GUESTLIST_TEST_LETTERS", "1")
        .with("GUESTLIST_SEAT", "");
    let ran = command_line.run("organization list --json").ended(2);
    let mistakes = ran.object()["mistakes"].as_array().unwrap().clone();
    let mut found: Vec<_> = mistakes
        .iter()
        .map(|mistake| (text(&mistake["variable"]), text(&mistake["expected"])))
        .collect();
    found.sort();
    let pairs = [
        ("GUESTLIST_DATABASE_URL", "DATABASE_URL"),
        ("GUESTLIST_LIMIT", "GUESTLIST_LIMITS"),
    ];
    assert_eq!(
        found,
        pairs.map(|(name, meant)| (name.to_owned(), meant.to_owned()))
    );
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn build_without_traces_reports_it() {
    let complaint = "does not have the feature opentelemetry";
    let command_line = CommandLine::on_sqlite();
    let ran = command_line.run("work --until-idle").done();
    assert!(!ran.stderr.contains(complaint), "{ran:?}");
    let asking = command_line.with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let ran = asking.run("work --until-idle").done();
    assert!(ran.stderr.contains(complaint), "{ran:?}");
    let disabled = asking.with("OTEL_SDK_DISABLED", "true");
    let ran = disabled.run("work --until-idle").done();
    assert!(!ran.stderr.contains(complaint), "{ran:?}");
}

#[test]
fn invalid_rate_is_refused_with_a_reason() {
    for (rate, why) in [
        ("0", "no letter would ever be sent"),
        ("-14", "no letter would ever be sent"),
        ("0.001", "slower than any mail server requires"),
        ("1000000", "faster than any mail server accepts letters"),
        ("14/s", "is not a number"),
        ("NaN", "is not a number"),
    ] {
        let command_line = CommandLine::on_sqlite().with("GUESTLIST_SMTP_RATE", rate);
        let ran = command_line.run("doctor --json").ended(2);
        let mistakes = ran.object()["mistakes"].as_array().unwrap().clone();
        assert_eq!(mistakes.len(), 1, "{ran:?}");
        assert_eq!(text(&mistakes[0]["variable"]), "GUESTLIST_SMTP_RATE");
        let problem = text(&mistakes[0]["problem"]);
        assert!(problem.contains(why), "{problem}");
        let expected = text(&mistakes[0]["expected"]);
        assert!(expected.contains("from 0.01 to 10000"), "{expected}");
    }
}

#[test]
fn ignored_redis_parameter_is_reported_at_start() {
    for (variable, url, name, known) in [
        (
            "REDIS_URL",
            "redis://:hunter2@a/?db=2",
            "db",
            "protocol, tls_ca",
        ),
        (
            "REDIS_URL",
            "unix:///redis.sock?pass=hunter2&database=2",
            "database",
            "db, user, pass, protocol",
        ),
        (
            "GUESTLIST_SESSIONS_REDIS_URL",
            "rediss://:hunter2@a/?insecure=1",
            "insecure",
            "protocol, tls_ca",
        ),
    ] {
        let command_line = CommandLine::on_sqlite().with(variable, url);
        for line in ["work", "organization list"] {
            let ran = command_line.run(&format!("{line} --json")).ended(2);
            let mistakes = ran.object()["mistakes"].as_array().unwrap().clone();
            assert_eq!(mistakes.len(), 1, "{ran:?}");
            assert_eq!(text(&mistakes[0]["variable"]), variable);
            let expected = format!("unknown or repeated parameter {name:?}; known here: {known}");
            assert_eq!(text(&mistakes[0]["problem"]), expected);
            assert!(!ran.stdout.contains("hunter2"), "{ran:?}");
        }
    }
    for url in [
        "redis://a/2?protocol=resp3",
        "unix:///redis.sock?db=2&user=me&pass=x",
    ] {
        let command_line = CommandLine::on_sqlite().with("REDIS_URL", url);
        command_line.run("organization list").done();
    }
}

#[test]
fn doctor_shows_the_rate() {
    for (rate, shown) in [("14", true), ("0.5", true), ("none", false), ("", false)] {
        let command_line = CommandLine::on_sqlite().with("GUESTLIST_SMTP_RATE", rate);
        let ran = command_line.run("doctor").done();
        let expected = format!("at most {rate} letters a second over all workers");
        assert_eq!(ran.stdout.contains(&expected), shown, "{ran:?}");
    }
}
