use guestlist_jobs::mailer::{EhloName, Mailer, MailerConfig};
use guestlist_testkit::smtp::{Certificate, Script, SmtpServer};

use crate::{accepted, mail, settings};

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
