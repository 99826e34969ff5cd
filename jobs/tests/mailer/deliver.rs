use std::time::Duration;

use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{BreakerState, MailerSettings, Verdict};
use guestlist_testkit::free_port;
use guestlist_testkit::smtp::{Script, SmtpServer, Stage};

use crate::{accepted, clear, mail, mail_to, mailer, mailer_with, settings};

#[tokio::test]
async fn letter_arrives_unchanged() {
    let server = Script::default().start().await.unwrap();
    let verdict = mailer(&server).send(mail()).await;
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert_eq!(verdict.detail.text, "250 2.0.0 Ok: queued as 1");
    let seen = server.seen();
    assert_eq!(seen.texts(), [String::from_utf8(mail().bytes).unwrap()]);
    assert_eq!(
        seen.commands[1..],
        [
            "MAIL FROM:<team@example.org> SIZE=37",
            "RCPT TO:<bob@example.com>",
            "DATA"
        ]
    );
}

/// The verdict on a lone letter, by the server's reply and the stage.
#[tokio::test]
async fn each_reply_is_attributed_to_server_sender_or_recipient() {
    for (stage, reply, expected) in [
        (Stage::Mail, "421 4.7.0 closing", "server_fault"),
        (Stage::Mail, "530 5.7.0 sign in first", "sender_refused"),
        (Stage::Mail, "451 4.3.0 queue unwritable", "server_fault"),
        (Stage::Rcpt, "450 4.2.0 greylisted", "deferred"),
        (Stage::Rcpt, "451 4.7.1 greylisted", "deferred"),
        (Stage::Rcpt, "452 4.2.2 mailbox full", "deferred"),
        (Stage::Rcpt, "550 5.1.1 no such user", "provisional"),
        (Stage::Rcpt, "553 what a name", "provisional"),
        (Stage::Rcpt, "550 5.7.1 relay denied", "provisional"),
        (Stage::Rcpt, "452 4.3.1 disk full", "server_fault"),
        (Stage::End, "552 too big", "provisional"),
        (Stage::End, "554 5.6.0 malformed", "provisional"),
        (Stage::End, "451 4.3.0 try later", "server_fault"),
        (
            Stage::End,
            "454 4.7.0 Throttling failure: Maximum sending rate exceeded.",
            "throttled",
        ),
        (Stage::End, "550 5.7.1 spam", "provisional"),
        (Stage::End, "251 forwarded", "unknown"),
        (Stage::Data, "250 fine", "server_fault"),
    ] {
        for script in crate::with_and_without_pipelining() {
            let server = script.on(stage, reply).start().await.unwrap();
            let verdict = mailer(&server).send(mail()).await;
            assert_eq!(label(&verdict), expected, "{reply} to {stage}: {verdict:?}");
            assert!(verdict.detail.text.contains(reply), "{verdict:?}");
        }
    }
}

fn label(verdict: &Verdict) -> &'static str {
    verdict.class.label()
}

#[tokio::test]
async fn refused_connection_pauses_the_mailer() {
    let url = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let mailer = mailer_with(&url, 1, MailerSettings::default());
    for _ in 0..2 {
        let verdict = mailer.send(mail()).await;
        assert_eq!(label(&verdict), "not_tried");
        assert!(!verdict.retry_after.is_zero(), "{verdict:?}");
        assert!(
            verdict.detail.text.contains("no connection to"),
            "{verdict:?}"
        );
    }
}

#[tokio::test]
async fn while_the_server_is_down_a_connection_is_tried_and_no_letter() {
    let server = Script::default()
        .on(Stage::Connect, "421 busy")
        .on(Stage::Connect, "421 busy")
        .start()
        .await
        .unwrap();
    let mut settings = settings();
    settings.back_off = BackOff::new(Duration::from_millis(50), Duration::from_millis(100));
    let mailer = mailer_with(&clear(&server), 4, settings);
    // A letter waits for seconds before it goes back.
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.letters.len()), (3, 1));
    assert_eq!(mailer.state(), BreakerState::Closed);
}

#[tokio::test]
async fn letters_go_back_while_the_server_refuses_the_sender() {
    let refused = "550 5.7.1 sender not allowed";
    let server = Script::default()
        .on(Stage::Mail, refused)
        .start()
        .await
        .unwrap();
    let mailer = mailer_with(&clear(&server), 1, MailerSettings::default());
    let verdicts = futures::future::join_all((0..10).map(|_| mailer.send(mail()))).await;
    let labels: Vec<_> = verdicts.iter().map(label).collect();
    assert_eq!(labels[0], "sender_refused");
    assert!(
        labels[1..].iter().all(|label| *label == "not_tried"),
        "{labels:?}"
    );
    assert_eq!(server.seen().connections, 1);
    let problem = mailer.paused().expect("a person has to act");
    assert!(problem.contains("sender not allowed; check"), "{problem}");
}

