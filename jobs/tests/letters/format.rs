//! The finished message, parsed back by a MIME parser.

use chrono::{DateTime, Utc};
use guestlist_jobs::{
    letters::{Envelope, LetterError},
    mail::Mail,
};
use mail_parser::{Message, MessageParser, MimeHeaders};

use crate::samples::{BUILT_IN, EXACT, LINK, envelope, hostile, letters, ordinary, written_at};

fn mail(letter: usize, envelope: &Envelope) -> Mail {
    BUILT_IN.mail(&ordinary()[letter], envelope).unwrap()
}

fn parse(mail: &Mail) -> Message<'_> {
    MessageParser::default().parse(&mail.bytes).unwrap()
}

fn assert_well_formed(mail: &Mail) {
    let text = String::from_utf8(mail.bytes.clone()).unwrap();
    assert!(text.ends_with("\r\n"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    for line in text.split("\r\n") {
        assert!(line.len() <= 78, "{} bytes: {line}", line.len());
    }
}

#[test]
fn reply_to_and_extra_headers_are_added_to_the_same_letter() {
    let plain = mail(0, &envelope("en"));
    let mut with = envelope("en");
    with.reply_to = Some("Help <help@acme.example>".parse().unwrap());
    with.headers = "X-SES-CONFIGURATION-SET: acme; Feedback-ID: 1:acme"
        .parse()
        .unwrap();
    let with = mail(0, &with);
    assert_well_formed(&with);
    let text = |mail: &Mail| String::from_utf8(mail.bytes.clone()).unwrap();
    let added = [
        "Reply-To: \"Help\" <help@acme.example>",
        "X-SES-CONFIGURATION-SET: acme",
        "Feedback-ID: 1:acme",
    ];
    let with = text(&with);
    let (head, body) = with.split_once("\r\n\r\n").unwrap();
    let lines: Vec<_> = head.split("\r\n").collect();
    for line in added {
        assert!(lines.contains(&line), "{head}");
    }
    let others: Vec<_> = lines
        .into_iter()
        .filter(|line| !added.contains(line))
        .collect();
    assert_eq!(
        format!("{}\r\n\r\n{body}", others.join("\r\n")),
        text(&plain)
    );
}

#[test]
fn a_message_has_its_headers_and_two_alternatives() {
    let mail = mail(0, &envelope("en"));
    let message = parse(&mail);
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("Acme"), Some("team@acme.example"))
    );
    assert_eq!(
        message.to().unwrap().first().unwrap().address(),
        Some("bo@example.net")
    );
    assert_eq!(
        message.subject(),
        Some("Ann Lee invited you to Acme Research")
    );
    assert_eq!(message.message_id(), Some(mail.message_id.as_str()));
    assert_eq!(
        message.date().unwrap().to_timestamp(),
        written_at().timestamp()
    );
    assert_eq!(
        message.header_raw("Auto-Submitted").map(str::trim),
        Some("auto-generated")
    );
    assert_eq!(
        message.header_raw("MIME-Version").map(str::trim),
        Some("1.0")
    );
    let kind = message.content_type().unwrap();
    assert_eq!(
        (kind.ctype(), kind.subtype()),
        ("multipart", Some("alternative"))
    );
    let parts: Vec<_> = message
        .parts
        .iter()
        .skip(1)
        .map(|part| part.content_type().unwrap())
        .collect();
    assert_eq!(
        parts
            .iter()
            .map(|kind| kind.subtype().unwrap())
            .collect::<Vec<_>>(),
        ["plain", "html"]
    );
    assert!(
        parts
            .iter()
            .all(|kind| kind.attribute("charset") == Some("utf-8"))
    );
    assert_eq!(
        (mail.from.as_str(), mail.to.as_str()),
        ("team@acme.example", "bo@example.net")
    );
}

#[test]
fn the_same_letter_has_the_same_bytes_every_time() {
    let first = mail(0, &envelope("en"));
    for _ in 0..3 {
        assert!(mail(0, &envelope("en")).bytes == first.bytes);
    }
    let mut other = envelope("en");
    other.message_id = "other@acme.example".to_owned();
    assert_ne!(boundary(&first), boundary(&mail(0, &other)));
}

fn boundary(mail: &Mail) -> String {
    let message = parse(mail);
    message
        .content_type()
        .unwrap()
        .attribute("boundary")
        .unwrap()
        .to_owned()
}

