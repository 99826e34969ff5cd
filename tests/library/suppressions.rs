//! Suppressed addresses: how long, for whom, and what ends it.

use chrono::TimeDelta;
use guestlist::worker::{self, DeliveryReport, Suppression};
use guestlist::{Delivery, EmailAddress, Error, Page, Paging};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, person};

/// The letter of a new invitation fails, because the mailbox does not exist.
async fn suppress(team: &Team, email: &str) -> guestlist::Invitation {
    let invitation = team.invite(OLIVIA, email, "agent").await.unwrap();
    let reply = Some("550 5.1.1 no such user".to_owned());
    let report = DeliveryReport::new(invitation.id, 1, Delivery::Failed, reply).suppressing();
    team.in_transaction(async |tx| worker::record_delivery(tx, team.now(), &report).await)
        .await
        .unwrap();
    invitation
}

async fn suppression(team: &Team, email: &EmailAddress) -> Option<Suppression> {
    let mut tx = team.begin().await;
    let found = worker::suppression(&mut tx, team.now(), email).await;
    found.unwrap()
}

async fn list(team: &Team, paging: &Paging) -> Page<Suppression> {
    let mut tx = team.begin().await;
    let page = worker::suppressions(&mut tx, team.now(), paging).await;
    page.unwrap()
}

on_both_databases! {
    async fn suppression_ends_after_thirty_days(team: Team) {
        let invitation = suppress(&team, "Bob@example.com").await;
        let made = team.now();
        let found = suppression(&team, &invitation.email).await.expect("suppressed");
        assert_eq!((found.email.as_str(), found.at), ("bob@example.com", made));
        assert_eq!(found.expires_at(), made + TimeDelta::days(30));
        let letter = async || {
            let facts = team.in_transaction(async |tx| worker::letter_facts(&team.guestlist, tx, &[invitation.id]).await);
            facts.await.unwrap().remove(0)
        };
        team.advance_clock(TimeDelta::days(30) - TimeDelta::seconds(1));
        assert!(suppression(&team, &invitation.email).await.is_some());
        assert_eq!(letter().await.suppression.as_deref(), Some("550 5.1.1 no such user"));
        team.advance_clock(TimeDelta::seconds(1));
        assert_eq!(suppression(&team, &invitation.email).await, None);
        assert_eq!(letter().await.suppression, None);
        assert!(list(&team, &Paging::default()).await.items.is_empty());
    }

    async fn only_expired_suppressions_are_deleted(team: Team) {
        suppress(&team, "old@example.com").await;
        team.advance_clock(TimeDelta::days(20));
        let young = suppress(&team, "young@example.com").await;
        let sweep = async || {
            let swept = team.in_transaction(async |tx| worker::delete_expired_suppressions(tx, team.now(), 10).await);
            swept.await.unwrap()
        };
        assert_eq!(sweep().await, 0);
        team.advance_clock(TimeDelta::days(10) + TimeDelta::seconds(1));
        assert_eq!((sweep().await, sweep().await), (1, 0));
        assert!(suppression(&team, &young.email).await.is_some());
    }

    async fn acceptance_lifts_the_suppression_everywhere(team: Team) {
        let other = Team::on(team.database.clone()).await;
        let invitation = suppress(&team, "bob@example.com").await;
        let elsewhere = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = other.token(&elsewhere);
        let refused = other.accept(&token, &person("bob").unverified()).await;
        assert!(matches!(refused, Err(Error::UnverifiedEmail)), "{refused:?}");
        assert!(suppression(&team, &invitation.email).await.is_some(), "nothing is proved");
        other.accept(&token, &person("bob")).await.unwrap();
        assert_eq!(suppression(&team, &invitation.email).await, None);
    }

    async fn declining_lifts_no_suppression(team: Team) {
        let invitation = suppress(&team, "bob@example.com").await;
        team.decline(&team.token(&invitation)).await.unwrap();
        assert!(suppression(&team, &invitation.email).await.is_some(), "a link proves no mailbox");
    }

    async fn inviter_of_a_suppressed_address_is_told_without_details(team: Team) {
        let other = Team::on(team.database.clone()).await;
        suppress(&team, "bob@example.com").await;
        let unsent = other.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let report = DeliveryReport::unreachable(unsent.id, 1);
        other.in_transaction(async |tx| worker::record_delivery(tx, other.now(), &report).await).await.unwrap();
        let now = other.invitation(unsent.id).await;
        assert_eq!((now.delivery, now.delivery_detail.as_deref()), (Delivery::Suppressed, Some(DeliveryReport::UNREACHABLE)));
        let event = other.events().await.pop().unwrap();
        let facts = serde_json::json!({ "email": "bob@example.com", "reason": DeliveryReport::UNREACHABLE, "is_suppressed": true });
        assert_eq!((event.kind.as_str(), event.after), ("invitation_undeliverable", Some(facts)));
        let notices = other.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        assert_eq!(notices, 2, "one for each organization");
    }

    async fn operators_list_and_lift_suppressions(team: Team) {
        for who in ["carl", "adam", "bob"] {
            suppress(&team, &format!("{who}@example.com")).await;
        }
        let first = list(&team, &Paging::first(2)).await;
        let names = |page: &Page<Suppression>| page.items.iter().map(|found| found.email.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&first), ["adam@example.com", "bob@example.com"]);
        let rest = list(&team, &Paging::after(first.next.unwrap(), 2)).await;
        assert_eq!((names(&rest), rest.next), (vec!["carl@example.com".to_owned()], None));
        let bob = "BOB@example.com".parse().unwrap();
        let lift = async || team.in_transaction(async |tx| worker::lift_suppression(tx, &bob).await).await.unwrap();
        assert_eq!((lift().await, lift().await), (true, false));
        assert_eq!(names(&list(&team, &Paging::default()).await), ["adam@example.com", "carl@example.com"]);
    }
}
