//! The letters as a person reads them: snapshots, and properties of every letter.

use std::collections::BTreeSet;

use guestlist_jobs::letters::{Letter, Rendered};
use insta::{Settings, assert_snapshot};

use crate::samples::{BUILT_IN, EXACT, LINK, hostile, invitation, letters, ordinary};

const LOCALES: [&str; 3] = ["en", "de", "ar"];

fn read(letter: &Letter, locale: &str) -> Rendered {
    BUILT_IN.render(letter, "bo@example.net", locale).unwrap()
}

/// A letter as one page, with invisible characters written out.
fn page(letter: &Letter, locale: &str) -> String {
    let Rendered {
        subject,
        text,
        html,
        ..
    } = read(letter, locale);
    let page = format!("Subject: {subject}\n\n{text}\n=== HTML ===\n{html}");
    [
        ('\u{200C}', "⟨nj⟩"),
        ('\u{2068}', "⟨fsi⟩"),
        ('\u{2069}', "⟨pdi⟩"),
    ]
    .into_iter()
    .fold(page, |page, (hidden, shown)| page.replace(hidden, shown))
}

fn snapshot(name: &str, page: &str) {
    let mut settings = Settings::new();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| assert_snapshot!(name, page));
}

fn name(letter: &Letter) -> &str {
    letter.folder().rsplit('/').next().unwrap()
}

/// The visible text of an HTML page, piece by piece.
fn visible(html: &str) -> Vec<String> {
    let (_, body) = html.split_once("<body").unwrap();
    let pieces = body
        .split('<')
        .skip(1)
        .filter_map(|piece| piece.split_once('>'));
    pieces
        .map(|(_, text)| plain(text.trim()))
        .filter(|text| !text.is_empty())
        .collect()
}

