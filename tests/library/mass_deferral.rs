//! The letters that were tried lately, and the rule that tells a mass deferral.

use chrono::TimeDelta;
use guestlist::outbox::{self, Message, State};
use guestlist::worker::{self, TriedLetters};
use guestlist::{Attempt, MessageId};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team};

/// Records an attempt at each of `letters`, made now, to one of so many domains.
async fn try_letters(team: &Team, letters: std::ops::Range<u128>, domains: u128, verdict: &str) {
    let message = message(team).await;
    let attempts: Vec<Attempt> = letters
        .map(|letter| {
            let to = format!("p{letter}@d{}.example", letter % domains);
            let mut attempt = Attempt::new(
                team.now(),
                &message,
                &to.parse().unwrap(),
                "worker-1",
                verdict,
            );
            attempt.message = id(letter);
            attempt.detail.reply = Some(format!("451 {letter} try later"));
            attempt
        })
        .collect();
    team.in_transaction(async |tx| worker::record_attempts(tx, &attempts).await)
        .await
        .unwrap();
    team.advance_clock(TimeDelta::seconds(1));
}

fn id(letter: u128) -> MessageId {
    uuid::Uuid::from_u128(letter + 1)
        .to_string()
        .parse()
        .unwrap()
}

/// Any message, as the template of attempts.
async fn message(team: &Team) -> Message {
    let read = async || {
        let mut tx = team.begin().await;
        outbox::list(&mut tx, team.now(), State::Ready, None, 1)
            .await
            .unwrap()
    };
    if read().await.is_empty() {
        team.invite(OLIVIA, "template@example.com", "agent")
            .await
            .unwrap();
    }
    read().await.remove(0)
}

async fn tried(team: &Team) -> TriedLetters {
    let mut tx = team.begin().await;
    worker::tried_letters(&mut tx, team.now()).await.unwrap()
}

on_both_databases! {
    async fn most_letters_to_many_domains_are_a_mass_deferral(team: Team) {
        assert_eq!(tried(&team).await, TriedLetters::default());
        try_letters(&team, 0..10, 10, Attempt::ACCEPTED).await;
        try_letters(&team, 10..20, 10, Attempt::DEFERRED).await;
        try_letters(&team, 20..30, 10, Attempt::THROTTLED).await;
        let found = tried(&team).await;
        assert_eq!((found.letters, found.deferred, found.deferred_domains), (30, 20, 10));
        let described = found.mass_deferral().expect("a mass deferral");
        assert!(described.starts_with("20 of the 30 letters tried in the last 30 minutes were deferred"), "{described}");
        assert!(described.contains("to 10 domains; the latest reply: 451 2"), "{described}");
        // Deferred once more, and then accepted.
        try_letters(&team, 10..30, 10, Attempt::DEFERRED).await;
        assert_eq!(tried(&team).await.deferred, 20, "each letter counts once");
        try_letters(&team, 10..11, 10, Attempt::ACCEPTED).await;
        assert_eq!(tried(&team).await.mass_deferral(), None, "19 are too few");
    }

    async fn other_deferrals_are_none(team: Team) {
        let cases = [
            ("one slow domain", 40, 1, Attempt::DEFERRED, 0),
            ("two domains of one server", 40, 2, Attempt::DEFERRED, 0),
            ("19 letters", 19, 19, Attempt::DEFERRED, 0),
            ("half of the letters", 40, 10, Attempt::DEFERRED, 40),
            ("a list of wrong addresses", 40, 10, "refused", 0),
            ("refusals to confirm", 40, 10, "provisional", 0),
        ];
        for (case, letters, domains, verdict, accepted) in cases {
            try_letters(&team, 0..letters, domains, verdict).await;
            try_letters(&team, 100..100 + accepted, 10, Attempt::ACCEPTED).await;
            let found = tried(&team).await;
            assert_eq!(found.letters, (letters + accepted) as i64, "{case}");
            assert_eq!(found.mass_deferral(), None, "{case}");
            team.advance_clock(TriedLetters::WINDOW);
        }
        assert_eq!(tried(&team).await.letters, 0, "all of them are long ago");
    }
}
