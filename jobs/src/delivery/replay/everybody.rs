//! The play in which everybody gets the reply, until the server is mended.

use std::sync::Arc;
use std::time::Duration;

use guestlist::outbox::Message;
use guestlist_testkit::SmtpServer;
use tokio::time::Instant;

use super::expected;
use super::play::{Play, on_paused_clock};
use crate::mailer::Mailer;
use crate::mailer::documented::Row;

const HALF_MINUTE: Duration = Duration::from_secs(30);
const HOURS: Duration = Duration::from_secs(3 * 60 * 60);

/// The time in which the server refuses everybody.
#[derive(Clone, Copy)]
pub(super) struct Outage {
    /// True if letters were accepted before.
    pub(super) is_warm: bool,
    /// The number of half minutes in which letters are tried, with more than two hours between them.
    pub(super) rounds: u32,
}

/// The observations shortly before the server is mended.
pub(super) struct Seen {
    pub(super) is_paused: bool,
    /// The number of letters and connections that were tried in the last seconds.
    pub(super) tries: usize,
}

/// Plays a reply to everybody.
pub(super) fn play(row: &Row, message: &Message, outage: Outage) -> Vec<String> {
    on_paused_clock(async {
        let mut play = Play::new(row).await;
        if outage.is_warm {
            play.promise("early", 9, message);
            play.run_for(HALF_MINUTE).await;
        }
        play.server.add_rule(play.rule());
        play.promise("late", 8, message);
        for _ in 1..outage.rounds {
            play.run_for(HALF_MINUTE).await;
            tokio::time::advance(HOURS).await;
        }
        let seen = tokio::spawn(watch(play.mailer.clone(), Arc::clone(&play.server)));
        play.run_for(HALF_MINUTE).await;
        let seen = seen.await.expect("seen");
        let mended = Instant::now();
        let mut wrong = expected::everybody(row, &play, &seen, outage);
        play.run_for(2 * HALF_MINUTE).await;
        wrong.extend(expected::soon_after(row, &play, outage, mended));
        play.run_for(HOURS).await;
        wrong.extend(expected::all_are_sent(row, &play, outage));
        wrong
    })
}

/// Mends the server after half a minute.
async fn watch(mailer: Mailer, server: Arc<SmtpServer>) -> Seen {
    let tries = || {
        let seen = server.seen();
        seen.connections + seen.heard("MAIL")
    };
    tokio::time::sleep(HALF_MINUTE / 2).await;
    let before = tries();
    tokio::time::sleep(HALF_MINUTE / 2).await;
    let seen = Seen {
        is_paused: mailer.paused().is_some(),
        tries: tries() - before,
    };
    server.clear_rules();
    seen
}
