//! Bounces: letters that came back after a mail server had accepted them.

use chrono::TimeDelta;
use guestlist::worker::{self, DeliveryReport};
use guestlist::{
    Bounce, BounceEffect, BounceKind, Delivery, EmailAddress, Error, Event, Guestlist,
    InvalidEmailAddress, Invitation, InvitationId, Key, KeyRing, SentLetter,
};
use proptest::prelude::*;

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, person};

fn bounces() -> EmailAddress {
    "bounces@team.example".parse().expect("an address")
}

fn sent(guestlist: &Guestlist, id: InvitationId, letter: i64) -> SentLetter {
    let sender = guestlist.envelope_sender(&bounces(), id, letter);
    let sender = sender.expect("an address");
    guestlist.sent_letter(sender.as_str()).expect("genuine")
}

fn hard(diagnostic: &str) -> Bounce {
    let mut bounce = Bounce::new(BounceKind::Hard);
    bounce.status = Some("5.1.1".to_owned());
    bounce.diagnostic = Some(diagnostic.to_owned());
    bounce
}

/// Invites an address, and reports its letter as sent.
async fn invited(team: &Team, email: &str) -> Invitation {
    let invitation = team.invite(OLIVIA, email, "agent").await.unwrap();
    let report = DeliveryReport::new(invitation.id, 1, Delivery::Sent, None);
    team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await)
        .await
        .unwrap();
    invitation
}

async fn record(team: &Team, id: InvitationId, letter: i64, bounce: &Bounce) -> BounceEffect {
    let letter = sent(&team.guestlist, id, letter);
    team.in_transaction(async |tx| team.guestlist.record_bounce(tx, letter, bounce).await)
        .await
        .unwrap()
}

async fn is_suppressed(team: &Team, email: &EmailAddress) -> bool {
    let mut tx = team.begin().await;
    let found = worker::suppression(&mut tx, team.now(), email).await;
    found.unwrap().is_some()
}

async fn last_event(team: &Team) -> Event {
    team.events().await.pop().expect("an event")
}