#[tokio::test]
async fn utf8_local_part_needs_smtputf8_and_delays_no_other() {
    let server = Script::default().offers("8BITMIME").start().await.unwrap();
    let mailer = mailer(&server);
    let verdict = mailer.send(mail_to("jürgen@example.com")).await;
    assert_eq!(label(&verdict), "provisional");
    assert!(!verdict.detail.says_mailbox_is_missing);
    let why = verdict.detail.text;
    assert!(why.contains("SMTPUTF8"), "{why}");
    assert_eq!(mailer.state(), BreakerState::Closed);
    // The next letter may meet another host of the same name.
    assert!(accepted(&mailer.send(mail()).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.heard("MAIL")), (2, 1));
    assert_eq!(seen.heard("QUIT"), 1);
}

/// Headers with a sender in UTF-8, as written with a display name, without one and folded.
const UTF8_SENDERS: [&str; 5] = [
    "From: jürgen@example.org",
    "from: \"Acme\" <jürgen@example.org>",
    "From: =?utf-8?b?SsO8cmdlbg==?=\r\n <jürgen@example.org>",
    "Subject: Hello\r\nReply-To: jürgen@example.org",
    "Sender: jürgen@example.org\r\nFrom: team@example.org",
];

#[tokio::test]
async fn utf8_sender_in_a_header_needs_smtputf8() {
    for header in UTF8_SENDERS {
        let mut mail = mail();
        mail.bytes = format!("{header}\r\nTo: bob@example.com\r\n\r\nHello\r\n").into();
        let server = Script::default().offers("8BITMIME").offers("SMTPUTF8");
        let server = server.start().await.unwrap();
        assert!(accepted(&mailer(&server).send(mail.clone()).await));
        let expected = "MAIL FROM:<team@example.org> SMTPUTF8 BODY=8BITMIME";
        assert_eq!(server.seen().heard(expected), 1, "{:?}", server.seen());

        let server = Script::default().offers("8BITMIME").start().await.unwrap();
        let mailer = mailer_with(&clear(&server), 1, MailerSettings::default());
        let verdict = mailer.send(mail).await;
        assert_eq!(label(&verdict), "sender_refused", "{verdict:?}");
        let problem = mailer.paused().expect("a person has to act");
        assert!(problem.contains("GUESTLIST_FROM"), "{problem}");
        assert_eq!(server.seen().heard("MAIL"), 0);
    }
}

#[tokio::test]
async fn utf8_elsewhere_needs_no_smtputf8() {
    for text in [
        "From: team@example.org\r\nSubject: Hello\r\n\r\nFrom: jürgen@example.org\r\n",
        "From: team@example.org\r\nX-From: jürgen\r\n\r\nHello\r\n",
    ] {
        let mut mail = mail();
        mail.bytes = text.into();
        let server = Script::default().offers("8BITMIME").start().await.unwrap();
        assert!(accepted(&mailer(&server).send(mail).await), "{text}");
    }
}

#[tokio::test]
async fn utf8_sender_without_smtputf8_fails_no_recipient() {
    let server = Script::default().offers("8BITMIME").start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 1, MailerSettings::default());
    let mut mail = mail();
    mail.from = "jürgen@example.org".parse().unwrap();
    assert_eq!(label(&mailer.send(mail).await), "sender_refused");
    let problem = mailer.paused().expect("a person has to act");
    assert!(problem.contains("GUESTLIST_FROM"), "{problem}");
}

#[tokio::test]
async fn smtputf8_and_8bitmime_are_used_if_offered() {
    let server = Script::default()
        .offers("8BITMIME")
        .offers("smtputf8")
        .start()
        .await
        .unwrap();
    let mut mail = mail_to("jürgen@example.com");
    mail.bytes = "Subject: Grüße\r\n\r\nhallo\r\n".into();
    assert!(accepted(&mailer(&server).send(mail).await));
    let seen = server.seen();
    assert_eq!(
        seen.heard("MAIL FROM:<team@example.org> SMTPUTF8 BODY=8BITMIME"),
        1,
        "{seen:?}"
    );
    assert_eq!(seen.heard("RCPT TO:<jürgen@example.com>"), 1);
}

#[tokio::test]
async fn eight_bit_text_waits_for_a_server_that_takes_it() {
    for (offer, text) in [
        ("SIZE", "Grüße\r\n"),
        ("SIZE", "Subject: Hello\r\n\r\nGrüße\r\n"),
        ("SMTPUTF8", "Subject: Grüße\r\n\r\nhello\r\n"),
        ("SMTPUTF8", "From: jürgen@example.org\r\n\r\nGrüße\r\n"),
    ] {
        let server = Script::default().offers(offer).start().await.unwrap();
        let mut mail = mail();
        mail.bytes = text.into();
        let mailer = mailer(&server);
        let verdict = mailer.send(mail).await;
        assert_eq!(label(&verdict), "provisional", "{text}: {verdict:?}");
        assert!(verdict.detail.text.contains("8BITMIME"), "{verdict:?}");
        assert_eq!(server.seen().heard("MAIL"), 0);
        assert_eq!(mailer.state(), BreakerState::Closed);
    }
}

