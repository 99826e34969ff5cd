//! Refusals of a mail server: those of one recipient or organization stay with it, and those of everybody
//! are nobody's.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use guestlist::{Delivery, Invitation};
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::{Harness, eventually};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team};

/// The time that letters to others may take while some are refused. On an idle machine it is less than a
/// second.
const SOON: Duration = Duration::from_secs(15);

/// The waits after which a refusal has been repeated often and long enough to be final.
const CONFIRMED: [TimeDelta; 4] = [
    TimeDelta::zero(),
    TimeDelta::minutes(1),
    TimeDelta::minutes(13),
    TimeDelta::minutes(150),
];

/// Replies by which a server refuses the sender, or fails, whoever the recipient is.
const TO_EVERYBODY: [(Stage, &str); 6] = [
    (
        Stage::End,
        "554 5.2.252 SendAsDenied; team@example.org not allowed to send as team@example.org",
    ),
    (
        Stage::End,
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
    ),
    (Stage::Rcpt, "550 5.4.5 Daily user sending limit exceeded"),
    (Stage::Rcpt, "550 relay not permitted"),
    (Stage::Rcpt, "454 4.7.1 Relay access denied"),
    (Stage::End, "451 Temporary local problem - please try later"),
];

/// Invites people of five domains.
async fn invite(team: &Team, name: &str, count: usize) -> Vec<Invitation> {
    let mut invited = Vec::new();
    for number in 0..count {
        let address = format!("{name}{number}@domain{}.example", number % 5);
        invited.push(team.invite(OLIVIA, &address, "agent").await.unwrap());
    }
    invited
}

async fn any_is(harness: &Harness, invitations: &[Invitation], delivery: Delivery) -> bool {
    for invitation in invitations {
        if harness.reread(invitation).await.delivery == delivery {
            return true;
        }
    }
    false
}

async fn all_are(harness: &Harness, invitations: &[Invitation], delivery: Delivery) -> bool {
    for invitation in invitations {
        if harness.reread(invitation).await.delivery != delivery {
            return false;
        }
    }
    true
}