on_both_databases! {
    async fn hard_bounce_fails_the_delivery_and_tells_the_inviter_once(team: Team) {
        let invitation = invited(&team, "bob@example.com").await;
        let bounce = hard("550 5.1.1 <bob@example.com> no such\r\nuser, forwarded to <secret@home.example>");
        assert_eq!(record(&team, invitation.id, 1, &bounce).await, BounceEffect::Suppressed);
        let now = team.invitation(invitation.id).await;
        assert_eq!((now.delivery, now.bounced_at), (Delivery::Bounced, Some(team.now())));
        let detail = "550 5.1.1 <b…@example.com> no such user, forwarded to <s…@home.example>";
        assert_eq!(now.delivery_detail.as_deref(), Some(detail));
        assert!(is_suppressed(&team, &invitation.email).await);
        let event = last_event(&team).await;
        assert_eq!((event.kind.as_str(), &event.after.unwrap()["reason"]), ("invitation_bounced", &detail.into()));
        let told = team.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        assert_eq!(told, 1);
        let events = team.events().await.len();
        assert_eq!(record(&team, invitation.id, 1, &bounce).await, BounceEffect::Repeated);
        assert_eq!(team.events().await.len(), events);
    }

    async fn bounce_for_another_reason_suppresses_nothing(team: Team) {
        let invitation = invited(&team, "bob@example.com").await;
        let bounce = hard("550 5.7.1 this message looks like spam");
        assert_eq!(record(&team, invitation.id, 1, &bounce).await, BounceEffect::Bounced);
        assert_eq!(team.invitation(invitation.id).await.delivery, Delivery::Bounced);
        assert!(!is_suppressed(&team, &invitation.email).await);
    }

    async fn soft_bounce_changes_nothing(team: Team) {
        let invitation = invited(&team, "bob@example.com").await;
        let (before, events) = (team.invitation(invitation.id).await, team.events().await.len());
        let bounce = Bounce::new(BounceKind::Soft);
        assert_eq!(record(&team, invitation.id, 1, &bounce).await, BounceEffect::Delayed);
        assert_eq!(team.invitation(invitation.id).await, before);
        assert_eq!(team.events().await.len(), events);
    }

    async fn bounce_of_an_older_letter_is_only_an_event(team: Team) {
        let invitation = invited(&team, "bob@example.com").await;
        team.advance_clock(TimeDelta::minutes(2));
        team.resend(OLIVIA, invitation.id).await.unwrap();
        let before = team.invitation(invitation.id).await;
        assert_eq!(record(&team, invitation.id, 1, &hard("no such user")).await, BounceEffect::Older);
        assert_eq!(team.invitation(invitation.id).await, before);
        assert_eq!(last_event(&team).await.kind.as_str(), "invitation_bounced_late");
        assert!(!is_suppressed(&team, &invitation.email).await);
        assert!(!team.messages().await.contains(&"send_notice".to_owned()), "nobody is told");
    }

    async fn bounce_of_a_closed_invitation_is_only_an_event(team: Team) {
        let accepted = invited(&team, "bob@example.com").await;
        team.accept(&team.token(&accepted), &person("bob")).await.unwrap();
        let revoked = invited(&team, "eve@example.com").await;
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let expired = invited(&team, "max@example.com").await;
        team.advance_clock(TimeDelta::days(7));
        for invitation in [&accepted, &revoked, &expired] {
            let before = team.invitation(invitation.id).await;
            assert_eq!(record(&team, invitation.id, 1, &hard("no such user")).await, BounceEffect::Closed);
            assert_eq!(team.invitation(invitation.id).await, before);
            assert_eq!(last_event(&team).await.kind.as_str(), "invitation_bounced_late");
            assert!(!is_suppressed(&team, &invitation.email).await);
        }
    }

    async fn bounce_may_come_before_its_letter_is_settled(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        assert_eq!(record(&team, invitation.id, 1, &hard("unknown user")).await, BounceEffect::Suppressed);
        let sent = DeliveryReport::new(invitation.id, 1, Delivery::Sent, None);
        team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &sent).await).await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.delivery, Delivery::Bounced);
    }

    async fn resend_ends_the_bounce_and_the_suppression(team: Team) {
        let invitation = invited(&team, "bob@example.com").await;
        record(&team, invitation.id, 1, &hard("unknown user")).await;
        team.advance_clock(TimeDelta::minutes(2));
        let resent = team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!((resent.delivery, resent.bounced_at), (Delivery::Queued, None));
        assert_eq!(team.invitation(invitation.id).await, resent);
        assert!(!is_suppressed(&team, &invitation.email).await);
        assert_eq!(record(&team, invitation.id, 2, &hard("unknown user")).await, BounceEffect::Suppressed);
    }

    async fn bounce_of_a_deleted_invitation_changes_nothing(team: Team) {
        let id = "01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap();
        assert_eq!(record(&team, id, 1, &hard("unknown user")).await, BounceEffect::Gone);
        let letter = sent(&team.guestlist, id, 1);
        let mut connection = team.database.acquire().await.unwrap();
        let refused = team.guestlist.record_bounce(&mut connection, letter, &hard("unknown user")).await;
        assert!(matches!(refused, Err(Error::NoTransaction)), "{refused:?}");
    }
}

fn guestlist(ring: KeyRing, audience: &str) -> Guestlist {
    Guestlist::builder()
        .key_ring(ring)
        .audience(audience)
        .build()
}

