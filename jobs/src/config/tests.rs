#![allow(clippy::unwrap_used)]

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(&|name| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| OsString::from(value))
    })
}

fn mistaken(variables: &[(&str, &str)]) -> Vec<String> {
    read(variables)
        .unwrap_err()
        .mistakes()
        .iter()
        .map(|mistake| mistake.variable.clone())
        .collect()
}

#[test]
fn an_empty_environment_is_the_embedded_default() {
    let config = read(&[]).unwrap();
    assert_eq!(config.database_url, "sqlite:guestlist.db");
    assert_eq!(config.mailer.to_string(), "file:letters");
    assert_eq!(config.from.to_string(), "Guestlist <guestlist@example.com>");
    assert!(matches!(&config.keys, Keys::Beside(file) if file.ends_with("guestlist.db.keys")));
    assert_eq!((config.ttl, config.reminder), (7 * DAY, Some(2 * DAY)));
    assert_eq!(config.retention, Some(400 * DAY));
    assert_eq!(config.attempt_log, AttemptLog::All(30 * DAY));
    assert_eq!((config.concurrency, config.drain), (16, 25 * SECOND));
    assert_eq!(config.letters_per_connection, 100);
    assert_eq!((config.redis_url, config.sessions), (None, vec![]));
}

#[test]
fn a_variable_that_is_empty_counts_as_unset() {
    let empty: Vec<_> = variables::ALL
        .iter()
        .map(|variable| (variable.name, " "))
        .collect();
    assert_eq!(
        format!("{:?}", read(&empty).unwrap()),
        format!("{:?}", read(&[]).unwrap())
    );
}

#[test]
fn sessions_are_in_redis_where_there_is_one() {
    let config = read(&[("REDIS_URL", "redis://localhost/1")]).unwrap();
    let redis = |url: &str| SessionStoreConfig::Redis {
        url: url.parse().unwrap(),
        pattern: crate::sessions::KeyPattern::default(),
    };
    assert_eq!(config.sessions, [redis("redis://localhost/1")]);
    let config = read(&[
        ("REDIS_URL", "redis://localhost/1"),
        ("GUESTLIST_SESSIONS_REDIS_URL", "redis://other"),
    ]);
    assert_eq!(config.unwrap().sessions, [redis("redis://other")]);
    let config = read(&[
        ("REDIS_URL", "redis://localhost/1"),
        ("GUESTLIST_SESSIONS", "none"),
    ])
    .unwrap();
    assert_eq!(config.sessions, []);
}

#[test]
fn a_reminder_never_comes_with_the_letter_itself() {
    assert_eq!(read(&[("GUESTLIST_TTL", "2d")]).unwrap().reminder, None);
    assert_eq!(
        read(&[("GUESTLIST_REMINDER", "off")]).unwrap().reminder,
        None
    );
    assert_eq!(
        mistaken(&[("GUESTLIST_TTL", "1h"), ("GUESTLIST_REMINDER", "1h")]),
        ["GUESTLIST_REMINDER"]
    );
}

#[test]
fn attempts_are_kept_for_a_time_or_only_failures_or_none() {
    for (text, expected) in [
        ("7d", AttemptLog::All(7 * DAY)),
        ("failures", AttemptLog::Failures),
        ("off", AttemptLog::Off),
    ] {
        let config = read(&[("GUESTLIST_ATTEMPTS", text)]).unwrap();
        assert_eq!(config.attempt_log, expected, "{text}");
    }
    assert_eq!(
        mistaken(&[("GUESTLIST_ATTEMPTS", "1h")]),
        ["GUESTLIST_ATTEMPTS"]
    );
}

#[test]
fn every_mistake_is_reported_with_its_variable() {
    let wrong = [
        ("DATABASE_URL", "mysql://a/b"),
        ("REDIS_URL", "http://localhost"),
        ("SMTP_URL", "mail.example.com"),
        ("GUESTLIST_EHLO_NAME", "worker"),
        ("GUESTLIST_SMTP_RATE", "0"),
        ("GUESTLIST_FROM", "nobody"),
        ("GUESTLIST_ENVELOPE_FROM", "bounces+{letter}"),
        ("GUESTLIST_REPLY_TO", "nobody"),
        ("GUESTLIST_HEADERS", "X-Stream"),
        ("GUESTLIST_LINK", "https://app.example/join"),
        ("GUESTLIST_KEYS", "k1:c2hvcnQ="),
        ("GUESTLIST_AUDIENCE", &"x".repeat(256)),
        ("GUESTLIST_TTL", "0s"),
        ("GUESTLIST_REMINDER", "soon"),
        ("GUESTLIST_ROLES", "/nowhere/roles.toml"),
        ("GUESTLIST_TEMPLATES", "/nowhere/templates"),
        ("GUESTLIST_LIMITS", "few"),
        ("GUESTLIST_SEATS", "plenty"),
        ("GUESTLIST_SESSIONS", "memcached"),
        ("GUESTLIST_SESSIONS_REDIS_URL", "redis+sentinel://a:26379"),
        ("GUESTLIST_CONCURRENCY", "0"),
        ("GUESTLIST_LETTERS_PER_CONNECTION", "0"),
        ("GUESTLIST_DRAIN", "2h"),
        ("GUESTLIST_RETENTION", "1s"),
        ("GUESTLIST_ATTEMPTS", "successes"),
        ("GUESTLIST_LOG", "xml"),
    ];
    let names: Vec<_> = variables::ALL
        .iter()
        .map(|variable| variable.name)
        .collect();
    assert_eq!(
        mistaken(&wrong),
        names,
        "one mistake for each variable, in the table's order"
    );
    for line in read(&wrong).unwrap_err().mistakes() {
        let line = line.to_string();
        assert_eq!(line.matches("; expected ").count(), 1, "{line}");
        assert!(!line.contains('\n'), "{line}");
        let (problem, expected) = line.split_once("; expected ").unwrap();
        assert!(!problem.contains(expected), "the hint is doubled: {line}");
    }
}