on_both_stacks! {
    async fn refused_recipients_are_shown_and_delay_no_other(harness: Harness) {
        let policy = Rule::new(Stage::Rcpt, "550 5.7.1 <bad>: Recipient address rejected").to("bad");
        let harness = harness.with_mail_server(Script::default().rule(policy)).await;
        let worker = harness.start();
        let refused = invite(&harness.team, "bad", 5).await;
        // Chance decides which of them is tried before the suspicion that everybody is refused.
        eventually("a refusal shows", async || any_is(&harness, &refused, Delivery::Deferred).await).await;
        let began = Instant::now();
        let others = invite(&harness.team, "other", 20).await;
        eventually("the others are sent", async || all_are(&harness, &others, Delivery::Sent).await).await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        // Some of the refused were held back by the suspicion that everybody is refused.
        harness.team.advance_clock(TimeDelta::seconds(10));
        eventually("the refusals show", async || all_are(&harness, &refused, Delivery::Deferred).await).await;
        worker.stop().await;
        let detail = harness.reread(&refused[4]).await.delivery_detail.unwrap();
        assert!(detail.contains("Recipient address rejected"), "{detail}");
    }

    async fn connection_lost_for_one_letter_is_shown_and_counted(harness: Harness) {
        let lost = Rule::new(Stage::Data, Action::HangUp).to("bad");
        let harness = harness.with_mail_server(Script::default().rule(lost)).await;
        let worker = harness.start();
        let bad = invite(&harness.team, "bad", 1).await.remove(0);
        let mut round = 0;
        eventually("it is shown", async || {
            round += 1;
            let other = invite(&harness.team, &format!("other{round}-"), 1).await;
            eventually("another is sent", async || all_are(&harness, &other, Delivery::Sent).await).await;
            harness.team.advance_clock(TimeDelta::seconds(5));
            any_is(&harness, std::slice::from_ref(&bad), Delivery::Deferred).await
        }).await;
        worker.stop().await;
        let detail = harness.reread(&bad).await.delivery_detail.unwrap();
        assert!(detail.contains("connection lost at DATA"), "{detail}");
        let waiting = harness.waiting(guestlist::outbox::State::Ready).await;
        assert_eq!(waiting.len(), 1);
        assert!(waiting[0].attempts >= 1 && waiting[0].faults == 0, "{waiting:?}");
        assert!(harness.letters_to("bad0@domain0.example").is_empty());
    }

    async fn refused_content_of_one_organization_delays_no_other(harness: Harness) {
        let content = Rule::new(Stage::End, "550 5.7.1 Message rejected due to content restrictions").to("lead");
        let harness = harness.with_mail_server(Script::default().rule(content)).await;
        let spammer = Team::on(harness.team.database.clone()).await;
        let worker = harness.start();
        let refused = invite(&spammer, "lead", 20).await;
        eventually("the refusals show", async || all_are(&harness, &refused, Delivery::Deferred).await).await;
        let began = Instant::now();
        let others = invite(&harness.team, "other", 20).await;
        eventually("the others are sent", async || all_are(&harness, &others, Delivery::Sent).await).await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        worker.stop().await;
        assert!(all_are(&harness, &refused, Delivery::Deferred).await);
    }

    async fn refused_inviter_costs_the_notice_and_nothing_else(harness: Harness) {
        let policy = Rule::new(Stage::Rcpt, "550 5.7.1 <olivia>: Recipient address rejected").to("olivia");
        let harness = harness.with_mail_server(Script::default().rule(policy)).await;
        let declined = invite(&harness.team, "declining", 1).await.remove(0);
        harness.work_until_idle().await;
        harness.team.decline(&harness.team.token(&declined)).await.unwrap();
        for (round, wait) in CONFIRMED.into_iter().enumerate() {
            harness.team.advance_clock(wait);
            assert_eq!(harness.counts().await.len(), 1, "the notice waits");
            let other = invite(&harness.team, &format!("round{round}-"), 1).await;
            harness.work_until_idle().await;
            assert!(all_are(&harness, &other, Delivery::Sent).await);
        }
        assert_eq!(harness.counts().await, [], "the notice is given up");
        assert!(harness.letters_to("olivia@example.com").is_empty());
    }

    async fn spam_of_one_organization_says_nothing_about_the_address(harness: Harness) {
        let spam = Rule::new(Stage::End, "550 This message looks like spam").to("bob").times(CONFIRMED.len());
        let harness = harness.with_mail_server(Script::default().rule(spam)).await;
        let refused = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for (round, wait) in CONFIRMED.into_iter().enumerate() {
            assert_ne!(harness.reread(&refused).await.delivery, Delivery::Failed);
            harness.team.advance_clock(wait);
            invite(&harness.team, &format!("round{round}-"), 1).await;
            harness.work_until_idle().await;
        }
        assert_eq!(harness.reread(&refused).await.delivery, Delivery::Failed);
        let other = Team::on(harness.team.database.clone()).await;
        other.advance_clock(CONFIRMED.into_iter().sum());
        let again = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.reread(&again).await.delivery, Delivery::Sent);
    }

    async fn refusal_of_everybody_fails_and_suppresses_nobody(harness: Harness) {
        let other = Team::on(harness.team.database.clone()).await;
        let worker = harness.start();
        for (round, (stage, reply)) in TO_EVERYBODY.into_iter().enumerate() {
            harness.smtp.add_rule(Rule::new(stage, reply));
            let mut invited = invite(&harness.team, &format!("round{round}-"), 6).await;
            invited.extend(invite(&other, &format!("other{round}-"), 6).await);
            eventually("sending pauses", async || {
                let mut paused = 0;
                for invitation in &invited {
                    let delivery = harness.reread(invitation).await.delivery;
                    assert!(!matches!(delivery, Delivery::Failed | Delivery::Suppressed), "{reply}: {delivery:?}");
                    paused += usize::from(delivery == Delivery::Paused);
                }
                paused >= 9
            }).await;
            harness.smtp.clear_rules();
            eventually("all are sent", async || {
                harness.team.advance_clock(TimeDelta::seconds(5));
                all_are(&harness, &invited, Delivery::Sent).await
            }).await;
        }
        worker.stop().await;
    }

    async fn address_beyond_ascii_waits_for_a_server_that_takes_it(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "jürgen@example.com", "agent").await.unwrap();
        for (round, wait) in [TimeDelta::zero(), TimeDelta::minutes(1)].into_iter().enumerate() {
            harness.team.advance_clock(wait);
            let other = invite(&harness.team, &format!("round{round}-"), 1).await;
            harness.work_until_idle().await;
            assert!(all_are(&harness, &other, Delivery::Sent).await);
        }
        let detail = harness.reread(&invitation).await.delivery_detail.unwrap();
        assert!(detail.contains("SMTPUTF8"), "{detail}");
        assert!(harness.letters_to("jürgen@example.com").is_empty());
        let harness = harness.with_mail_server(Script::default().offers("SMTPUTF8").offers("8BITMIME")).await;
        harness.team.advance_clock(TimeDelta::minutes(150));
        let another = Team::on(harness.team.database.clone()).await;
        another.advance_clock(TimeDelta::minutes(151));
        let again = another.invite(OLIVIA, "jürgen@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert!(all_are(&harness, &[invitation, again], Delivery::Sent).await);
    }
}
