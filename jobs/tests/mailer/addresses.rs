//! Every address that the library accepts can be written to a mail server as one command, and into
//! a header as it is.

use guestlist::EmailAddress;
use guestlist_jobs::mail::Mail;
use guestlist_testkit::smtp::Script;
use lettre::Address;
use lettre::transport::smtp::commands::Rcpt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::strategies::{foldable, typed};
use crate::strength::rounds;
use crate::{accepted, mail, mailer};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        max_global_rejects: cases * 200,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Checks addresses with lettre's parser, which is independent of ours. It accepts every ASCII
/// address. In others it takes code points for bytes of UTF-8, so they are not checked with it.
#[test]
fn every_address_is_one_smtp_command() {
    let check = |text: String| {
        let Ok(address) = text.parse::<EmailAddress>() else {
            return Ok(());
        };
        let written = address.as_str();
        let other = if written.is_ascii() {
            let parsed = written.parse::<Address>();
            prop_assert!(parsed.is_ok(), "{written:?}: {parsed:?}");
            parsed.unwrap()
        } else {
            Address::new_dangerous(address.local_part(), address.domain())
        };
        prop_assert_eq!(
            (other.user(), other.domain()),
            (address.local_part(), address.domain())
        );
        let command = Rcpt::new(other, Vec::new()).to_string();
        prop_assert_eq!(&command, &format!("RCPT TO:<{written}>\r\n"));
        let path = &command["RCPT TO:<".len()..command.len() - ">\r\n".len()];
        let hostile = |c: char| c.is_control() || c.is_whitespace() || "<>".contains(c);
        prop_assert!(!path.contains(hostile), "{command:?}");
        // In a header these would quote, group or separate (RFC 5322 section 3.2.3).
        let specials = |c: char| "()[],;:\\\"".contains(c);
        prop_assert!(!path.contains(specials), "{command:?}");
        // RFC 5321 section 4.5.3.1.4, CRLF included, with room for SMTPUTF8.
        prop_assert!(command.len() <= 512);
        Ok(())
    };
    runner(rounds(2_000, 100_000))
        .run(&prop_oneof![typed(), foldable()], check)
        .unwrap();
}

#[tokio::test]
async fn server_receives_every_address_unchanged() {
    let server = Script::default()
        .offers("SMTPUTF8")
        .offers("8BITMIME")
        .start()
        .await
        .unwrap();
    let mailer = mailer(&server);
    let mut runner = runner(1);
    let mut addresses: Vec<EmailAddress> = Vec::new();
    while addresses.len() < rounds(150, 5_000) as usize {
        let text = prop_oneof![typed(), foldable()]
            .new_tree(&mut runner)
            .unwrap()
            .current();
        addresses.extend(text.parse::<EmailAddress>());
    }
    for address in &addresses {
        let sent = mailer.send(mail_for(address)).await;
        assert!(accepted(&sent), "{address}: {sent:?}");
    }
    let seen = server.seen();
    assert_eq!(seen.letters.len(), addresses.len());
    let heard: Vec<&String> = seen
        .commands
        .iter()
        .filter(|command| command.starts_with("RCPT"))
        .collect();
    let expected: Vec<String> = addresses
        .iter()
        .map(|address| format!("RCPT TO:<{address}>"))
        .collect();
    assert_eq!(heard, expected.iter().collect::<Vec<_>>());
    let verbs = |verb| seen.heard(verb);
    let known = [
        "EHLO",
        "MAIL FROM:<team@example.org>",
        "RCPT TO:<",
        "DATA",
        "RSET",
        "NOOP",
        "QUIT",
    ]
    .map(verbs);
    assert_eq!(
        known.iter().sum::<usize>(),
        seen.commands.len(),
        "{:?}",
        seen.commands
    );
}

fn mail_for(address: &EmailAddress) -> Mail {
    let mut mail = mail();
    mail.to = address.clone();
    mail
}