#[test]
fn every_letter_arrives_as_it_was_written() {
    let built_in = &BUILT_IN;
    let long = "long".repeat(3_000);
    let wide = "長い名前".repeat(1_000);
    let mut all = [
        ordinary(),
        hostile(),
        letters(&long, &long, &long),
        letters(&wide, &wide, &wide),
    ]
    .concat();
    all.extend(
        EXACT
            .into_iter()
            .flat_map(|exact| letters(exact, exact, exact)),
    );
    for letter in all {
        for locale in ["en", "de", "ar"] {
            let envelope = envelope(locale);
            let written = built_in
                .render(&letter, envelope.to.as_str(), locale)
                .unwrap();
            let mail = built_in.mail(&letter, &envelope).unwrap();
            assert!(mail.bytes.is_ascii(), "every server takes it");
            assert_well_formed(&mail);
            let message = parse(&mail);
            assert_eq!(message.subject(), Some(written.subject.as_str()));
            assert_eq!(
                message.body_text(0).unwrap().replace("\r\n", "\n"),
                written.text
            );
            assert_eq!(
                message.body_html(0).unwrap().replace("\r\n", "\n"),
                written.html
            );
            assert_eq!(
                message.headers().len(),
                8,
                "a header more or less than written"
            );
        }
    }
}

#[test]
fn the_link_survives_the_encoding() {
    let mail = mail(1, &envelope("ar"));
    let message = parse(&mail);
    assert!(message.body_text(0).unwrap().contains(LINK));
    assert!(
        message
            .body_html(0)
            .unwrap()
            .contains(&format!("href=\"{LINK}\""))
    );
}

#[test]
fn display_name_cannot_change_the_sender() {
    for name in [
        "Admin <x@bank.example>",
        "x@bank.example",
        "a\r\nBcc: x@evil.example",
        "\"",
        "\\\"<x@y.z>,",
        "=?utf-8?q?x=40y?=",
        "株式会社サンプル",
        "مؤسسة",
        "👩‍👩‍👧‍👦",
        "O'Brien & Co",
        "a, b; c:",
        &"n".repeat(2_000),
        &"ü".repeat(2_000),
        "",
        " \r\n",
    ] {
        let mut envelope = envelope("en");
        envelope.from.name = Some(name.to_owned());
        let mail = mail(0, &envelope);
        assert_well_formed(&mail);
        let message = parse(&mail);
        let senders = message.from().unwrap().clone().into_list();
        assert_eq!(senders.len(), 1, "{name}");
        assert_eq!(senders[0].address(), Some("team@acme.example"), "{name}");
        let shown = name.replace("\r\n", " ");
        assert_eq!(
            senders[0].name().unwrap_or_default(),
            shown.trim(),
            "{name}"
        );
        assert!(message.header("Bcc").is_none());
    }
}

#[test]
fn a_local_part_in_utf8_is_written_raw() {
    let mut envelope = envelope("en");
    envelope.to = "用户@example.com".parse().unwrap();
    let mail = mail(0, &envelope);
    assert_eq!(mail.to.as_str(), "用户@example.com");
    assert_eq!(
        parse(&mail).to().unwrap().first().unwrap().address(),
        Some("用户@example.com")
    );
}

#[test]
fn unwritable_envelope_is_refused() {
    let built_in = &BUILT_IN;
    let refused = |change: &dyn Fn(&mut Envelope)| {
        let mut envelope = envelope("en");
        change(&mut envelope);
        built_in.mail(&ordinary()[0], &envelope).err()
    };
    for id in [
        "",
        "a",
        "<a@b>",
        "a@b\r\nX: y",
        "../a@b",
        "a/b@c",
        "a@@b",
        "é@b",
        &format!("{}@b", "a".repeat(300)),
    ] {
        let refusal = refused(&|envelope| envelope.message_id = id.to_owned());
        assert!(matches!(refusal, Some(LetterError::MessageId)), "{id}");
    }
    for date in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let refusal = refused(&|envelope| envelope.date = date);
        assert!(matches!(refusal, Some(LetterError::Date)), "{date}");
    }
}

#[test]
fn no_input_panics() {
    let awkward: Vec<char> = (0..=0x2FFu32)
        .chain([0xFEFF, 0xFFFD, 0xFFFF, 0x1F468, 0xE0067, 0x10FFFF])
        .chain(0x2000..0x2070)
        .filter_map(char::from_u32)
        .collect();
    for chars in awkward.chunks(16) {
        let text: String = chars.iter().flat_map(|c| [*c, 'x', *c, *c]).collect();
        let mut envelope = envelope(&text);
        envelope.from.name = Some(text.clone());
        for letter in letters(&text, &text, &text) {
            assert_well_formed(&BUILT_IN.mail(&letter, &envelope).unwrap());
        }
    }
    for c in awkward {
        if let Ok(to) = format!("{c}x@b.co").parse() {
            let mut envelope = envelope("en");
            envelope.to = to;
            assert_well_formed(&BUILT_IN.mail(&ordinary()[0], &envelope).unwrap());
            assert!(!c.is_control(), "{c:?}");
        }
    }
}
