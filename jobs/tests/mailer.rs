//! The mailer against mail servers that misbehave, and one that does not.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/support/addresses.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of the support"
)]
mod strategies;
#[path = "../../tests/support/strength.rs"]
#[allow(unreachable_pub)]
mod strength;

#[path = "mailer/addresses.rs"]
mod addresses;
#[path = "mailer/configured.rs"]
mod configured;
#[path = "mailer/credentials.rs"]
mod credentials;
#[path = "mailer/deliver.rs"]
mod deliver;
#[path = "mailer/evidence.rs"]
mod evidence;
#[path = "mailer/folder.rs"]
mod folder;
#[path = "mailer/greeting.rs"]
mod greeting;
#[path = "mailer/misbehave.rs"]
mod misbehave;
#[path = "mailer/pipelining.rs"]
mod pipelining;
#[path = "mailer/pool.rs"]
mod pool;
#[path = "mailer/probe.rs"]
mod probe;
#[path = "mailer/reuse.rs"]
mod reuse;
#[path = "mailer/sink.rs"]
mod sink;
#[path = "mailer/tls.rs"]
mod tls;

use std::time::Duration;

use guestlist_jobs::BackOff;
use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::{Mailer, MailerSettings, Verdict};
use guestlist_testkit::smtp::{Script, SmtpServer};

/// Settings with long time limits, for tests that are not about them, and no back-off.
fn settings() -> MailerSettings {
    let none = BackOff::new(Duration::ZERO, Duration::ZERO);
    let mut settings = MailerSettings::default();
    settings.back_off = none;
    settings.pause = none;
    settings
}

fn mailer_with(url: &str, connections: usize, settings: MailerSettings) -> Mailer {
    let mut settings = settings;
    settings.connections = connections;
    Mailer::new(url.parse().unwrap(), settings)
}

/// A server without pipelining, and one with it.
fn with_and_without_pipelining() -> [Script; 2] {
    [Script::default(), Script::default().offers("PIPELINING")]
}

/// A mailer with one sender to a scripted server, without TLS.
fn mailer(server: &SmtpServer) -> Mailer {
    mailer_with(&clear(server), 1, settings())
}

fn clear(server: &SmtpServer) -> String {
    server.url()
}

fn mail() -> Mail {
    mail_to("bob@example.com")
}

fn mail_to(to: &str) -> Mail {
    Mail::new(
        &"team@example.org".parse().unwrap(),
        to.parse().unwrap(),
        "0198f3-1@example.org",
        b"Subject: Join us\r\n\r\nHello\r\n.\r\n..bye\r\n".to_vec(),
    )
}

fn accepted(verdict: &Verdict) -> bool {
    verdict.is_accepted()
}