#[test]
fn the_part_that_is_wrong_is_named_and_durations_are_written_out() {
    let problem = |variables: &[(&str, &str)]| {
        let error = read(variables).unwrap_err();
        error.mistakes()[0].problem.clone()
    };
    assert_eq!(
        problem(&[("GUESTLIST_LIMITS", "actor=5/1d,acter=5/1d")]),
        "\"acter=5/1d\" is not a limit"
    );
    assert_eq!(
        problem(&[("GUESTLIST_LIMITS", "none,resend=1m")]),
        "\"none,resend=1m\" is not a limit"
    );
    assert_eq!(
        problem(&[("GUESTLIST_REMINDER", "8d 1h"), ("GUESTLIST_TTL", "1d")]),
        "8 days 1h is not shorter than GUESTLIST_TTL, 1 day"
    );
}

#[test]
fn a_value_out_of_its_range_is_a_mistake() {
    for (name, value) in [
        ("GUESTLIST_TTL", "367d"),
        ("GUESTLIST_TTL", "a week"),
        ("GUESTLIST_CONCURRENCY", "1001"),
        ("GUESTLIST_CONCURRENCY", "-1"),
        ("GUESTLIST_LETTERS_PER_CONNECTION", "10001"),
        ("GUESTLIST_DRAIN", "0s"),
        ("GUESTLIST_SESSIONS", "redis"),
        ("SMTP_URL", "file:"),
        ("GUESTLIST_SMTP_RATE", "-1"),
        ("GUESTLIST_SMTP_RATE", "1e9"),
        ("GUESTLIST_SMTP_RATE", "off"),
        ("GUESTLIST_REPLY_TO", "bücher@acme.example"),
        ("GUESTLIST_HEADERS", "X-Stream: a\r\nBcc: b@c.de"),
    ] {
        assert_eq!(mistaken(&[(name, value)]), [name], "{value}");
    }
}

#[test]
fn sentinels_and_clusters_are_places_of_redis_and_their_passwords_are_not_printed() {
    let sentinel = "redis+sentinel://:hunter2@a,b:7/main/2?sentinel_password=hunter2";
    let cluster = "redis+cluster://me:hunter2@a:1,b:2";
    let config = read(&[
        ("REDIS_URL", sentinel),
        ("GUESTLIST_SESSIONS_REDIS_URL", cluster),
    ])
    .unwrap();
    assert_eq!(
        config.redis_url.as_ref().map(RedisUrl::expose),
        Some(sentinel)
    );
    let printed = format!("{config:?}");
    assert!(printed.contains("main of the sentinels a:26379, b:7"));
    assert!(printed.contains("the cluster a:1, b:2"));
    assert!(!printed.contains("hunter2"), "{printed}");

    let wrong = read(&[
        ("REDIS_URL", "redis+sentinel://:hunter2@a:seven/main"),
        (
            "GUESTLIST_SESSIONS_REDIS_URL",
            "redis+cluster://:hunter2@a,b/1",
        ),
    ]);
    let told = wrong.unwrap_err().to_string();
    assert!(
        told.contains("REDIS_URL: host number 1 is not a valid host:port"),
        "{told}"
    );
    assert!(told.contains("a cluster has only database 0"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn no_secret_is_printed() {
    let secret = guestlist::Key::generate().expose();
    let config = read(&[
        ("DATABASE_URL", "postgres://me:hunter2@db.example/app"),
        ("REDIS_URL", "redis://:hunter2@localhost"),
        ("SMTP_URL", "smtp://me:hunter2@mail.example"),
        ("GUESTLIST_KEYS", &secret),
    ]);
    let printed = format!("{:?}", config.unwrap());
    assert!(
        !printed.contains("hunter2") && !printed.contains(secret.split_once(':').unwrap().1),
        "{printed}"
    );
    let wrong = read(&[
        ("DATABASE_URL", "postgres://me:hunter2@db.example:port/app"),
        ("REDIS_URL", "redis://:hunter2@localhost:port"),
        ("SMTP_URL", "smpt://me:hunter2@mail.example"),
        ("GUESTLIST_KEYS", "hunter2"),
    ]);
    let printed = wrong.unwrap_err().to_string();
    assert_eq!(printed.lines().count(), 5);
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn postgres_without_keys_has_none() {
    let config = read(&[("DATABASE_URL", "postgres://localhost/app")]).unwrap();
    assert!(matches!(config.keys.load(), Err(KeysError::Absent)));
}