#[test]
fn envelope_sender_holds_for_its_keys_and_audience() {
    let id = "01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap();
    let (old, new) = (Key::generate(), Key::generate());
    let before = guestlist(KeyRing::of(old.clone()), "app");
    let sender = before.envelope_sender(&bounces(), id, 3).unwrap();
    assert!(sender.local_part().len() <= 64 && sender.as_str().ends_with("@team.example"));
    let ring = |keys: &[&Key]| {
        let keys: Vec<_> = keys.iter().map(|key| key.expose()).collect();
        keys.join(",").parse::<KeyRing>().unwrap()
    };
    for (guestlist, holds) in [
        (guestlist(ring(&[&old]), "app"), true),
        (guestlist(ring(&[&new, &old]), "app"), true),
        (guestlist(ring(&[&new]), "app"), false),
        (guestlist(ring(&[&old]), "other"), false),
        (guestlist(KeyRing::default(), "app"), false),
    ] {
        let found = guestlist.sent_letter(sender.as_str());
        let found = found.map(|letter| (letter.invitation, letter.letter));
        assert_eq!(found, holds.then_some((id, 3)), "{guestlist:?}");
    }
    let none = guestlist(KeyRing::default(), "app").envelope_sender(&bounces(), id, 3);
    assert!(matches!(none, Err(Error::NoKey)), "{none:?}");
    let longest = "b".repeat(64 - SentLetter::EXTENSION_LENGTH);
    let fits = format!("{longest}@team.example").parse().unwrap();
    assert_eq!(
        before
            .envelope_sender(&fits, id, 9999)
            .unwrap()
            .local_part()
            .len(),
        64
    );
    let long = before.envelope_sender(&fits, id, 10_000);
    let expected = InvalidEmailAddress::LocalPartLength;
    assert!(
        matches!(long, Err(Error::InvalidEmailAddress(found)) if found == expected),
        "{long:?}"
    );
}

#[test]
fn envelope_sender_stays_the_same_between_versions() {
    let ring: KeyRing = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        .parse()
        .unwrap();
    let id = "01936f5e-7b1a-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap();
    let sender = guestlist(ring, "app")
        .envelope_sender(&bounces(), id, 3)
        .unwrap();
    assert_eq!(
        sender.as_str(),
        "bounces+agjw6xt3dj6d3dspljvxzdm6b4.3.mau26l7y3avjtehj@team.example"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::strength::rounds(256, 100_000)))]

    #[test]
    fn mutated_envelope_sender_is_refused(id: u128, letter in 1..9999_i64, place in 0..64_usize, with in "[!-~]", upper: bool) {
        let guestlist = guestlist(KeyRing::of(Key::generate()), "app");
        let id = uuid::Uuid::from_u128(id).into();
        let sender = guestlist.envelope_sender(&bounces(), id, letter).unwrap().to_string();
        let sender = if upper { sender.to_uppercase() } else { sender };
        let found = guestlist.sent_letter(&sender).expect("genuine");
        prop_assert_eq!((found.invitation, found.letter), (id, letter));
        let first = sender.find('+').unwrap() + 1;
        let place = first + place % (sender.find('@').unwrap() - first);
        let same = sender[place..=place].eq_ignore_ascii_case(&with);
        let mutated = format!("{}{with}{}", &sender[..place], &sender[place + 1..]);
        if same {
            prop_assert!(guestlist.sent_letter(&mutated).is_some());
        } else {
            prop_assert_eq!(guestlist.sent_letter(&mutated), None);
        }
        let shorter = format!("{}{}", &sender[..place], &sender[place + 1..]);
        prop_assert_eq!(guestlist.sent_letter(&shorter), None);
        let longer = format!("{}{with}{}", &sender[..place], &sender[place..]);
        let is_another_tag = with == "+" && place == first;
        prop_assert_eq!(guestlist.sent_letter(&longer).is_some(), is_another_tag);
    }

    #[test]
    fn any_text_names_no_letter(text: String, letter in any::<i64>()) {
        let guestlist = guestlist(KeyRing::of(Key::generate()), "app");
        prop_assert_eq!(guestlist.sent_letter(&text), None);
        let forged = format!("b+afzvhfwabv6a5tgmzxgmzxgmzq.{letter}.mzxw6ytboi4dcmjr@b.co");
        prop_assert_eq!(guestlist.sent_letter(&forged), None);
    }
}
