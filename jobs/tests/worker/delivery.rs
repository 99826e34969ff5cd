//! From the commit to the mail server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use chrono::TimeDelta;
use guestlist::{Delivery, Status};

use crate::harness::{Workbench, eventually};
use crate::on_both_stacks;
use crate::smtp::{Act, Script};
use crate::support::{OLIVIA, person, user};

/// The link a letter carries, as its reader finds it.
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

/// What was read is believed for 50 ms.
async fn grow_old() {
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
}

on_both_stacks! {
    async fn the_link_in_the_letter_makes_the_invitee_a_member(bench: Workbench) {
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "manager").await.unwrap();
        bench.work_until_idle().await;
        let letters = bench.letters_to("bob@example.com");
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("Auto-Submitted: auto-generated"));
        assert_eq!(bench.reread(&invitation).await.delivery, Delivery::Sent);
        assert_eq!(bench.counts().await, []);
        let membership = bench.team.accept(&token_in(&letters[0]), &person("bob")).await.unwrap();
        assert_eq!(membership.role.as_str(), "manager");
    }

    async fn many_invitations_get_one_letter_each(bench: Workbench) {
        let invites = (0..100).map(|n| bench.team.invitation_of(&format!("p{n}@example.com"), "agent")).collect();
        bench.team
            .in_transaction(async |tx| bench.team.guestlist.invite_all(tx, &user(OLIVIA), invites).await)
            .await
            .unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters().len(), 100);
        for number in 0..100 {
            assert_eq!(bench.letters_to(&format!("p{number}@example.com")).len(), 1);
        }
    }

    async fn what_was_closed_before_the_letter_left_is_not_sent(bench: Workbench) {
        let revoked = bench.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        bench.team.revoke(OLIVIA, revoked.id).await.unwrap();
        let accepted = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.team.accept(&bench.team.token(&accepted), &person("bob")).await.unwrap();
        let expired = bench.team.invite(OLIVIA, "c@example.com", "agent").await.unwrap();
        bench.team.advance_clock(TimeDelta::days(7));
        bench.work_until_idle().await;
        for invitation in [&revoked, &accepted, &expired] {
            assert!(bench.letters_to(invitation.email.as_str()).is_empty());
            let now = bench.reread(invitation).await;
            assert_eq!(now.delivery, Delivery::Suppressed);
            assert!(now.delivery_detail.unwrap().starts_with("not sent: the invitation is"));
        }
        assert_eq!(bench.reread(&expired).await.status, Status::Expired);
    }

    async fn what_was_closed_while_its_letter_waited_for_a_turn_is_not_sent(bench: Workbench) {
        let bench = bench.with_mail_server(Script::default().on("END", Act::Hold)).await;
        let mut context = bench.context();
        let (write, written) = (context.link.clone(), Arc::new(AtomicUsize::new(0)));
        let count = written.clone();
        context.link = Arc::new(move |token| {
            count.fetch_add(1, SeqCst);
            write(token)
        });
        let settings = guestlist_jobs::Settings { letters: 1, ..bench.settings };
        let first = bench.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let worker = tokio::spawn(guestlist_jobs::Worker::new(context, bench.queue.clone(), settings).run(stop.clone()));
        bench.smtp.until(|seen| seen.letters.len() == 1).await;
        let before = written.load(SeqCst);
        let second = bench.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        eventually("the second letter is written", async || written.load(SeqCst) > before).await;
        bench.team.revoke(OLIVIA, second.id).await.unwrap();
        grow_old().await;
        bench.smtp.release();
        eventually("both are settled", async || bench.counts().await.is_empty()).await;
        stop.cancel();
        worker.await.unwrap();
        assert_eq!(bench.reread(&first).await.delivery, Delivery::Sent);
        assert_eq!(bench.reread(&second).await.delivery, Delivery::Suppressed);
        assert_eq!(bench.letters().len(), 1);
    }

    async fn what_was_closed_while_the_mail_server_greeted_is_not_sent(bench: Workbench) {
        let bench = bench.with_mail_server(Script::default().on("CONNECT", Act::Hold).on("CONNECT", Act::Hold)).await;
        let closed = bench.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        let open = bench.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        let worker = bench.start();
        bench.smtp.until(|seen| seen.connections == 2).await;
        bench.team.revoke(OLIVIA, closed.id).await.unwrap();
        grow_old().await;
        bench.smtp.release();
        bench.smtp.release();
        eventually("both are settled", async || bench.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(bench.reread(&open).await.delivery, Delivery::Sent);
        assert_eq!(bench.reread(&closed).await.delivery, Delivery::Suppressed);
        assert_eq!((bench.letters().len(), bench.smtp.seen().heard("MAIL")), (1, 1));
    }

    async fn what_was_closed_while_a_broken_connection_was_replaced_is_not_sent(bench: Workbench) {
        // The connection of the first letter breaks when it hears of the second.
        let script = Script::default()
            .on("CONNECT", Act::Say("220 test ESMTP"))
            .on("CONNECT", Act::Hold)
            .on("MAIL", Act::Say("250 2.1.0 Ok"))
            .on("MAIL", Act::Hang);
        let bench = bench.with_mail_server(script).await;
        let bench = Workbench { settings: guestlist_jobs::Settings { letters: 1, ..bench.settings }, ..bench };
        let worker = bench.start();
        bench.team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        bench.smtp.until(|seen| seen.letters.len() == 1).await;
        let closed = bench.team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        bench.smtp.until(|seen| seen.connections == 2).await;
        bench.team.revoke(OLIVIA, closed.id).await.unwrap();
        grow_old().await;
        bench.smtp.release();
        eventually("both are settled", async || bench.counts().await.is_empty()).await;
        worker.stop().await;
        assert_eq!(bench.reread(&closed).await.delivery, Delivery::Suppressed);
        assert_eq!(bench.letters().len(), 1);
    }

    async fn no_letter_leaves_for_an_inviter_who_lost_the_right(bench: Workbench) {
        bench.team.join("adam", "admin").await;
        let invitation = bench.team.invite("adam", "bob@example.com", "admin").await.unwrap();
        bench.team.change_role(OLIVIA, "adam", "agent").await.unwrap();
        bench.work_until_idle().await;
        assert!(bench.letters_to("bob@example.com").is_empty());
        assert_eq!(bench.reread(&invitation).await.delivery, Delivery::Suppressed);
    }

    async fn a_resent_invitation_gets_the_newer_letter_only(bench: Workbench) {
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.team.advance_clock(TimeDelta::minutes(2));
        bench.team.resend(OLIVIA, invitation.id).await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 1);
        bench.team.advance_clock(TimeDelta::minutes(2));
        bench.team.resend(OLIVIA, invitation.id).await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 2);
    }

    async fn a_running_worker_sees_new_work_within_a_second(bench: Workbench) {
        let worker = bench.start();
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        eventually("the letter arrives", async || bench.letters().len() == 1).await;
        worker.stop().await;
    }

    async fn a_recipient_who_is_busy_is_tried_again_by_the_schedule(bench: Workbench) {
        let bench = bench
            .with_mail_server(Script::default().on("RCPT", Act::Say("450 4.2.0 greylisted\r\n")))
            .await;
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        let now = bench.reread(&invitation).await;
        assert_eq!(now.delivery, Delivery::Deferred);
        assert!(now.delivery_detail.unwrap().contains("greylisted"));
        bench.team.advance_clock(TimeDelta::minutes(4));
        bench.work_until_idle().await;
        assert!(bench.letters().is_empty(), "too early");
        bench.team.advance_clock(TimeDelta::minutes(2));
        bench.work_until_idle().await;
        assert_eq!(bench.letters().len(), 1);
        assert_eq!(bench.reread(&invitation).await.delivery, Delivery::Sent);
    }

    async fn a_recipient_who_does_not_exist_is_told_to_the_inviter_and_not_written_to_again(bench: Workbench) {
        let bench = bench
            .with_mail_server(Script::default().on("RCPT", Act::Say("550 5.1.1 no such user\r\n")))
            .await;
        let other = crate::support::Team::on(bench.team.database.clone()).await;
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.reread(&invitation).await.delivery, Delivery::Failed);
        let told = bench.letters_to("olivia@example.com");
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("5.1.1"));
        let again = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        assert!(bench.letters_to("bob@example.com").is_empty());
        assert_eq!(other.invitation(again.id).await.delivery, Delivery::Suppressed);
        bench.team.advance_clock(TimeDelta::minutes(2));
        bench.team.resend(OLIVIA, invitation.id).await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters_to("bob@example.com").len(), 1, "insisting helps");
    }

    async fn a_letter_that_no_server_takes_is_dead_until_it_is_retried(bench: Workbench) {
        let bench = bench
            .with_mail_server(Script::default().on("END", Act::Say("554 5.6.0 not with us\r\n")))
            .await;
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        bench.work_until_idle().await;
        let dead = bench.waiting(guestlist::outbox::State::Dead).await;
        assert_eq!(dead.len(), 1);
        assert!(dead[0].last_error.as_ref().unwrap().contains("not with us"));
        let mut tx = bench.team.begin().await;
        assert_eq!(guestlist::outbox::retry_dead(&mut tx, bench.team.now()).await.unwrap(), 1);
        tx.commit().await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters().len(), 2, "the one that was refused, and it again");
        assert_eq!(bench.counts().await, []);
    }

    async fn a_mail_server_that_is_down_costs_nobody_an_attempt(bench: Workbench) {
        let script = (0..3).fold(Script::default(), |script, _| {
            script.on("CONNECT", Act::SayAndHang("421 4.3.2 going down\r\n"))
        });
        let bench = bench.with_mail_server(script).await;
        for number in 0..10 {
            bench.team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        let worker = bench.start();
        eventually("every letter arrives", async || {
            bench.team.advance_clock(TimeDelta::seconds(1));
            bench.letters().len() == 10
        }).await;
        worker.stop().await;
        for number in 0..10 {
            assert_eq!(bench.letters_to(&format!("p{number}@example.com")).len(), 1);
        }
    }

    async fn a_letter_without_an_answer_is_sent_again_byte_for_byte(bench: Workbench) {
        let bench = bench.with_mail_server(Script::default().on("END", Act::Hang)).await;
        bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let worker = bench.start();
        eventually("it is accepted", async || {
            bench.team.advance_clock(TimeDelta::seconds(1));
            bench.counts().await.is_empty()
        }).await;
        worker.stop().await;
        let letters = bench.letters_to("bob@example.com");
        assert!(letters.windows(2).all(|pair| pair[0] == pair[1]), "every attempt is the same letter");
    }

    async fn stopping_finishes_the_letter_at_work(bench: Workbench) {
        let worker = bench.start();
        for number in 0..20 {
            bench.team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap();
        }
        eventually("some letter arrives", async || !bench.letters().is_empty()).await;
        let drained = worker.stop().await;
        assert_eq!(drained.abandoned, 0);
        let left: i64 = bench.counts().await.iter().map(|count| count.count).sum();
        assert_eq!(bench.letters().len() + usize::try_from(left).unwrap(), 20, "none is lost, none twice");
    }

    async fn a_message_speaks_of_ids_and_not_of_people(bench: Workbench) {
        let invitation = bench.team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let message = bench.waiting(guestlist::outbox::State::Ready).await.remove(0);
        let payload = message.ids.to_string();
        assert!(payload.contains(&invitation.id.to_string()) && !payload.contains("example.com"), "{payload}");
    }
}