fn plain(html: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x60;", "`"),
        ("&#x3D;", "="),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(html.to_owned(), |html, (entity, c)| html.replace(entity, c))
}

fn hrefs(html: &str) -> BTreeSet<String> {
    let starts = html.split("href=\"").skip(1);
    starts
        .map(|rest| plain(rest.split('"').next().unwrap()))
        .collect()
}

#[test]
fn every_letter_reads_well_in_english() {
    for letter in ordinary() {
        snapshot(&format!("{}_en", name(&letter)), &page(&letter, "en"));
    }
}

#[test]
fn every_letter_shows_hostile_text_literally() {
    for letter in hostile() {
        snapshot(
            &format!("{}_en_hostile", name(&letter)),
            &page(&letter, "en"),
        );
    }
}

#[test]
fn the_invitation_reads_well_in_german_and_arabic() {
    let letter = &ordinary()[0];
    snapshot("invitation_de", &page(letter, "de-AT"));
    snapshot("invitation_ar", &page(letter, "ar"));
}

#[test]
fn unknown_language_falls_back_to_english() {
    let letter = &ordinary()[0];
    assert!(read(letter, "tlh").text.contains("invited you to join"));
    assert!(
        read(letter, "")
            .html
            .contains("<html lang=\"en\" dir=\"ltr\">")
    );
    assert!(
        read(letter, "ar-EG")
            .html
            .contains("<html lang=\"ar\" dir=\"rtl\">")
    );
}

#[test]
fn names_are_exact_in_the_subject_and_in_both_parts() {
    for exact in EXACT {
        for locale in LOCALES {
            let letter = &letters(exact, exact, exact)[0];
            let rendered = read(letter, locale);
            assert!(
                rendered.subject.contains(exact),
                "{exact} in {}",
                rendered.subject
            );
            assert!(
                rendered.text.contains(exact),
                "{exact} in {}",
                rendered.text
            );
            let shown = visible(&rendered.html);
            assert!(
                shown.iter().any(|text| text.contains(exact)),
                "{exact} in {shown:?}"
            );
        }
    }
}

#[test]
fn typed_text_never_becomes_a_tag_or_expression() {
    let expected: Vec<Vec<String>> = ordinary()
        .iter()
        .map(|letter| tags(&read(letter, "en").html))
        .collect();
    for (letter, expected) in hostile().iter().zip(expected) {
        let mut found = tags(&read(letter, "en").html);
        let mut expected = expected;
        for tags in [&mut found, &mut expected] {
            tags.retain(|tag| tag != "br");
        }
        assert_eq!(found, expected, "{}", letter.folder());
    }
}

fn tags(html: &str) -> Vec<String> {
    html.split('<')
        .skip(1)
        .map(|tag| tag.split(['>', ' ']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn text_part_contains_everything_of_the_html_part() {
    for locale in LOCALES {
        for letter in ordinary().iter().chain(&hostile()) {
            let rendered = read(letter, locale);
            let shown = visible(&rendered.html);
            let (preheader, shown) = shown.split_first().unwrap();
            assert!(!preheader.is_empty());
            let absent: Vec<&String> = shown
                .iter()
                .filter(|said| !rendered.text.contains(said.as_str()))
                .collect();
            // The hint about a button makes no sense without a button.
            let hints = usize::from(rendered.text.contains(LINK));
            assert_eq!(
                absent.len(),
                hints,
                "{}: {absent:?}\n{}",
                letter.folder(),
                rendered.text
            );
        }
    }
}

#[test]
fn invitation_has_one_link_and_notices_none() {
    for letter in ordinary().iter().chain(&hostile()) {
        let rendered = read(letter, "en");
        let links = match letter {
            Letter::Invitation(_) | Letter::Reminder(_) => BTreeSet::from([LINK.to_owned()]),
            _ => BTreeSet::new(),
        };
        assert_eq!(hrefs(&rendered.html), links, "{}", letter.folder());
        assert_eq!(
            rendered.text.lines().filter(|line| *line == LINK).count(),
            links.len()
        );
    }
}

#[test]
fn personal_message_is_quoted_without_working_links() {
    let letter = &hostile()[0];
    let rendered = read(letter, "en");
    for part in [&rendered.text, &rendered.html] {
        for whole in ["evil.example", "https://evil", "evil@evil", "555-0199"] {
            assert!(!part.contains(whole), "{whole} in {part}");
        }
        let seen = part.replace('\u{200C}', "");
        assert!(
            plain(&seen)
                .contains("Call +1 (800) 555-0199 or see https://evil.example/login?a=1&b=2")
        );
    }
    assert!(
        rendered.text.contains("\n>   <a href="),
        "{}",
        rendered.text
    );
}

#[test]
fn an_invitation_of_the_host_names_no_person() {
    for (language, subject) in [
        ("en", "You are invited to Acme"),
        ("de", "Einladung zu Acme"),
        ("ar", "دعوة للانضمام إلى Acme"),
    ] {
        let mut hosts = invitation("Acme", "Ann", "Welcome");
        hosts.inviter = None;
        for letter in [Letter::Invitation(hosts.clone()), Letter::Reminder(hosts)] {
            let rendered = read(&letter, language);
            if matches!(letter, Letter::Invitation(_)) {
                assert!(rendered.subject.contains(subject), "{}", rendered.subject);
            }
            for text in [&rendered.text, &rendered.html] {
                assert!(text.contains("Welcome") && !text.contains("Ann"), "{text}");
                assert!(!text.contains("{{") && !text.contains("{inviter"), "{text}");
            }
        }
    }
}

#[test]
fn an_inviter_without_a_name_is_shown_by_address() {
    let mut bare = invitation("Acme", "", "");
    bare.inviter.as_mut().unwrap().name = None;
    bare.message = None;
    let rendered = read(&Letter::Invitation(bare), "en");
    assert_eq!(rendered.subject, "ann@acme.example invited you to Acme");
    assert!(
        rendered
            .text
            .contains("ann@acme.example invited you to join Acme as Manager.")
    );
    assert!(!rendered.text.contains("Message from"));
    let blank = Letter::Invitation(invitation("Acme", " \u{202E}", " \r\n "));
    assert!(read(&blank, "en") == rendered);
}

#[test]
fn removal_without_an_actor_names_nobody() {
    let organization = "Acme".to_owned();
    let rendered = read(
        &Letter::Removed {
            organization,
            by: None,
        },
        "en",
    );
    assert!(
        rendered
            .text
            .contains("You were removed from Acme. You no longer have access to it.")
    );
}
