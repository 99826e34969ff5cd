#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::documented::{Row, reply, rows, undecided};
use super::rule::Codes;
use super::*;

const STAGES: [Stage; 13] = [
    Stage::Connect,
    Stage::Tls,
    Stage::Greeting,
    Stage::Hello,
    Stage::StartTls,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Block,
    Stage::End,
    Stage::Reset,
    Stage::Quit,
];

fn prior(stage: Stage, text: &str) -> Prior {
    classify(stage, &reply(text)).unwrap()
}

fn name(class: ReplyClass) -> &'static str {
    match class {
        ReplyClass::MailboxMissing | ReplyClass::Recipient => "recipient-final",
        ReplyClass::RecipientLater => "recipient-later",
        ReplyClass::Letter => "letter",
        ReplyClass::Sender => "sender",
        ReplyClass::ServerLater => "server-later",
        ReplyClass::Consequence => "consequence",
    }
}

#[test]
fn documented_replies_are_classified_except_undecided_ones() {
    let (mut missed, mut wrong) = (BTreeSet::new(), Vec::new());
    let rows = rows();
    for row in &rows {
        let prior = prior(row.stage, row.text);
        let is_right = (name(prior.class), name(prior.everybody)) == (row.one, row.everybody);
        if is_right && row.is_decided {
            continue;
        }
        if !row.is_decided && !is_right {
            missed.insert(row.text);
            continue;
        }
        let (stage, text) = (row.stage, row.text);
        wrong.push(format!(
            "{stage:?} {text}: {prior:?}, not {} and {}",
            row.one, row.everybody
        ));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    assert!(undecided().values().all(|reason| !reason.is_empty()));
    let listed = undecided().into_keys().collect::<BTreeSet<_>>();
    let known: BTreeSet<_> = rows.iter().map(|row| row.text).collect();
    assert!(missed.is_subset(&listed) && listed.is_subset(&known));
}

#[test]
fn only_replies_about_missing_mailboxes_suppress() {
    let rows = rows();
    let differs = |row: &&Row| prior(row.stage, row.text).may_suppress != row.may_suppress;
    let wrong: Vec<_> = rows.iter().filter(differs).map(|row| row.text).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Replies about the sender, the server's contract or the letter, in words that missing mailboxes have too.
#[test]
fn words_about_something_else_suppress_nothing() {
    for text in [
        "550 5.1.0 Return path does not exist",
        "550 5.7.1 Bounce address does not exist",
        "550 Your hostname does not exist",
        "550 The host name you gave could not be found",
        "550 5.3.5 Antivirus licence is no longer valid",
        "554 5.7.1 This gateway is deactivated for your plan",
        "550 Service no longer available on your plan",
        "550 Account inactive, renew your subscription",
        "550 5.7.1 Refused; see http://x.example/no-such-user/user-unknown#mailbox-not-found",
        "550 Certificate does not exist",
        "550 5.1.8 The domain of your Message-ID does not exist",
    ] {
        assert!(!prior(Stage::Rcpt, text).may_suppress, "{text}");
    }
    for text in [
        "550 5.7.1 Reply-To domain does not exist",
        "554 5.6.0 Message-ID domain does not exist",
        "550 5.7.0 Link target could not be found in our safe catalogue",
        "550 Rejected, subject \"Join No such user Ltd\" is on our list",
        "550 Rejected: Join No such user Ltd",
        "550 5.1.1 Join Mailbox not found Ltd",
        "550 5.1.1 user unknown",
    ] {
        assert!(!prior(Stage::End, text).may_suppress, "{text}");
    }
}

#[test]
fn every_rule_is_hit_and_has_a_source() {
    let hit: BTreeSet<_> = rows()
        .iter()
        .map(|row| prior(row.stage, row.text).rule)
        .collect();
    let mut names = BTreeSet::new();
    for rule in RULES {
        assert!(hit.contains(rule.name), "no reply for {}", rule.name);
        assert!(!rule.source.is_empty(), "no source for {}", rule.name);
        assert!(names.insert(rule.name), "{} stands twice", rule.name);
    }
}

#[test]
fn rules_that_suppress_are_permanent_and_vetoed() {
    for rule in RULES {
        if rule.class != ReplyClass::MailboxMissing {
            continue;
        }
        assert!(matches!(rule.codes, Codes::Permanent), "{}", rule.name);
        assert!(rule.unless.contains(&phrases::VETO), "{}", rule.name);
        assert!(!rule.words.is_empty(), "{}", rule.name);
        for stage in rule.stages {
            assert!(matches!(stage, Stage::Rcpt | Stage::Block | Stage::End));
        }
    }
}

/// Punctuation is removed from texts, so a phrase with a hyphen or a capital would match nothing.
#[test]
fn phrases_are_written_as_texts_are_matched() {
    let lists = RULES
        .iter()
        .flat_map(|rule| rule.words.iter().chain(rule.unless));
    for phrase in lists.flat_map(|list| list.iter()) {
        let plain = |c: char| {
            c.is_lowercase() || c.is_numeric() || matches!(c, ' ' | '*' | '@' | '.' | '\'')
        };
        assert!(phrase.chars().all(plain), "{phrase}");
        assert!(!format!(" {phrase}").contains(" e mail"), "{phrase}");
    }
}

#[test]
fn positive_replies_have_no_class() {
    for row in rows() {
        for code in ["220", "250", "251", "354"] {
            let text = format!("{code}{}", &row.text[3..]);
            let reply = Reply {
                code: code.parse().unwrap(),
                ..reply(&text)
            };
            assert_eq!(classify(row.stage, &reply), None);
        }
    }
}

#[test]
fn only_known_words_are_surely_of_the_recipient() {
    for text in [
        "451 4.7.1 greylisted, come back later",
        "452 4.2.2 mailbox full",
        "450 4.2.1 the user you are trying to contact is receiving mail at a rate that prevents it",
    ] {
        assert!(prior(Stage::Rcpt, text).is_surely_of_recipient, "{text}");
    }
    for text in [
        "451 Temporary local problem",
        "454 4.7.1 Relay access denied",
        "450 4.7.1 come again",
        "451 4.3.0 try again",
    ] {
        assert!(!prior(Stage::Rcpt, text).is_surely_of_recipient, "{text}");
    }
}

#[test]
fn an_address_does_not_steer_the_class() {
    for row in rows() {
        let steered = row
            .text
            .replace("user@", "user-unknown.no-such-user.mailbox-disabled@")
            .replace("noreply@", "over-quota.spamhaus.relay@");
        assert_eq!(
            prior(row.stage, &steered),
            prior(row.stage, row.text),
            "{steered}"
        );
    }
}

#[test]
fn throttling_slows_down() {
    for (stage, text) in [
        (
            Stage::End,
            "454 Throttling failure: Maximum sending rate exceeded.",
        ),
        (
            Stage::Rcpt,
            "451 4.7.500 Server busy. Please try again later from [192.0.2.1].",
        ),
        (Stage::Mail, "450 4.7.1 Error: too much mail from 192.0.2.1"),
        (
            Stage::Greeting,
            "421 Rate limit reached. Please try again later",
        ),
        (Stage::End, "451 4.7.1 Ratelimit \"to_ip_from\" exceeded"),
        (
            Stage::End,
            "550 Ip frequency limited [V2VkIEFwciAgMyAx Blocked IP 192.0.2.1].",
        ),
        (
            Stage::Data,
            "550 5.7.0 Requested action not taken: too many emails",
        ),
        (
            Stage::Mail,
            "455 Maximum messages per minute reached : limit is 10",
        ),
        (
            Stage::Mail,
            "550 This IP has sent too many messages this hour. IB504",
        ),
        (
            Stage::Mail,
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
        ),
    ] {
        let prior = prior(stage, text);
        assert_eq!(prior.hint, Some(Hint::SlowDown), "{text}: {prior:?}");
        assert_eq!(prior.class, ReplyClass::ServerLater, "{text}");
    }
}

#[test]
fn connection_limits_ask_for_fewer_connections() {
    for (stage, text) in [
        (
            Stage::Greeting,
            "421 4.7.0 mail.example.com Error: too many connections from 192.0.2.1",
        ),
        (Stage::Greeting, "421 4.3.2 All server ports are busy"),
        (
            Stage::Greeting,
            "421 Too many concurrent SMTP connections from this IP address; please try again later.",
        ),
        (
            Stage::Greeting,
            "421 RP-003 The mail server IP connecting to Outlook.com server has exceeded the connection limit allowed.",
        ),
        (
            Stage::Greeting,
            "421 Connection refused, too many sessions from This IP. Lower the number of concurrent sessions. IB007",
        ),
        (Stage::Mail, "550 Exceeding outbound thread limit"),
    ] {
        let prior = prior(stage, text);
        assert_eq!(
            prior.hint,
            Some(Hint::FewerConnections),
            "{text}: {prior:?}"
        );
        assert_eq!(prior.class, ReplyClass::ServerLater, "{text}");
    }
}

#[test]
fn a_used_up_connection_asks_for_another() {
    for (stage, text) in [
        (Stage::Mail, "421 too many messages in this connection"),
        (
            Stage::Mail,
            "421 Max message per connection reached, closing transmission channel",
        ),
        (
            Stage::Mail,
            "452 4.4.5 Maximum number of messages per session exceeded.",
        ),
    ] {
        assert_eq!(prior(stage, text).hint, Some(Hint::Reconnect), "{text}");
    }
}

#[test]
fn limits_of_one_mailbox_do_not_slow_everybody() {
    for (text, hint) in [
        (
            "450 4.2.1 The recipient has exceeded message rate limit. Try again later.",
            None,
        ),
        (
            "421 4.7.1 Messages to user@example.com deferred due to excessive volume. Try again later",
            None,
        ),
        (
            "451 4.7.1 Greylisting in action, please come back in 00:05:00",
            Some(Hint::TryEach),
        ),
    ] {
        let prior = prior(Stage::Rcpt, text);
        assert_eq!(prior.hint, hint, "{text}: {prior:?}");
        assert_eq!(prior.class, ReplyClass::RecipientLater, "{text}");
    }
}

#[test]
fn equal_refusals_of_other_recipients_are_equal() {
    for (one, other) in [
        (
            "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
            "550 5.1.1 <bob.b+x@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
        ),
        (
            "550-5.1.1 The email account that you tried to reach does not exist. Please try\\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser a1-20020a170902 - gsmtp",
            "550-5.1.1 The email account that you tried to reach does not exist. Please try\\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser d2e1a72fcca58-76e7d551493sm9728466b3a.112 - gsmtp",
        ),
        (
            "550 5.4.1 Recipient address rejected: Access denied. [SN1NAM02FT0045.eop-nam02.prod.protection.outlook.com]",
            "550 5.4.1 Recipient address rejected: Access denied. [AM6EUR05FT012.eop-eur05.prod.protection.outlook.com]",
        ),
        (
            "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712344) [AM6EUR05FT012.eop-eur05.prod.protection.outlook.com]",
            "451 4.7.500 Server busy. Please try again later from [198.51.100.7]. (AS761) [DB5EUR01FT030.eop-EUR01.prod.protection.outlook.com]",
        ),
        (
            "451 4.7.1 Greylisting in action, please come back in 00:05:00",
            "451 4.7.1 Greylisting in action, please come back in 00:04:12",
        ),
        (
            "554 5.7.0 Reject, id=20025-09 - SPAM",
            "554 5.7.0 Reject, id=31337-02 - SPAM",
        ),
        (
            "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [z7qZw5BPd1zlDYHka4589ru.us222]",
            "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [A1b2C3d4E5f6G7h8.uk12]",
        ),
        (
            "451 ESMTP MailEnable Service temporarily refused connection at 11/27/15 11:25:27 from IP (192.0.2.206) because the server is too busy.",
            "451 ESMTP MailEnable Service temporarily refused connection at 12/01/15 08:02:59 from IP (192.0.2.9) because the server is too busy.",
        ),
        (
            "550 Requested action not taken: mail IsCNAPF76kMDARUY.56621S2 is rejected,mx3,BM",
            "550 Requested action not taken: mail HsCNAPF12kXYARUZ.11921S4 is rejected,mx7,BM",
        ),
        (
            "421 4.3.0 Upstream error, please check https://developers.cloudflare.com/email-routing/postmaster for possible reasons why. RsrUEMkQvZbT",
            "421 4.3.0 Upstream error, please check https://developers.cloudflare.com/email-routing/postmaster for possible reasons why. kLqWzPaBcDeF",
        ),
    ] {
        assert_eq!(
            fingerprint(&reply(one), "bob"),
            fingerprint(&reply(other), "bob")
        );
    }
}

#[test]
fn other_refusals_have_other_fingerprints() {
    for (one, other) in [
        (
            "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown",
            "550 5.1.1 <ann@example.com>: inactive email address",
        ),
        (
            "550 5.7.1 <ann@example.com>: Recipient address rejected: User unknown",
            "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown",
        ),
        (
            "450 <ann@example.com>: User unknown",
            "550 <ann@example.com>: User unknown",
        ),
        (
            "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
            "550 5.7.1 RESOLVER.RST.NotAuthorized; authentication required",
        ),
        (
            "550 5.5.0 Requested action not taken: mailbox unavailable",
            "552 5.2.2 Mailbox full",
        ),
    ] {
        assert_ne!(
            fingerprint(&reply(one), "bob"),
            fingerprint(&reply(other), "bob")
        );
    }
    let rows = rows();
    let texts: BTreeSet<_> = rows.iter().map(|row| row.text).collect();
    let fingerprints: BTreeSet<_> = texts
        .iter()
        .map(|text| fingerprint(&reply(text), "bob"))
        .collect();
    assert!(
        fingerprints.len() * 100 > texts.len() * 95,
        "{}",
        fingerprints.len()
    );
}

#[test]
fn a_fingerprint_names_no_address_or_number() {
    for row in rows() {
        let other = row
            .text
            .replace(
                "user@example.com",
                "someone.else+tag@another-domain.example",
            )
            .replace("192.0.2.1", "198.51.100.77");
        let fingerprint = fingerprint(&reply(row.text), "bob");
        assert_eq!(
            fingerprint,
            super::fingerprint(&reply(&other), "bob"),
            "{other}"
        );
        assert!(!fingerprint.contains('@'), "{fingerprint}");
    }
}

/// Texts made of words that rules know, so that conditions meet, and of arbitrary characters.
fn any_text() -> impl Strategy<Value = String> {
    let phrases: Vec<&'static str> = RULES
        .iter()
        .flat_map(|rule| rule.words.iter().chain(rule.unless))
        .flat_map(|list| list.iter().copied())
        .chain([
            "5.1.1", "(#5.7.1)", "4.2.2", " said: ", "450 ", "550 ", "<a@b>", "sender",
        ])
        .collect();
    let piece = prop_oneof![
        3 => proptest::sample::select(phrases).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join(" "))
}

#[test]
fn the_recipients_name_is_not_part_of_a_refusal() {
    let refusal = |name| fingerprint(&reply(&format!("550 Unknown user {name}")), name);
    assert_eq!(refusal("bob"), refusal("Ann.Smith"));
}

proptest! {
    #[test]
    fn any_negative_reply_is_classified(
        stage in proptest::sample::select(STAGES.to_vec()),
        code in 200_u16..600,
        lines in proptest::collection::vec(any_text(), 0..4),
    ) {
        let reply = Reply { code, lines };
        let prior = classify(stage, &reply);
        prop_assert_eq!(prior.is_some(), code >= 400);
        if let Some(prior) = prior.filter(|prior| prior.may_suppress) {
            prop_assert_eq!(prior.class, ReplyClass::MailboxMissing);
            prop_assert!(code >= 500);
            prop_assert!(matches!(stage, Stage::Rcpt | Stage::Block | Stage::End));
        }
        let fingerprint = fingerprint(&reply, "bob");
        prop_assert!(fingerprint.len() <= 200);
    }
}
