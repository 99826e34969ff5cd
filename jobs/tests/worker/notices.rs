//! Who is told what.

use chrono::TimeDelta;
use guestlist::{OrganizationId, User};

use crate::harness::{Workbench, eventually};
use crate::on_both_stacks;
use crate::smtp::{Act, Script};
use crate::support::{OLIVIA, Team, person, user};

async fn told(bench: &Workbench, address: &str) -> Vec<String> {
    bench.work_until_idle().await;
    let parser = mail_parser::MessageParser::default();
    let letters = bench.letters_to(address);
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
    team.in_transaction(async |tx| team.guestlist.rename(tx, &user(OLIVIA), id, name).await)
        .await
        .unwrap();
}

on_both_stacks! {
    async fn the_inviter_hears_of_acceptance_decline_and_expiry(bench: Workbench) {
        let team = &bench.team;
        let accepted = team.invite(OLIVIA, "bob@example.com", "manager").await.unwrap();
        let declined = team.invite(OLIVIA, "dora@example.com", "agent").await.unwrap();
        team.invite(OLIVIA, "eve@example.com", "agent").await.unwrap();
        let bob = person("bob").named(crate::support::name("Bob Ross"));
        team.accept(&team.token(&accepted), &bob).await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        assert_eq!(told(&bench, "olivia@example.com").await.len(), 2);
        team.advance_clock(TimeDelta::days(7));
        let letters = told(&bench, "olivia@example.com").await.join("\n");
        for fact in ["Bob Ross", "dora@example.com", "eve@example.com", "Acme", "Manager"] {
            assert!(letters.contains(fact), "{fact} is missing in {letters}");
        }
        assert_eq!(bench.letters_to("olivia@example.com").len(), 3);
    }

    async fn nobody_is_told_who_left_while_the_mail_server_greeted(bench: Workbench) {
        let team = &bench.team;
        team.join("adam", "admin").await;
        assert_eq!(told(&bench, "olivia@example.com").await.len(), 1);
        let bench = bench.with_mail_server(Script::default().on("CONNECT", Act::Hold)).await;
        let team = &bench.team;
        let declined = team.invite("adam", "bob@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        let worker = bench.start();
        bench.smtp.until(|seen| seen.connections == 1).await;
        team.remove(OLIVIA, "adam").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        bench.smtp.release();
        eventually("everything is settled", async || bench.counts().await.is_empty()).await;
        worker.stop().await;
        let letters = bench.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].contains("You are no longer a member of Acme"), "{letters:?}");
    }

    async fn a_member_hears_of_a_new_role_and_of_removal_even_when_gone(bench: Workbench) {
        let team = &bench.team;
        team.join("bob", "agent").await;
        team.change_role(OLIVIA, "bob", "manager").await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        rename(team, team.organization.id, "Umbrella").await;
        let letters = told(&bench, "bob@example.com").await.join("\n");
        for fact in ["Agent", "Manager", "Umbrella", "olivia@example.com"] {
            assert!(letters.contains(fact), "{fact} is missing in {letters}");
        }
        assert_eq!(bench.letters_to("bob@example.com").len(), 2);
    }

    async fn a_member_hears_of_suspension_and_of_reinstatement_once_each(bench: Workbench) {
        let team = &bench.team;
        team.join("bob", "agent").await;
        team.suspend(OLIVIA, "bob").await.unwrap();
        team.suspend(OLIVIA, "bob").await.unwrap();
        let suspended = told(&bench, "bob@example.com").await;
        assert_eq!(suspended.len(), 1, "{suspended:?}");
        for fact in ["Your access to Acme is suspended", "olivia@example.com", "your role is kept"] {
            assert!(suspended[0].contains(fact), "{fact} is missing in {suspended:?}");
        }
        team.reinstate(OLIVIA, "bob").await.unwrap();
        team.reinstate(OLIVIA, "bob").await.unwrap();
        let told = told(&bench, "bob@example.com").await;
        assert_eq!(told.len(), 2, "{told:?}");
        for fact in ["You have access to Acme again", "olivia@example.com", "You can sign in again."] {
            assert!(told[1].contains(fact), "{fact} is missing in {told:?}");
        }
    }

    async fn nobody_is_told_what_they_did_themselves(bench: Workbench) {
        bench.team.join("adam", "admin").await;
        bench.work_until_idle().await;
        let before = bench.letters().len();
        bench.team.change_role("adam", "adam", "agent").await.unwrap();
        bench.team.leave("adam").await.unwrap();
        bench.work_until_idle().await;
        assert_eq!(bench.letters().len(), before);
    }

    async fn a_notice_for_who_left_is_cancelled(bench: Workbench) {
        bench.team.join("adam", "owner").await;
        let invitation = bench.team.invite("adam", "bob@example.com", "agent").await.unwrap();
        bench.team.decline(&bench.team.token(&invitation)).await.unwrap();
        bench.team.leave("adam").await.unwrap();
        bench.work_until_idle().await;
        assert!(bench.letters_to("adam@example.com").is_empty());
        assert_eq!(bench.counts().await, []);
    }

    async fn members_are_written_to_in_the_language_they_were_invited_in(bench: Workbench) {
        let team = &bench.team;
        let invite = team.invitation_of("bob@example.com", "agent").locale("de".parse().unwrap());
        let invitation =
            team.in_transaction(async |tx| team.guestlist.invite(tx, &user(OLIVIA), invite).await).await.unwrap();
        let bob = User::new(user("bob"), "bob@example.com".parse().unwrap());
        team.accept(&team.token(&invitation), &bob).await.unwrap();
        team.change_role(OLIVIA, "bob", "admin").await.unwrap();
        bench.work_until_idle().await;
        let letters = bench.letters_to("bob@example.com");
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("Content-Language: de") || letters[0].contains("lang=3D\"de\""), "{}", letters[0]);
    }
}
