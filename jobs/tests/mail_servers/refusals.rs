//! Letters that a server refuses, beside others that it takes.

use guestlist::outbox::{Message, State};
use guestlist::{Delivery, Invitation};
use guestlist_jobs::mailer::BreakerState;

use crate::fixture::{Installation, Time, address, ordinary};
use crate::on_both_servers;
use crate::server::{Program, Rules};
use crate::support::{OLIVIA, Team};

/// The number of ordinary letters beside those that are refused.
const OTHERS: usize = 40;

/// The bytes of a letter that is larger than an ordinary one, and smaller than one with a long message.
const LETTER_SIZE: u32 = 6_500;

/// Starts a worker until every ordinary letter was delivered and each of the others was tried.
/// Asserts that sending was never paused.
async fn deliver_others(
    installation: &Installation,
    others: &[Invitation],
    refused: &[Invitation],
) {
    let (running, mailer) = installation.start();
    installation
        .until(Time::Real, async || {
            assert_eq!(mailer.paused(), None);
            for invitation in refused {
                if installation.attempts(invitation).await.is_empty() {
                    return false;
                }
            }
            let sent = [("sent", others.len())].into();
            installation.deliveries(others).await == sent && installation.server.has_empty_queue()
        })
        .await;
    running.stop().await;
    installation.assert_one_each(&ordinary(OTHERS));
}

/// Invites ordinary addresses, and in their midst addresses that are refused; returns the invitations of
/// both.
async fn invite(
    installation: &Installation,
    begins: &[&str],
) -> (Vec<Invitation>, Vec<Invitation>) {
    let mut addresses = ordinary(OTHERS);
    let refused = begins.iter().map(|begin| address(begin, 0));
    addresses.splice(OTHERS / 2..OTHERS / 2, refused);
    let mut others = installation.invite(&addresses).await;
    let refused = others
        .splice(OTHERS / 2..OTHERS / 2 + begins.len(), [])
        .collect();
    (others, refused)
}

/// Asserts that the inviter reads the server's words, and that the letter is tried again. Returns its
/// message.
async fn assert_deferred(
    installation: &Installation,
    refused: &Invitation,
    words: &str,
) -> Message {
    let now = installation.harness.reread(refused).await;
    let detail = now.delivery_detail.unwrap_or_default();
    assert_eq!(now.delivery, Delivery::Deferred, "{detail}");
    assert!(detail.contains(words), "{detail}");
    let attempts = installation.attempts(refused).await;
    let waiting = installation.harness.waiting(State::Ready).await;
    let message = waiting
        .into_iter()
        .find(|message| message.id == attempts[0].message);
    message.expect("it waits to be tried again")
}

