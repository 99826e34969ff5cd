//! The time to render a letter and to build its message.
//!
//! `cargo bench -p guestlist-jobs --bench letter`

#![allow(clippy::unwrap_used, missing_docs)]

use chrono::DateTime;
use divan::{Bencher, black_box};
use guestlist_jobs::letters::{Envelope, Invitation, Letter, Letters, Person};

fn main() {
    divan::main();
}

fn letter() -> Letter {
    Letter::Invitation(Invitation {
        organization: "Acme".to_owned(),
        inviter: Some(Person {
            name: Some("Olivia Owner".to_owned()),
            email: "olivia@example.com".to_owned(),
        }),
        role: "Agent".to_owned(),
        link: format!("https://app.example.com/join#{}", "x".repeat(96)),
        expires_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        message: Some("We start on Monday.".to_owned()),
    })
}

fn envelope() -> Envelope {
    Envelope {
        from: "Acme <team@example.com>".parse().unwrap(),
        to: "bob@example.com".parse().unwrap(),
        locale: "en".to_owned(),
        message_id: "01997b3c-1f5e-7a51-8000-000000000000@example.com".to_owned(),
        date: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
    }
}

#[divan::bench]
fn render(bencher: Bencher<'_, '_>) {
    let (letters, letter, envelope) = (Letters::built_in(), letter(), envelope());
    bencher.bench_local(|| {
        let letter = black_box(&letter);
        let rendered = letters.render(letter, envelope.to.as_str(), &envelope.locale);
        rendered.unwrap()
    });
}

#[divan::bench]
fn render_and_build(bencher: Bencher<'_, '_>) {
    let (letters, letter, envelope) = (Letters::built_in(), letter(), envelope());
    bencher.bench_local(|| letters.mail(black_box(&letter), &envelope).unwrap());
}
