use guestlist_jobs::mailer::{EhloName, Mailer, MailerConfig, MailerSettings};
use guestlist_testkit::smtp::{Certificate, Script, SmtpServer, Stage};

use crate::{accepted, mail, mail_to, mailer, mailer_with, settings};

/// The names that the server was given in EHLO.
fn names(server: &SmtpServer) -> Vec<String> {
    let seen = server.seen();
    let commands = seen.commands.iter();
    commands
        .filter_map(|command| command.strip_prefix("EHLO "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn host_introduces_itself_by_a_qualified_name_or_address() {
    let server = SmtpServer::start().await.unwrap();
    let mailer = Mailer::new(server.url().parse().unwrap(), settings());
    assert!(accepted(&mailer.send(mail()).await));
    let names = names(&server);
    assert_eq!(names.len(), 1);
    names[0].parse::<EhloName>().unwrap();
}

#[tokio::test]
async fn configured_name_is_given_before_and_after_starttls() {
    let certificate = Certificate::generate().unwrap();
    let server = Script::default().start_tls(&certificate);
    let server = server.start().await.unwrap();
    let config: MailerConfig = format!("smtp://127.0.0.1:{}", server.port())
        .parse()
        .unwrap();
    let config = config.with_ehlo_name("worker.acme.example".parse().unwrap());
    let mailer = Mailer::new(config, settings());
    assert!(accepted(&mailer.send(mail()).await));
    assert_eq!(names(&server), ["worker.acme.example"; 2]);
}

#[tokio::test]
async fn helo_follows_where_ehlo_is_unknown() {
    for reply in [
        "500 5.5.1 Command unrecognized: \"EHLO\"",
        "502 5.5.1 Error: command not implemented",
        "501 Command not implemented",
        "504 command parameter not implemented",
    ] {
        let script = Script::default().offers("PIPELINING");
        let server = script.always(Stage::Ehlo, reply).start().await.unwrap();
        let mailer = mailer(&server);
        assert!(accepted(&mailer.send(mail()).await), "{reply}");
        assert!(accepted(&mailer.send(mail()).await), "{reply}");
        let seen = server.seen();
        let heard = ["EHLO", "HELO", "RCPT"].map(|verb| seen.heard(verb));
        assert_eq!(heard, [1, 1, 2], "{reply}: {:?}", seen.commands);
    }
}

#[tokio::test]
async fn refused_name_is_not_tried_with_helo() {
    for reply in [
        "504 5.5.2 <worker>: Helo command rejected: need fully-qualified hostname",
        "501 5.5.4 Syntactically invalid EHLO argument(s)",
        "550 5.7.1 Access denied",
        "421 4.3.2 Service not available",
    ] {
        let server = Script::default().always(Stage::Ehlo, reply);
        let server = server.start().await.unwrap();
        let why = mailer(&server).check().await.unwrap_err().to_string();
        let (_, words) = reply.split_once(' ').unwrap();
        assert!(why.contains(words), "{why}");
        assert_eq!(server.seen().heard("HELO"), 0, "{reply}");
    }
}

#[tokio::test]
async fn refused_name_is_told_with_its_setting() {
    let reply = "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname";
    for stage in [Stage::Ehlo, Stage::Rcpt] {
        let server = Script::default().always(stage, reply);
        let server = server.start().await.unwrap();
        let mailer = mailer_with(&server.url(), 1, MailerSettings::default());
        for domain in ["a.example", "b.example", "c.example"] {
            mailer.send(mail_to(&format!("bob@{domain}"))).await;
        }
        let why = mailer.paused().expect("a person has to act");
        assert!(why.contains("GUESTLIST_EHLO_NAME"), "{why}");
    }
}

#[tokio::test]
async fn credentials_need_ehlo() {
    let server = Script::default()
        .offers("AUTH PLAIN")
        .always(Stage::Ehlo, "502 5.5.1 not implemented")
        .start()
        .await
        .unwrap();
    for tls in ["none", "required"] {
        let port = server.port();
        let url = format!("smtp://me:secret@127.0.0.1:{port}?tls={tls}");
        let mailer = mailer_with(&url, 1, settings());
        let why = mailer.check().await.unwrap_err().to_string();
        assert!(why.contains("only HELO"), "{why}");
        assert!(why.contains("SMTP_URL cannot be used"), "{why}");
    }
    let seen = server.seen();
    assert_eq!((seen.heard("AUTH"), seen.heard("MAIL")), (0, 0));
}
