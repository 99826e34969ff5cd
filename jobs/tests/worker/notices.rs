//! The recipients of each notice.

use chrono::TimeDelta;
use guestlist::{OrganizationId, User};
use guestlist_testkit::smtp::{Action, Script, Stage};

use crate::harness::{Harness, eventually};
use crate::on_both_stacks;
use crate::support::{OLIVIA, Team, member, person, user};

async fn told(harness: &Harness, address: &str) -> Vec<String> {
    harness.work_until_idle().await;
    let parser = mail_parser::MessageParser::default();
    let letters = harness.letters_to(address);
    letters
        .iter()
        .map(|letter| {
            let letter = parser.parse(letter.as_bytes()).unwrap();
            format!(
                "{}\n{}",
                letter.subject().unwrap(),
                letter.body_text(0).unwrap()
            )
        })
        .collect()
}

async fn rename(team: &Team, id: OrganizationId, name: &str) {
    let name = crate::support::name(name);
    team.in_transaction(async |tx| {
        team.guestlist
            .act(member(OLIVIA))
            .in_organization(id)
            .rename(tx, name)
            .await
    })
    .await
    .unwrap();
}

on_both_stacks! {
    async fn inviter_is_notified_of_acceptance_decline_and_expiry(harness: Harness) {
        let team = &harness.team;
        let accepted = team.invite(OLIVIA, "bob@example.com", "manager").await.unwrap();
        let declined = team.invite(OLIVIA, "dora@example.com", "agent").await.unwrap();
        team.invite(OLIVIA, "eve@example.com", "agent").await.unwrap();
        let bob = person("bob").named(crate::support::name("Bob Ross"));
        team.accept(&team.token(&accepted), &bob).await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        assert_eq!(told(&harness, "olivia@example.com").await.len(), 2);
        team.advance_clock(TimeDelta::days(7));
        let letters = told(&harness, "olivia@example.com").await.join("\n");
        for fact in ["Bob Ross", "dora@example.com", "eve@example.com", "Acme", "Manager"] {
            assert!(letters.contains(fact), "{fact} is missing in {letters}");
        }
        assert_eq!(harness.letters_to("olivia@example.com").len(), 3);
    }

    async fn notice_for_a_member_leaving_during_greeting_is_not_sent(harness: Harness) {
        let team = &harness.team;
        team.join("adam", "admin").await;
        assert_eq!(told(&harness, "olivia@example.com").await.len(), 1);
        let harness = harness.with_mail_server(Script::default().on(Stage::Connect, Action::Hold)).await;
        let team = &harness.team;
        let declined = team.invite("adam", "bob@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        let worker = harness.start();
        harness.smtp.until(|seen| seen.connections == 1).await;
        team.remove(OLIVIA, "adam").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        harness.smtp.release();
        eventually("everything is settled", async || harness.counts().await.is_empty()).await;
        worker.stop().await;
        let letters = harness.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].contains("You are no longer a member of Acme"), "{letters:?}");
    }

    async fn member_is_notified_of_role_change_and_removal(harness: Harness) {
        let team = &harness.team;
        team.join("bob", "agent").await;
        team.change_role(OLIVIA, "bob", "manager").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        rename(team, team.organization.id, "Umbrella").await;
        let letters = told(&harness, "bob@example.com").await.join("\n");
        for fact in ["Agent", "Manager", "Umbrella", "olivia@example.com"] {
            assert!(letters.contains(fact), "{fact} is missing in {letters}");
        }
        assert_eq!(harness.letters_to("bob@example.com").len(), 2);
    }

    async fn member_is_notified_of_suspension_and_reinstatement_once(harness: Harness) {
        let team = &harness.team;
        team.join("bob", "agent").await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        team.suspend(OLIVIA, "bob").await.unwrap();
        let suspended = told(&harness, "bob@example.com").await;
        assert_eq!(suspended.len(), 1, "{suspended:?}");
        for fact in ["Your access to Acme is suspended", "olivia@example.com", "your role is kept"] {
            assert!(suspended[0].contains(fact), "{fact} is missing in {suspended:?}");
        }
        team.reinstate(OLIVIA, "bob").await.unwrap();
        team.reinstate(OLIVIA, "bob").await.unwrap();
        let told = told(&harness, "bob@example.com").await;
        assert_eq!(told.len(), 2, "{told:?}");
        for fact in ["You have access to Acme again", "olivia@example.com", "You can sign in again."] {
            assert!(told[1].contains(fact), "{fact} is missing in {told:?}");
        }
    }

    async fn worker_sends_no_notice_of_own_acts(harness: Harness) {
        harness.team.join("adam", "admin").await;
        harness.work_until_idle().await;
        let before = harness.letters().len();
        harness.team.change_role("adam", "adam", "agent").await.unwrap();
        harness.team.leave("adam").await.unwrap();
        harness.work_until_idle().await;
        assert_eq!(harness.letters().len(), before);
    }

    async fn notice_for_a_former_member_is_cancelled(harness: Harness) {
        harness.team.join("adam", "owner").await;
        let invitation = harness.team.invite("adam", "bob@example.com", "agent").await.unwrap();
        harness.team.decline(&harness.team.token(&invitation)).await.unwrap();
        harness.team.leave("adam").await.unwrap();
        harness.work_until_idle().await;
        assert!(harness.letters_to("adam@example.com").is_empty());
        assert_eq!(harness.counts().await, []);
    }

    async fn members_get_letters_in_the_language_of_their_invitation(harness: Harness) {
        let team = &harness.team;
        let invite = team.invitation_of("bob@example.com", "agent").locale("de".parse().unwrap());
        let invitation =
            team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(tx, invite).await).await.unwrap();
        let bob = User::new(user("bob"), "bob@example.com".parse().unwrap());
        team.accept(&team.token(&invitation), &bob).await.unwrap();
        team.change_role(OLIVIA, "bob", "admin").await.unwrap();
        harness.work_until_idle().await;
        let letters = harness.letters_to("bob@example.com");
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("Content-Language: de") || letters[0].contains("lang=3D\"de\""), "{}", letters[0]);
    }
}
