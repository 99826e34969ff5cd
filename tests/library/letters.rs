//! Reading and recording many letters at once gives the same result as one at a time.

use guestlist::outbox::{self, Completion, State, Task};
use guestlist::worker::{self, DeliveryReport};
use guestlist::{Delivery, Invitation, InvitationId, MessageId};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member};

async fn report(team: &Team, invitation: &Invitation, letter: i64, delivery: Delivery) {
    let report = DeliveryReport::new(
        invitation.id,
        letter,
        delivery,
        Some("550 5.1.1 no such user".to_owned()),
    )
    .suppressing();
    team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await)
        .await
        .unwrap();
}

/// Returns the message that sends the first letter of an invitation.
async fn message_of(team: &Team, invitation: &Invitation) -> MessageId {
    let mut tx = team.begin().await;
    let listed = outbox::list(&mut tx, team.now(), State::Ready, None, 100).await;
    let task = Task::SendInvitation {
        invitation: invitation.id,
        letter: 1,
    };
    let mut messages = listed.unwrap().into_iter();
    let message = messages.find(|message| message.task().as_ref() == Some(&task));
    message.unwrap().id
}

/// Asserts that the batch read gives the same facts as single reads; returns how many were found.
async fn assert_facts_agree(team: &Team, ids: &[InvitationId]) -> usize {
    let guestlist = &team.guestlist;
    let mut tx = team.begin().await;
    let together = worker::letter_facts(guestlist, &mut tx, ids).await.unwrap();
    for id in ids {
        let facts = together.iter().find(|facts| facts.invitation.id == *id);
        let alone = guestlist.invitation(&mut tx, *id).await.unwrap();
        assert_eq!(facts.map(|facts| &facts.invitation), alone.as_ref());
        let (Some(facts), Some(invitation)) = (facts, alone) else {
            continue;
        };
        let holds = worker::grant_holds(guestlist, &mut tx, &invitation)
            .await
            .unwrap();
        assert_eq!(facts.grant_holds, holds, "{}", invitation.email);
        let reason = worker::suppression(&mut tx, team.now(), &invitation.email)
            .await
            .unwrap();
        let reason = reason.map(|found| found.reason);
        assert_eq!(facts.suppression, reason, "{}", invitation.email);
        let organization = guestlist
            .organization(&mut tx, invitation.organization)
            .await
            .unwrap();
        assert_eq!(facts.organization, organization);
        let user = invitation.granted_by.user_id().unwrap();
        let inviter = guestlist
            .find_member(&mut tx, invitation.organization, user)
            .await
            .unwrap();
        let inviter = inviter.filter(|inviter| !inviter.is_suspended());
        assert_eq!(facts.inviter, inviter, "{}", invitation.email);
    }
    together.len()
}

on_both_databases! {
    async fn batch_read_of_letter_facts_equals_single_reads(team: Team) {
        let other = Team::on(team.database.clone()).await;
        let mut ids = Vec::new();
        for (actor, email) in [
            ("bob", "of-bob@example.com"), ("carol", "of-carol@example.com"), ("dave", "of-dave@example.com"),
            ("erin", "of-erin@example.com"),
        ] {
            team.join(actor, "admin").await;
            ids.push(team.invite(actor, email, "agent").await.unwrap().id);
        }
        let suppressed = team.invite(OLIVIA, "Gone@example.com", "agent").await.unwrap();
        report(&team, &suppressed, 1, Delivery::Failed).await;
        let elsewhere = other.invite(OLIVIA, "gone@example.com", "agent").await.unwrap();
        ids.extend([suppressed.id, elsewhere.id]);
        ids.push(InvitationId::from(uuid::Uuid::now_v7()));
        team.suspend(OLIVIA, "bob").await.unwrap();
        team.remove(OLIVIA, "carol").await.unwrap();
        team.change_role(OLIVIA, "dave", "agent").await.unwrap();
        assert_eq!(assert_facts_agree(&team, &ids).await, 6);
        let mut tx = team.begin().await;
        let facts = worker::letter_facts(&team.guestlist, &mut tx, &ids).await.unwrap();
        let mut holding: Vec<_> = facts.iter().filter(|facts| facts.grant_holds)
            .map(|facts| (facts.invitation.email.to_string(), facts.suppression.is_some())).collect();
        holding.sort();
        let expected = [("Gone@example.com", true), ("gone@example.com", true), ("of-erin@example.com", false)];
        assert_eq!(holding, expected.map(|(email, is)| (email.to_owned(), is)));
        assert!(worker::letter_facts(&team.guestlist, &mut tx, &[]).await.unwrap().is_empty());
        drop(tx);
        team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).delete(tx).await).await.unwrap();
        assert_eq!(assert_facts_agree(&team, &ids).await, 1, "the invitations went with their organization");
    }

    async fn batch_of_sent_letters_equals_single_records(team: Team) {
        let mut invitations = Vec::new();
        for number in 0..5 {
            invitations.push(team.invite(OLIVIA, &format!("p{number}@example.com"), "agent").await.unwrap());
        }
        let [sent, newer, failed, settled, untouched] = &invitations[..] else { panic!("five") };
        report(&team, sent, 1, Delivery::Deferred).await;
        report(&team, failed, 1, Delivery::Failed).await;
        let mut completions = Vec::new();
        for (invitation, letter) in [(sent, 1), (newer, 2), (failed, 1), (settled, 1)] {
            completions.push(Completion::of_letter(message_of(&team, invitation).await, invitation.id, letter));
        }
        let already = [Completion::from(message_of(&team, settled).await)];
        team.in_transaction(async |tx| outbox::complete(tx, &already).await).await.unwrap();
        let history = team.history().await;
        let mut completed = team.in_transaction(async |tx| outbox::complete(tx, &completions).await).await.unwrap();
        completed.sort();
        assert_eq!(completed, completions[..3].iter().map(|completion| completion.message).collect::<Vec<_>>());
        let fares = async |of: &Invitation| {
            let now = team.invitation(of.id).await;
            (now.delivery, now.delivery_detail.is_some())
        };
        assert_eq!(fares(sent).await, (Delivery::Sent, false));
        assert_eq!(fares(newer).await, (Delivery::Queued, false), "it speaks of another letter");
        assert_eq!(fares(failed).await, (Delivery::Failed, true), "a permanent failure is final");
        assert_eq!(fares(settled).await, (Delivery::Queued, false), "another worker has completed it");
        assert_eq!(fares(untouched).await, (Delivery::Queued, false));
        assert_eq!(team.history().await, history);
        let none = team.in_transaction(async |tx| outbox::complete(tx, &[]).await).await.unwrap();
        assert_eq!(none, []);
        let mut connection = team.database.acquire().await.unwrap();
        let refused = outbox::complete(&mut connection, &completions).await;
        assert!(matches!(refused, Err(guestlist::Error::NoTransaction)), "{refused:?}");
    }
}
