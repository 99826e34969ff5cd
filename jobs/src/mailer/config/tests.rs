#![allow(clippy::unwrap_used)]
use super::*;

fn shown(text: &str) -> String {
    text.parse::<MailerConfig>().unwrap().to_string()
}

fn error(text: &str) -> MailerConfigError {
    text.parse::<MailerConfig>().unwrap_err()
}

#[test]
fn ports_and_tls_follow_from_scheme_and_credentials() {
    for (text, expected) in [
        (
            "smtp://mx.example",
            "smtp://mx.example:25?tls=opportunistic",
        ),
        (
            "smtp://mx.example/",
            "smtp://mx.example:25?tls=opportunistic",
        ),
        (
            "smtp://mx.example?tls=none",
            "smtp://mx.example:25?tls=none",
        ),
        (
            "smtp://mx.example?tls=required",
            "smtp://mx.example:587?tls=required",
        ),
        (
            "smtp://u:p@mx.example",
            "smtp://u:***@mx.example:587?tls=required",
        ),
        (
            "smtp://u:p@mx.example?tls=none",
            "smtp://u:***@mx.example:587?tls=none",
        ),
        (
            "smtp://mx.example:2525",
            "smtp://mx.example:2525?tls=opportunistic",
        ),
        (
            "smtp://127.0.0.1:2525",
            "smtp://127.0.0.1:2525?tls=opportunistic",
        ),
        ("smtp://[::1]:2525", "smtp://[::1]:2525?tls=opportunistic"),
        ("smtps://u:p@mx.example", "smtps://u:***@mx.example:465"),
        ("SMTPS://mx.example", "smtps://mx.example:465"),
        (
            "smtp://u@mx.example?auth=xoauth2&token_file=/run/token",
            "smtp://u@mx.example:587?tls=required&auth=xoauth2&token_file=/run/token",
        ),
        (
            "smtps://u@mx.example?auth=xoauth2&token_file=token",
            "smtps://u@mx.example:465?auth=xoauth2&token_file=token",
        ),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn a_folder_is_relative_or_absolute() {
    for (text, expected) in [
        ("file:letters", "file:letters"),
        ("file:./my letters", "file:./my letters"),
        ("file:/var/letters", "file:/var/letters"),
        ("file:///var/my%20letters", "file:/var/my letters"),
        ("FILE:letters", "file:letters"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
        let config: MailerConfig = text.parse().unwrap();
        let folder = config.folder().unwrap();
        assert_eq!(format!("file:{}", folder.display()), expected);
    }
    let server: MailerConfig = "smtp://mx.example".parse().unwrap();
    assert_eq!(server.folder(), None);
}

#[test]
fn each_mistake_has_its_own_answer() {
    use MailerConfigError as E;
    for (text, expected) in [
        (
            "mx.example",
            E::NotAUrl(url::ParseError::RelativeUrlWithoutBase),
        ),
        (
            "smtp://mx.example:99999",
            E::NotAUrl(url::ParseError::InvalidPort),
        ),
        ("http://mx.example", E::Scheme("http".into())),
        ("file:", E::NoFolder),
        ("file:///", E::NoFolder),
        ("file://mx.example/letters", E::RemoteFolder),
        ("smtp:mx.example", E::Path),
        ("smtp://", E::NoHost),
        ("smtp://-_.", E::Host("-_.".into())),
        ("smtp://mx.example:0", E::Port),
        ("smtp://u@mx.example", E::HalfCredentials),
        ("smtp://u:@mx.example", E::HalfCredentials),
        ("smtp://:p@mx.example", E::HalfCredentials),
        ("smtp://u:%ff@mx.example", E::Encoding),
        ("smtp://mx.example/inbox", E::Path),
        ("smtp://mx.example?tsl=none", E::Parameter("tsl".into())),
        (
            "smtp://mx.example?tls=none&tls=none",
            E::Parameter("tls".into()),
        ),
        ("smtp://mx.example?tls=maybe", E::Tls("maybe".into())),
        ("smtps://mx.example?tls=required", E::TlsTwice),
        (
            "smtp://u:p@mx.example?tls=opportunistic",
            E::CredentialsInClear,
        ),
        ("smtp://mx.example?tls_ca=ca.pem", E::RootsUnused),
        ("smtp://u:p@mx.example?auth=plain", E::Auth("plain".into())),
        ("smtp://u@mx.example?auth=xoauth2", E::Token),
        ("smtp://u@mx.example?auth=xoauth2&token_file=", E::Token),
        ("smtp://mx.example?auth=xoauth2&token_file=t", E::Token),
        ("smtp://u:p@mx.example?auth=xoauth2&token_file=t", E::Token),
        ("smtp://u@mx.example?token_file=t", E::Token),
        (
            "smtp://u@mx.example?tls=opportunistic&auth=xoauth2&token_file=t",
            E::CredentialsInClear,
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn roots_are_read_when_the_url_is_parsed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let missing = error("smtps://mx.example?tls_ca=no/such.pem");
    assert!(
        missing.to_string().starts_with("tls_ca no/such.pem: "),
        "{missing}"
    );
    let empty = error(&format!(
        "smtps://mx.example?tls_ca={}",
        file.path().display()
    ));
    assert!(
        empty.to_string().ends_with("contains no certificate"),
        "{empty}"
    );
}

#[test]
fn credentials_are_percent_decoded() {
    let config: MailerConfig = "smtp://me%40b.co:p%3A%2F%20+%25é@mx.example"
        .parse()
        .unwrap();
    let Transport::Smtp(server) = config.transport else {
        panic!("a server")
    };
    let expected = Credentials::new("me@b.co".into(), "p:/ +%é".into());
    let Some(Account::Password { credentials, .. }) = server.account else {
        panic!("an account")
    };
    assert!(credentials == expected);
}

#[test]
fn the_password_is_never_shown() {
    let config: MailerConfig = "smtps://me:hunter2@mx.example".parse().unwrap();
    for text in [
        config.to_string(),
        format!("{config:?}"),
        format!("{config:#?}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("me:***@mx.example"), "{text}");
    }
    for text in [
        "smtps://me:hunter2@mx.example:99999",
        "smtps://me:hunter2@mx.example/x",
        "smtps://me:hunter2@mx.example?tls=x",
        "smtps://me:hunter2@",
        "smtps://me:hunter2#@mx.example",
        "smtps://me:1/hunter2@mx.example",
        "smtps://me:1?hunter2@mx.example",
        "smtps://me:1?tls=hunter2@mx.example",
        "smtps:me:hunter2@mx.example",
    ] {
        let error = error(text);
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}
