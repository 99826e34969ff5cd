//! From the commit to the mail server.

use chrono::TimeDelta;
use guestlist::{Delivery, Status};
use guestlist_testkit::smtp::{Action, Rule, Script, Stage};

use crate::harness::eventually;
use crate::on_both_stacks;
use crate::support::{OLIVIA, member, person};

/// The token of the link in a letter.
fn token_in(letter: &str) -> String {
    let letter = mail_parser::MessageParser::default()
        .parse(letter.as_bytes())
        .unwrap();
    let text = letter.body_text(0).unwrap();
    let link = text
        .split_whitespace()
        .find(|word| word.contains("/join/"))
        .unwrap()
        .to_owned();
    link.rsplit('/').next().unwrap().to_owned()
}

/// Waits until a state read before has expired; it is trusted for 50 ms.
async fn wait_until_stale() {
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
}

on_both_stacks! {
    async fn link_in_the_letter_makes_the_invitee_a_member(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "manager").await.unwrap();
        harness.work_until_idle().await;
        let letters = harness.letters_to("bob@example.com");
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("Auto-Submitted: auto-generated"));
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Sent);
        assert_eq!(harness.counts().await, []);
        let membership = harness.team.accept(&token_in(&letters[0]), &person("bob")).await.unwrap();
        assert_eq!(membership.role.as_str(), "manager");
    }

    async fn many_invitations_get_one_letter_each(harness: Harness) {
        let invites = (0..100).map(|n| harness.team.invitation_of(&format!("p{n}@example.com"), "agent")).collect();
        harness.team
            .in_transaction(async |tx| harness.team.guestlist.act(member(OLIVIA)).in_organization(harness.team.organization.id).invite_all(tx, invites).await)
            .await
            .unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 100);
        for number in 0..100 {
            assert_eq!(harness.letters_to(&format!("p{number}@example.com")).len(), 1);
        }
    }

    async fn closed_invitation_is_not_sent(harness: Harness) {
        let revoked = harness.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        harness.team.revoke(OLIVIA, revoked.id).await.unwrap();
        let accepted = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.team.accept(&harness.team.token(&accepted), &person("bob")).await.unwrap();
        let expired = harness.team.invite(OLIVIA, "c@example.com", "agent").await.unwrap();
        harness.team.advance_clock(TimeDelta::days(7));
        harness.work_until_idle().await;
        for invitation in [&revoked, &accepted, &expired] {
            assert!(harness.letters_to(invitation.email.as_str()).is_empty());
            let now = harness.reread(invitation).await;
            assert_eq!(now.delivery, Delivery::Suppressed);
            assert!(now.delivery_detail.unwrap().starts_with("not sent: the invitation is"));
        }
        assert_eq!(harness.reread(&expired).await.status, Status::Expired);
    }

    async fn invitation_closed_while_waiting_for_a_slot_is_not_sent(harness: Harness) {
        let mut harness = harness.with_mail_server(Script::default().on(Stage::End, Action::Hold)).await;
        harness.settings.letters = 1;
        let first = harness.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        let second = harness.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        eventually("the second letter waits", async || harness.queue.status().running == 2).await;
        harness.team.revoke(OLIVIA, second.id).await.unwrap();
        wait_until_stale().await;
        harness.smtp.release();
        eventually("both are settled", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(harness.reread(&first).await.delivery, Delivery::Sent);
        assert_eq!(harness.reread(&second).await.delivery, Delivery::Suppressed);
        assert_eq!(harness.letters().len(), 1);
    }

    async fn invitation_closed_during_the_smtp_greeting_is_not_sent(harness: Harness) {
        let harness = harness.with_mail_server(Script::default().on(Stage::Connect, Action::Hold).on(Stage::Connect, Action::Hold)).await;
        let closed = harness.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let open = harness.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.connections == 2).await;
        harness.team.revoke(OLIVIA, closed.id).await.unwrap();
        wait_until_stale().await;
        harness.smtp.release();
        harness.smtp.release();
        eventually("both are settled", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(harness.reread(&open).await.delivery, Delivery::Sent);
        assert_eq!(harness.reread(&closed).await.delivery, Delivery::Suppressed);
        assert_eq!((harness.letters().len(), harness.smtp.seen().heard("MAIL")), (1, 1));
    }

    async fn invitation_closed_during_a_reconnect_is_not_sent(harness: Harness) {
        // The first letter's connection breaks when the second letter is announced on it.
        let script = Script::default()
            .on(Stage::Connect, "220 test ESMTP")
            .on(Stage::Connect, Action::Hold)
            .on(Stage::Mail, "250 2.1.0 Ok")
            .on(Stage::Mail, Action::HangUp);
        let mut harness = harness.with_mail_server(script).await;
        harness.settings.letters = 1;
        let worker = harness.start();
        harness.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        harness.smtp.until(|seen| seen.letters.len() == 1).await;
        let closed = harness.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        harness.smtp.until(|seen| seen.connections == 2).await;
        harness.team.revoke(OLIVIA, closed.id).await.unwrap();
        wait_until_stale().await;
        harness.smtp.release();
        eventually("both are settled", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(harness.reread(&closed).await.delivery, Delivery::Suppressed);
        assert_eq!(harness.letters().len(), 1);
    }

    async fn no_letter_is_sent_for_an_inviter_without_permission(harness: Harness) {
        harness.team.join("adam", "admin").await;
        let invitation = harness.team.invite("adam", "bob@example.com", "admin").await.unwrap();
        harness.team.change_role(OLIVIA, "adam", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert!(harness.letters_to("bob@example.com").is_empty());
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Suppressed);
    }

    async fn resent_invitation_gets_only_the_newer_letter(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.team.advance_clock(TimeDelta::minutes(2));
        harness.team.resend(OLIVIA, invitation.id).await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.letters_to("bob@example.com").len(), 1);
        harness.team.advance_clock(TimeDelta::minutes(2));
        harness.team.resend(OLIVIA, invitation.id).await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.letters_to("bob@example.com").len(), 2);
    }

    async fn running_worker_finds_new_work_within_a_second(harness: Harness) {
        let worker = harness.start();
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        eventually("the letter arrives", async || harness.letters().len() == 1).await;
        worker.stop().await;
    }

    async fn temporary_refusal_is_retried_on_schedule(harness: Harness) {
        let harness = harness
            .with_mail_server(Script::default().on(Stage::Rcpt, "450 4.2.0 greylisted"))
            .await;
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        let now = harness.reread(&invitation).await;
        assert_eq!(now.delivery, Delivery::Deferred);
        assert!(now.delivery_detail.unwrap().contains("greylisted"));
        harness.team.advance_clock(TimeDelta::minutes(4));
        harness.work_until_idle().await;
        assert!(harness.letters().is_empty(), "too early");
        harness.team.advance_clock(TimeDelta::minutes(2));
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), 1);
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Sent);
    }

    async fn temporary_refusal_that_may_mean_everybody_is_retried_soon(harness: Harness) {
        let harness = harness
            .with_mail_server(Script::default().on(Stage::Rcpt, "450 4.7.1 come again"))
            .await;
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Deferred);
        harness.team.advance_clock(TimeDelta::seconds(20));
        harness.work_until_idle().await;
        assert!(harness.letters().is_empty(), "too early");
        harness.team.advance_clock(TimeDelta::seconds(20));
        harness.work_until_idle().await;
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Sent);
    }

    async fn unknown_recipient_is_suppressed_and_the_inviter_notified(harness: Harness) {
        let unknown = Rule::new(Stage::Rcpt, "550 5.1.1 no such user").to("bob@").times(1);
        let harness = harness.with_mail_server(Script::default().rule(unknown)).await;
        let other = crate::support::Team::on(harness.team.database.clone()).await;
        // The server has accepted a letter to somebody else, so the refusal is final at once.
        let carol = harness.team.invite(OLIVIA, "carol@example.com", "agent").await.unwrap();
        let worker = harness.start();
        eventually("it is accepted", async || harness.reread(&carol).await.delivery == Delivery::Sent).await;
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        eventually("the inviter is told", async || !harness.letters_to("olivia@example.com").is_empty()).await;
        worker.stop().await;
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Failed);
        let told = harness.letters_to("olivia@example.com");
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("5.1.1"));
        let again = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        harness.work_until_idle().await;
        assert!(harness.letters_to("bob@example.com").is_empty());
        let unsent = other.invitation(again.id).await;
        assert_eq!(unsent.delivery, Delivery::Suppressed);
        let detail = unsent.delivery_detail.unwrap();
        assert_eq!(detail, "the address cannot be reached by mail; hand over the link");
        let told = harness.letters_to("olivia@example.com");
        assert_eq!(told.len(), 2, "the other inviter is told too");
        assert!(told[1].contains("cannot be reached by mail") && !told[1].contains("5.1.1"), "{}", told[1]);
        harness.team.advance_clock(TimeDelta::minutes(2));
        harness.team.resend(OLIVIA, invitation.id).await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.letters_to("bob@example.com").len(), 1, "insisting helps");
    }

    async fn refusal_is_shown_and_tried_again_before_it_is_final(harness: Harness) {
        let refused = Rule::new(Stage::End, "554 5.7.1 not with us").to("bob@").times(2);
        let harness = harness.with_mail_server(Script::default().rule(refused)).await;
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for wait in [TimeDelta::zero(), TimeDelta::minutes(1)] {
            harness.team.advance_clock(wait);
            harness.work_until_idle().await;
            let now = harness.reread(&invitation).await;
            assert_eq!(now.delivery, Delivery::Deferred);
            assert!(now.delivery_detail.unwrap().contains("not with us"));
        }
        harness.team.advance_clock(TimeDelta::minutes(13));
        harness.work_until_idle().await;
        assert_eq!(harness.reread(&invitation).await.delivery, Delivery::Sent);
    }

    async fn envelope_sender_names_the_letter(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut context = harness.context();
        context.envelope_from = Some("bounces+{letter}@acme.example".parse().unwrap());
        let worker = guestlist_jobs::Worker::new(context, harness.queue.clone(), harness.settings);
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        let seen = harness.smtp.seen();
        let mail = seen.commands.iter().find_map(|line| line.strip_prefix("MAIL FROM:<")).unwrap();
        let sender = mail.split('>').next().unwrap();
        assert!(sender.starts_with("bounces+") && sender.ends_with("@acme.example"), "{sender}");
        let letter = harness.team.guestlist.sent_letter(sender).expect("genuine");
        assert_eq!((letter.invitation, letter.letter), (invitation.id, 1));
        assert!(harness.letters()[0].contains("<team@example.org>"));
    }

    async fn letters_carry_reply_to_and_extra_headers(harness: Harness) {
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut context = harness.context();
        context.reply_to = Some("Help <help@acme.example>".parse().unwrap());
        context.headers = "X-PM-Message-Stream: invitations".parse().unwrap();
        let worker = guestlist_jobs::Worker::new(context, harness.queue.clone(), harness.settings);
        worker.run_until_idle(tokio_util::sync::CancellationToken::new()).await.unwrap();
        let letter = &harness.letters()[0];
        assert!(letter.contains("\r\nReply-To: \"Help\" <help@acme.example>\r\n"), "{letter}");
        assert!(letter.contains("\r\nX-PM-Message-Stream: invitations\r\n"), "{letter}");
    }

    async fn pause_of_all_sending_shows_at_each_invitation(harness: Harness) {
        let refuses = Rule::new(Stage::Mail, "550 5.7.1 sender not allowed");
        let harness = harness.with_mail_server(Script::default().rule(refuses)).await;
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let worker = harness.start();
        eventually("it shows", async || harness.reread(&invitation).await.delivery == Delivery::Paused).await;
        harness.smtp.clear_rules();
        eventually("the letter leaves", async || {
            harness.team.advance_clock(TimeDelta::seconds(1));
            harness.reread(&invitation).await.delivery == Delivery::Sent
        }).await;
        worker.stop().await;
        let later = harness.team.invite(OLIVIA, "carol@example.com", "agent").await.unwrap();
        assert_eq!(harness.reread(&later).await.delivery, Delivery::Queued);
    }

    async fn unreachable_mail_server_uses_up_no_attempt(harness: Harness) {
        let down = Action::reply_and_hang_up("421 4.3.2 going down");
        let harness = harness.with_mail_server(Script::default().rule(Rule::new(Stage::Connect, down).times(3))).await;
        for number in 0..10 {
            harness.team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        let worker = harness.start();
        eventually("every letter arrives", async || {
            harness.team.advance_clock(TimeDelta::seconds(1));
            harness.letters().len() == 10
        }).await;
        worker.stop().await;
        for number in 0..10 {
            assert_eq!(harness.letters_to(&format!("p{number}@example.com")).len(), 1);
        }
    }

    async fn unanswered_letter_is_repeated_byte_for_byte(harness: Harness) {
        let harness = harness.with_mail_server(Script::default().on(Stage::End, Action::HangUp)).await;
        harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let worker = harness.start();
        eventually("it is accepted", async || {
            harness.team.advance_clock(TimeDelta::seconds(1));
            harness.counts().await.is_empty()
        }).await;
        worker.stop().await;
        let letters = harness.letters_to("bob@example.com");
        assert!(letters.windows(2).all(|pair| pair[0] == pair[1]), "every attempt is the same letter");
    }

    async fn stopping_finishes_the_current_letter(harness: Harness) {
        let worker = harness.start();
        for number in 0..20 {
            harness.team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        eventually("some letter arrives", async || !harness.letters().is_empty()).await;
        let drained = worker.stop().await;
        assert_eq!(drained.abandoned, 0);
        let left: i64 = harness.counts().await.iter().map(|count| count.count).sum();
        assert_eq!(harness.letters().len() + usize::try_from(left).unwrap(), 20, "none is lost, none twice");
    }

    async fn message_holds_ids_and_no_personal_data(harness: Harness) {
        let invitation = harness.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let message = harness.waiting(guestlist::outbox::State::Ready).await.remove(0);
        let payload = message.ids.to_string();
        assert!(payload.contains(&invitation.id.to_string()) && !payload.contains("example.com"), "{payload}");
    }
}
