//! Sample letters for the tests.

use std::sync::LazyLock;

use chrono::{DateTime, TimeZone, Utc};
use guestlist_jobs::letters::{Envelope, Invitation, Letter, Letters, Person};

/// The built-in letters, compiled once for all tests of a run.
pub(crate) static BUILT_IN: LazyLock<Letters> = LazyLock::new(Letters::built_in);

pub(crate) const LINK: &str =
    "https://app.example.com/join/AQEBk0cTz3V2d7mXk2lXo6yKq4b8Y1n0Wc9rVh5uJtM";

/// Names and texts that a letter must show unchanged.
pub(crate) const EXACT: [&str; 9] = [
    "O'Brien & Co",
    "👩‍👩‍👧‍👦 Family",
    "مؤسسة الأمل",
    "株式会社サンプル",
    "<script>alert(1)</script>",
    "{{url}}",
    "{{{x}}}",
    "</table>",
    "%s {role} `x`=\"y\"",
];

pub(crate) fn person(name: &str, email: &str) -> Person {
    Person::new(email).named(name)
}

pub(crate) fn invitation(organization: &str, name: &str, message: &str) -> Invitation {
    let expires_at = Utc.with_ymd_and_hms(2026, 11, 30, 4, 46, 12).unwrap();
    let mut invitation = Invitation::new(organization, "Manager", LINK, expires_at);
    invitation.inviter = Some(person(name, "ann@acme.example"));
    invitation.message = Some(message.to_owned());
    invitation
}

/// One letter of every kind, with the same text in every place where a person types.
pub(crate) fn letters(organization: &str, name: &str, message: &str) -> Vec<Letter> {
    let organization = organization.to_owned();
    let invitee = "bo@example.net".to_owned();
    let role = "Manager".to_owned();
    let invitation = invitation(&organization, name, message);
    vec![
        Letter::Invitation(invitation.clone()),
        Letter::Reminder(invitation),
        Letter::Accepted {
            organization: organization.clone(),
            member: person(name, "bo@example.net"),
            role: role.clone(),
        },
        Letter::Declined {
            organization: organization.clone(),
            invitee: invitee.clone(),
            role: role.clone(),
        },
        Letter::Expired {
            organization: organization.clone(),
            invitee: invitee.clone(),
            role: role.clone(),
        },
        Letter::Undeliverable {
            organization: organization.clone(),
            invitee: invitee.clone(),
            role: role.clone(),
            reason: format!("550 5.1.1 no such user: {message}"),
        },
        Letter::Unreachable {
            organization: organization.clone(),
            invitee,
            role,
        },
        Letter::RoleChanged {
            organization: organization.clone(),
            before: "Manager".to_owned(),
            after: "Admin".to_owned(),
            by: Some(person(name, "ann@acme.example")),
        },
        Letter::Suspended {
            organization: organization.clone(),
            by: Some(person(name, "ann@acme.example")),
        },
        Letter::Reinstated {
            organization: organization.clone(),
            by: Some(person(name, "ann@acme.example")),
        },
        Letter::Removed {
            organization,
            by: Some(person(name, "ann@acme.example")),
        },
    ]
}

pub(crate) fn ordinary() -> Vec<Letter> {
    letters(
        "Acme Research",
        "Ann Lee",
        "Hi Bo,\n\nlooking forward to working with you.\n  Ann",
    )
}

pub(crate) fn hostile() -> Vec<Letter> {
    letters(
        "</table><script>alert('o')</script>{{url}}{{{x}}}%s",
        "Ann\r\nBcc: x@evil.example \u{202E}=?utf-8?q?a?= <b onclick=\"x\">",
        "Call +1 (800) 555-0199 or see https://evil.example/login?a=1&b=2\r\n\r\n  <a href=\"https://evil.example\">{{link}}</a>\0\u{2028}{{{link}}} evil@evil.example",
    )
}

pub(crate) fn written_at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 4, 46, 12).unwrap()
}

pub(crate) fn envelope(locale: &str) -> Envelope {
    let mut envelope = Envelope::new(
        "Acme <team@acme.example>".parse().unwrap(),
        "bo@example.net".parse().unwrap(),
        "01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f@acme.example",
        written_at(),
    );
    locale.clone_into(&mut envelope.locale);
    envelope
}