on_both_servers! {
    async fn unknown_user_is_suppressed_alone(program: Program) {
        let installation = Installation::new(program, Rules::default()).await;
        let (others, refused) = invite(&installation, &["unknown"]).await;
        installation.deliver().await;
        installation.assert_one_each(&ordinary(OTHERS));
        assert_eq!(installation.deliveries(&others).await, [("sent", OTHERS)].into());
        let now = installation.harness.reread(&refused[0]).await;
        assert_eq!(now.delivery, Delivery::Failed);
        let detail = now.delivery_detail.unwrap().to_lowercase();
        assert!(detail.contains("550") && detail.contains("user"), "{detail}");
        assert_eq!(installation.suppressed().await, [address("unknown", 0)]);
        let inviter = format!("{OLIVIA}@example.com");
        assert_eq!(installation.copies(&[inviter]), [1], "the inviter is told");
    }

    async fn many_unknown_users_harm_no_other(program: Program) {
        let mut installation = Installation::new(program, Rules::default()).await;
        installation.harness.settings.letters = 2;
        let unknown: Vec<String> = (0..OTHERS).map(|number| address("unknown", number)).collect();
        let addresses: Vec<String> = ordinary(OTHERS).into_iter().zip(unknown).flat_map(|(known, unknown)| [known, unknown]).collect();
        let invitations = installation.invite(&addresses).await;
        let (running, mailer) = installation.start();
        installation.until(Time::Jumping, async || {
            assert_eq!(mailer.state(), BreakerState::Closed, "{}", installation.server.end_of_log());
            installation.is_done().await
        }).await;
        running.stop().await;
        installation.assert_one_each(&ordinary(OTHERS));
        assert_eq!(installation.deliveries(&invitations).await, [("failed", OTHERS), ("sent", OTHERS)].into());
        assert_eq!(installation.suppressed().await.len(), OTHERS);
        if program == Program::Postfix {
            // Postfix ends a connection after twenty errors, with 421 for the letter that comes next.
            assert!(installation.server.log().contains("too many errors after"));
        }
    }

    async fn full_mailboxes_are_tried_again(program: Program) {
        let installation = Installation::new(program, Rules::default()).await;
        let (others, refused) = invite(&installation, &["full", "overquota"]).await;
        deliver_others(&installation, &others, &refused).await;
        for (invitation, words) in refused.iter().zip(["452 4.2.2", "552 5.2.2"]) {
            let message = assert_deferred(&installation, invitation, words).await;
            assert_eq!(message.refused_at, None, "it is not counted as a refusal");
        }
        let (running, _) = installation.start();
        installation.until(Time::Jumping, async || {
            let [full, overquota] = [&refused[0], &refused[1]];
            installation.attempts(full).await.len() >= 2 && installation.attempts(overquota).await.len() >= 2
        }).await;
        running.stop().await;
        assert_eq!(installation.deliveries(&refused).await, [("deferred", 2)].into());
        assert_eq!(installation.suppressed().await, [""; 0]);
    }

    async fn letter_that_is_too_large_harms_no_other(program: Program) {
        let rules = Rules { letter_size: Some(LETTER_SIZE), ..Rules::default() };
        let installation = Installation::new(program, rules).await;
        let message = "Welcome to all of us! ".repeat(45).parse().unwrap();
        let large = installation.invite_by(&installation.harness.team, &["large@example.com".to_owned()], Some(message)).await;
        let others = installation.invite(&ordinary(OTHERS)).await;
        deliver_others(&installation, &others, &large).await;
        assert_deferred(&installation, &large[0], "size").await;
        let attempts = installation.attempts(&large[0]).await;
        let detail = &attempts[0].detail;
        assert_eq!((detail.stage.as_deref(), detail.code), (Some("mail"), Some(552)), "{detail:?}");
        assert_eq!(installation.suppressed().await, [""; 0]);
    }

    async fn refusals_for_policy_harm_no_other(program: Program) {
        let installation = Installation::new(program, Rules::default()).await;
        let (others, refused) = invite(&installation, &["policy", "content"]).await;
        deliver_others(&installation, &others, &refused).await;
        for (invitation, (stage, words)) in refused.iter().zip([("rcpt", "Refused by policy"), ("end", "Content refused")]) {
            let message = assert_deferred(&installation, invitation, words).await;
            assert!(message.refused_at.is_some(), "{message:?}");
            let attempts = installation.attempts(invitation).await;
            let detail = &attempts[0].detail;
            assert_eq!((detail.stage.as_deref(), detail.enhanced.as_deref()), (Some(stage), Some("5.7.1")));
            assert_eq!(attempts[0].verdict, "provisional");
        }
        assert_eq!(installation.suppressed().await, [""; 0]);
    }

    async fn greylisted_letters_are_delivered_later(program: Program) {
        let rules = Rules { greylists: true, ..Rules::default() };
        let installation = Installation::new(program, rules).await;
        let addresses = ordinary(OTHERS);
        let invitations = installation.invite(&addresses).await;
        let (running, mailer) = installation.start();
        installation.until(Time::Real, async || {
            assert_eq!(mailer.paused(), None);
            installation.deliveries(&invitations).await == [("deferred", OTHERS)].into()
        }).await;
        assert_eq!(installation.server.received(), [].into());
        installation.until(Time::Jumping, async || installation.is_done().await).await;
        running.stop().await;
        installation.assert_one_each(&addresses);
        for invitation in &invitations {
            assert_eq!(installation.attempts(invitation).await.len(), 2);
        }
    }

    async fn greylisting_of_several_organizations_stops_none(program: Program) {
        let rules = Rules { greylists: true, ..Rules::default() };
        let installation = Installation::new(program, rules).await;
        let addresses = ordinary(OTHERS);
        let (ours, theirs) = addresses.split_at(OTHERS / 2);
        let other = Team::on(installation.harness.database().clone()).await;
        let mut invitations = installation.invite(ours).await;
        invitations.extend(installation.invite_by(&other, theirs, None).await);
        let (running, mailer) = installation.start();
        installation.until(Time::Jumping, async || {
            assert_eq!(mailer.state(), BreakerState::Closed);
            installation.is_done().await
        }).await;
        running.stop().await;
        installation.assert_one_each(&addresses);
        assert_eq!(installation.deliveries(&invitations).await, [("sent", OTHERS)].into());
    }
}