#[tokio::test]
async fn utf8_in_headers_alone_needs_no_8bitmime() {
    for (to, header) in [
        ("jürgen@example.com", "To: jürgen@example.com"),
        ("bob@example.com", "Reply-To: jürgen@example.org"),
    ] {
        let server = Script::default().offers("SMTPUTF8").start().await.unwrap();
        let mut mail = mail_to(to);
        mail.bytes = format!("{header}\r\n\r\nhello\r\n").into();
        let size = mail.bytes.len();
        let verdict = mailer(&server).send(mail).await;
        assert!(accepted(&verdict), "{verdict:?}");
        let seen = server.seen();
        let size = format!("MAIL FROM:<team@example.org> SMTPUTF8 SIZE={}", size);
        assert_eq!(seen.commands[1], size);
    }
}

#[tokio::test]
async fn reply_is_shown_without_the_recipients_address() {
    let reply = "550 5.1.1 <bob@example.com>: unknown";
    let server = Script::default()
        .on(Stage::Rcpt, reply)
        .start()
        .await
        .unwrap();
    let verdict = mailer(&server).send(mail()).await;
    assert_eq!(label(&verdict), "provisional");
    let why = verdict.detail.text;
    assert_eq!(why, "550 5.1.1 <b…@example.com>: unknown");
}

#[tokio::test]
async fn check_sends_no_letter() {
    let server = Script::default().offers("SMTPUTF8").start().await.unwrap();
    let report = mailer(&server).check().await.unwrap();
    let seen = server.until(|seen| seen.closed == 1).await;
    assert_eq!((seen.heard("QUIT"), seen.heard("MAIL")), (1, 0));
    let name = seen.commands[0].strip_prefix("EHLO ").unwrap();
    let expected = format!(
        "127.0.0.1:{} (test): not encrypted, not signed in, SMTPUTF8; our name in EHLO: {name}",
        server.port()
    );
    assert_eq!(report.to_string(), expected);
}

async fn check_sender(server: &SmtpServer) -> Result<String, String> {
    let (envelope, address) = ("bounces@example.org", "team@example.org");
    let mailer = mailer(server);
    let (envelope, address) = (envelope.parse().unwrap(), address.parse().unwrap());
    let checked = mailer.check_sender(&envelope, &address).await;
    checked
        .map(|report| report.to_string())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn check_of_a_sender_sends_no_letter() {
    let server = Script::default().start().await.unwrap();
    check_sender(&server).await.unwrap();
    let seen = server.until(|seen| seen.closed == 1).await;
    let expected = [
        "MAIL FROM:<bounces@example.org>",
        "RCPT TO:<team@example.org>",
        "RSET",
        "QUIT",
    ];
    assert_eq!(seen.commands[1..], expected);
}

#[tokio::test]
async fn check_tells_what_a_server_refuses_only_at_rcpt() {
    for (stage, reply, expected) in [
        (
            Stage::Rcpt,
            "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
            Err("GUESTLIST_EHLO_NAME"),
        ),
        (
            Stage::Mail,
            "550 5.7.1 sender not allowed",
            Err("sender address"),
        ),
        (
            Stage::Rcpt,
            "553 5.7.1 Sender address rejected: not owned by user",
            Err("not owned"),
        ),
        (
            Stage::Rcpt,
            "554 5.7.1 Client host rejected: Access denied",
            Err("Client host"),
        ),
        (
            Stage::Rcpt,
            "554 5.7.1 <team@example.org>: Relay access denied",
            Err("relay"),
        ),
        (Stage::Rcpt, "454 4.7.1 Relay access denied", Err("Relay")),
        (
            Stage::Rcpt,
            "451 4.3.0 Temporary local problem",
            Err("local problem"),
        ),
        (Stage::Rcpt, "421 4.3.2 closing", Err("closing")),
        (Stage::Rcpt, "550 5.1.1 no such user", Ok(())),
        (Stage::Rcpt, "450 4.2.0 greylisted", Ok(())),
        (Stage::Rcpt, "452 4.2.2 mailbox full", Ok(())),
    ] {
        let server = Script::default()
            .always(stage, reply)
            .start()
            .await
            .unwrap();
        match (check_sender(&server).await, expected) {
            (Ok(_), Ok(())) => {}
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{reply}: {why}"),
            (checked, _) => panic!("{reply}: {checked:?}"),
        }
    }
}

#[tokio::test]
async fn names_of_servers_are_shown_without_controls() {
    let reply = "250 mx\u{1b}[2J\u{202e}evil\u{7} hello";
    let server = Script::default().always(Stage::Ehlo, reply);
    let server = server.start().await.unwrap();
    let report = mailer(&server).check().await.unwrap().to_string();
    assert!(report.contains("(mx?[2J?evil?)"), "{report}");
}

#[tokio::test]
async fn sixteen_senders_work_at_once() {
    let server = Script::default().start().await.unwrap();
    let mailer = mailer_with(&clear(&server), 16, settings());
    let verdicts = futures::future::join_all((0..500).map(|_| mailer.send(mail()))).await;
    assert!(verdicts.iter().all(accepted));
    let seen = server.seen();
    assert_eq!(seen.letters.len(), 500);
    assert!(seen.connections <= 16, "{}", seen.connections);
}
