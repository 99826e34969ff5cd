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
    let mut invitation = Invitation::new(
        "Acme",
        "Agent",
        format!("https://app.example.com/join#{}", "x".repeat(96)),
        DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
    );
    invitation.inviter = Some(Person::new("olivia@example.com").named("Olivia Owner"));
    invitation.message = Some("We start on Monday.".to_owned());
    Letter::Invitation(invitation)
}

fn envelope() -> Envelope {
    Envelope::new(
        "Acme <team@example.com>".parse().unwrap(),
        "bob@example.com".parse().unwrap(),
        "01997b3c-1f5e-7a51-8000-000000000000@example.com",
        DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
    )
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
