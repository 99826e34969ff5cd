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
#[path = "mailer/deliver.rs"]
mod deliver;
#[path = "mailer/folder.rs"]
mod folder;
#[path = "mailer/misbehave.rs"]
mod misbehave;
#[path = "mailer/pipelining.rs"]
mod pipelining;
#[path = "mailer/reuse.rs"]
mod reuse;
#[path = "mailer/sink.rs"]
mod sink;
#[path = "mailer/tls.rs"]
mod tls;

use std::time::Duration;

use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::{BackOff, Deadlines, Gate, Mailer, Verdict};
use guestlist_testkit::smtp::{Script, SmtpServer};

/// Long deadlines, for tests that are not about them, and no pauses.
fn deadlines() -> Deadlines {
    let rest = BackOff::new(Duration::ZERO, Duration::ZERO);
    let mut deadlines = Deadlines::default();
    deadlines.back_off = rest;
    deadlines.pause = rest;
    deadlines
}

fn mailer_with(url: &str, connections: usize, deadlines: Deadlines) -> Mailer {
    Mailer::new(url.parse().unwrap(), connections, deadlines)
}

/// A server without pipelining, and one with it.
fn with_and_without_pipelining() -> [Script; 2] {
    [Script::default(), Script::default().offers("PIPELINING")]
}

/// A mailer with one sender to a scripted server, without TLS.
fn mailer(server: &SmtpServer) -> Mailer {
    mailer_with(&clear(server), 1, deadlines())
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

/// Waits until the gate has the expected state.
async fn until_gate(mailer: &Mailer, expected: Gate) {
    let reached = async {
        while mailer.gate() != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .unwrap();
}

fn accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accepted { .. })
}
