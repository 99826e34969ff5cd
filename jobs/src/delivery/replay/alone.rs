//! The play in which one recipient among others gets the reply.

use std::time::Duration;

use guestlist::outbox::Message;

use super::expected;
use super::play::{Play, on_paused_clock};
use crate::mailer::documented::Row;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Plays a reply to one recipient, while letters to others are accepted before, beside and after it.
pub(super) fn play(row: &Row, message: &Message) -> Vec<String> {
    on_paused_clock(async {
        let mut play = Play::new(row).await;
        play.promise("other", 5, message);
        play.run_for(15 * SECOND).await;
        let rule = play.rule();
        play.server.add_rule(match row.stage.precedes_recipient() {
            true => rule.times(1),
            false => rule.to("target"),
        });
        play.promise("target", 1, message);
        for (letters, time) in [
            (6, 35 * SECOND),
            (1, 4 * MINUTE),
            (2, 7 * MINUTE),
            (2, 30 * MINUTE),
        ] {
            play.promise("other", letters, message);
            play.run_for(time).await;
        }
        for _ in 0..10 {
            play.promise("other", 1, message);
            play.run_for(30 * MINUTE).await;
        }
        let mut wrong = expected::alone(row, &play);
        play.server.clear_rules();
        play.run_for(3 * 60 * MINUTE).await;
        wrong.extend(expected::all_are_concluded(&play));
        wrong
    })
}
