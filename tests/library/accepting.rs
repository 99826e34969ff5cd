use chrono::TimeDelta;
use guestlist::{Error, Key, KeyRing, ResendPolicy, Status, User, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, address, member, person, user};

on_both_databases! {
    async fn accepting_makes_a_member_and_notifies_the_inviter(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "manager").await.unwrap();
        let membership = team.accept(&team.token(&invitation), &person("bob")).await.unwrap();
        assert_eq!(membership.role.as_str(), "manager");
        assert_eq!(team.role_of("bob").await.as_deref(), Some("manager"));
        let closed = team.invitation(invitation.id).await;
        assert_eq!((closed.status, closed.accepted_by), (Status::Accepted, Some(user("bob"))));
        assert_eq!(team.history().await.last(), Some(&"invitation_accepted"));
        assert_eq!(team.messages().await, ["send_invitation", "send_notice"]);
    }

    async fn the_same_user_may_accept_again_and_nothing_is_written(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let first = team.accept(&token, &person("bob")).await.unwrap();
        let events = team.events().await.len();
        assert_eq!(team.accept(&token, &person("bob")).await.unwrap(), first);
        assert_eq!(team.events().await.len(), events);
    }

    async fn a_used_link_does_not_bring_a_removed_member_back(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        team.accept(&token, &person("bob")).await.unwrap();
        team.remove(OLIVIA, "bob").await.unwrap();
        let again = team.accept(&token, &person("bob")).await;
        assert!(matches!(again, Err(Error::InvitationClosed { status: Status::Accepted })), "{again:?}");
        assert_eq!(team.membership("bob").await, None);
    }

    async fn forwarded_link_is_refused_for_another_account(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let stolen = team.accept(&token, &person("mallory")).await;
        assert!(matches!(&stolen, Err(Error::WrongAccount { invited }) if invited == "b…@example.com"), "{stolen:?}");
        let unverified = team.accept(&token, &person("bob").unverified()).await;
        assert!(matches!(unverified, Err(Error::UnverifiedEmail)));
        assert_eq!(team.invitation(invitation.id).await.status, Status::Pending);
        let spelled = User::new(user("bob"), "BOB@Example.COM".parse().unwrap());
        team.accept(&token, &spelled).await.expect("the same address in another spelling");
    }

    async fn closed_invitation_is_refused_with_its_status(team: Team) {
        let revoked = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let declined = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        team.decline(&team.token(&declined)).await.expect("declining again is no change");
        let expired = team.invite(OLIVIA, "c@example.com", "agent").await.unwrap();
        for (invitation, status) in [(&revoked, Status::Revoked), (&declined, Status::Declined)] {
            let user = User::new(user("x"), invitation.email.clone());
            let refused = team.accept(&team.token(invitation), &user).await;
            assert!(matches!(refused, Err(Error::InvitationClosed { status: found }) if found == status));
        }
        team.advance_clock(TimeDelta::days(7) - TimeDelta::microseconds(1));
        let mut tx = team.begin().await;
        team.guestlist.open(&mut tx, &team.token(&expired)).await.expect("until the last microsecond");
        drop(tx);
        team.advance_clock(TimeDelta::microseconds(1));
        let late = team.accept(&team.token(&expired), &person("c")).await;
        assert!(matches!(late, Err(Error::InvitationExpired { .. })), "no worker ran: {late:?}");
        assert_eq!(team.membership("c").await, None);
    }

    async fn every_invalid_token_gets_the_same_answer(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let other_audience = team.configured(|builder| builder.audience("other")).token(&invitation);
        let other_keys = Team { keys: KeyRing::of(Key::generate()), ..team.clone() };
        let other_key = other_keys.configured(|builder| builder).token(&invitation);
        let flipped = format!("{}{}", &token[..token.len() - 2], if token.ends_with("AA") { "BB" } else { "AA" });
        let long = "A".repeat(1 << 20);
        for text in ["", "nonsense", &token[1..], &token[..20], &flipped, &other_audience, &other_key, &long] {
            let refused = team.accept(text, &person("bob")).await;
            assert!(matches!(refused, Err(Error::InvalidToken)), "{refused:?}");
            assert!(matches!(team.decline(text).await, Err(Error::InvalidToken)));
        }
        assert_eq!(team.invitation(invitation.id).await.status, Status::Pending);
    }

    async fn role_edited_in_sql_invalidates_the_link(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        match team.begin().await {
            #[cfg(feature = "postgres")]
            guestlist::Transaction::Postgres(mut tx) => {
                sqlx::query("UPDATE guestlist_invitations SET role = 'owner'").execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
            #[cfg(feature = "sqlite")]
            guestlist::Transaction::Sqlite(mut tx) => {
                sqlx::query("UPDATE guestlist_invitations SET role = 'owner'").execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        assert!(matches!(team.accept(&token, &person("bob")).await, Err(Error::InvalidToken)));
    }

    async fn a_retired_key_still_verifies_and_the_new_one_signs(team: Team) {
        let old = Key::generate();
        let before = Team { keys: KeyRing::of(old.clone()), ..team.clone() }.configured(|builder| builder);
        let invitation = before.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = before.token(&invitation);
        let ring = format!("{},{}", Key::generate().expose(), old.expose()).parse().unwrap();
        let after = Team { keys: ring, ..team.clone() }.configured(|builder| builder);
        assert_ne!(after.token(&invitation), token);
        after.accept(&token, &person("bob")).await.expect("signed by the retired key");
    }

    async fn acceptance_needs_a_granter_with_permission(team: Team) {
        team.join("adam", "admin").await;
        let invitation = team.invite("adam", "bob@example.com", "admin").await.unwrap();
        let token = team.token(&invitation);
        team.change_role(OLIVIA, "adam", "agent").await.unwrap();
        assert!(matches!(team.accept(&token, &person("bob")).await, Err(Error::InviterLostRight)));
        team.remove(OLIVIA, "adam").await.unwrap();
        assert!(matches!(team.accept(&token, &person("bob")).await, Err(Error::InviterLostRight)));
        team.advance_clock(TimeDelta::minutes(2));
        team.resend(OLIVIA, invitation.id).await.expect("an owner becomes the granter");
        team.accept(&token, &person("bob")).await.expect("the owner is the granter now");
    }

    async fn an_invitation_never_lowers_a_role(team: Team) {
        let low = team.invite(OLIVIA, "second@example.com", "agent").await.unwrap();
        let owner = User::new(user(OLIVIA), "second@example.com".parse().unwrap());
        let membership = team.accept(&team.token(&low), &owner).await.unwrap();
        assert_eq!(membership.role.as_str(), "owner");
        assert_eq!(team.invitation(low.id).await.status, Status::Accepted);
        team.join("bob", "agent").await;
        let high = team.invite(OLIVIA, "bob2@example.com", "admin").await.unwrap();
        let bob = User::new(user("bob"), "bob2@example.com".parse().unwrap());
        assert_eq!(team.accept(&team.token(&high), &bob).await.unwrap().role.as_str(), "admin");
    }

    async fn a_hundred_accepts_at_once_make_one_membership(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (team, token) = (team.clone(), token.clone());
                tokio::spawn(async move { team.accept(&token, &person("bob")).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().expect("all of them are the same person");
        }
        let accepted = team.history().await.iter().filter(|kind| **kind == "invitation_accepted").count();
        assert_eq!(accepted, 1);
    }

    async fn accepting_and_revoking_at_once_have_one_winner(team: Team) {
        for round in 0..20 {
            let who = format!("p{round}");
            let invitation = team.invite(OLIVIA, &address(&who), "agent").await.unwrap();
            let token = team.token(&invitation);
            let someone = person(&who);
            let (accepted, revoked) =
                tokio::join!(team.accept(&token, &someone), team.revoke(OLIVIA, invitation.id));
            assert!(accepted.is_ok() != revoked.is_ok(), "{accepted:?} {revoked:?}");
            assert_eq!(team.membership(&who).await.is_some(), accepted.is_ok());
            let last = *team.history().await.last().unwrap();
            assert_eq!(last, if accepted.is_ok() { "invitation_accepted" } else { "invitation_revoked" });
        }
    }

    async fn without_a_key_links_are_neither_made_nor_accepted(team: Team) {
        let keyless = Team { keys: KeyRing::default(), ..team.clone() }.configured(|builder| builder);
        let invitation = keyless.invite(OLIVIA, "bob@example.com", "agent").await.expect("inviting needs no key");
        assert!(matches!(keyless.guestlist.token(&invitation), Err(Error::NoKey)));
        assert!(matches!(keyless.accept("x", &person("bob")).await, Err(Error::NoKey)));
    }

    async fn opening_a_link_changes_nothing(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mut tx = team.begin().await;
        let seen = team.guestlist.open(&mut tx, &team.token(&invitation)).await.unwrap();
        drop(tx);
        assert_eq!(seen, invitation);
        assert_eq!(team.history().await.len(), 2);
    }

    async fn showing_a_link_needs_permission_and_is_audited(team: Team) {
        team.join("mia", "manager").await;
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let id = invitation.id;
        let refused = team.in_transaction(async |tx| team.guestlist.act(member("mia")).show_link(tx, id).await).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
        let token = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).show_link(tx, id).await).await.unwrap();
        assert_eq!(team.history().await.last(), Some(&"invitation_link_shown"));
        team.accept(token.expose(), &person("bob")).await.expect("it works");
    }

    async fn accept_and_expiry_sweep_have_one_winner(team: Team) {
        for round in 0..20 {
            let who = format!("p{round}");
            let invitation = team.invite(OLIVIA, &address(&who), "agent").await.unwrap();
            let (token, someone) = (team.token(&invitation), person(&who));
            let worker = team.clone();
            let sweep = tokio::spawn(async move {
                let mut tx = worker.begin().await;
                let expired = worker::expire_due(&mut tx, invitation.expires_at, 10).await.unwrap();
                tx.commit().await.unwrap();
                expired
            });
            let (accepted, expired) = tokio::join!(team.accept(&token, &someone), sweep);
            let expired = expired.unwrap();
            assert_eq!(usize::from(accepted.is_ok()) + expired, 1, "{accepted:?} {expired}");
            let status = team.invitation(invitation.id).await.status;
            assert_eq!(status, if expired == 0 { Status::Accepted } else { Status::Expired });
        }
    }

    async fn accept_and_resend_have_one_winner(team: Team) {
        let team = team.configured(|builder| {
            builder.resend_policy(ResendPolicy::Rotate).limits(guestlist::Limits::none())
        });
        for round in 0..20 {
            let who = format!("p{round}");
            let invitation = team.invite(OLIVIA, &address(&who), "agent").await.unwrap();
            let (token, someone) = (team.token(&invitation), person(&who));
            let (accepted, resent) = tokio::join!(team.accept(&token, &someone), team.resend(OLIVIA, invitation.id));
            assert!(accepted.is_ok() != resent.is_ok(), "{accepted:?} {resent:?}");
            assert_eq!(team.membership(&who).await.is_some(), accepted.is_ok());
        }
    }

    async fn clock_set_back_changes_no_invitation(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        team.advance_clock(-TimeDelta::hours(2));
        team.accept(&team.token(&invitation), &person("bob")).await.expect("open before and after");
    }

    async fn role_raised_by_invitation_names_the_granter(team: Team) {
        team.join("bob", "agent").await;
        let invitation = team.invite(OLIVIA, "bob2@example.com", "admin").await.unwrap();
        let bob = User::new(user("bob"), "bob2@example.com".parse().unwrap());
        team.accept(&team.token(&invitation), &bob).await.unwrap();
        let events = team.events().await;
        let change = &events[events.len() - 2];
        assert_eq!((change.kind.as_str(), change.attribution.actor.clone()), ("role_changed", Some(member(OLIVIA))));
    }

    async fn link_of_a_closed_or_expired_invitation_is_not_shown(team: Team) {
        let revoked = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.revoke(OLIVIA, revoked.id).await.unwrap();
        let expired = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::days(7));
        let show = async |id| team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).show_link(tx, id).await).await;
        assert!(matches!(show(revoked.id).await, Err(Error::InvitationClosed { .. })));
        assert!(matches!(show(expired.id).await, Err(Error::InvitationExpired { .. })));
        assert!(!team.history().await.contains(&"invitation_link_shown"));
    }

    async fn member_has_locale_of_invitation_unless_host_sets_one(team: Team) {
        for (who, own, expected) in [("bob", None, "de"), ("carl", Some("fr"), "fr")] {
            let invite = team.invitation_of(&address(who), "agent").locale("de".parse().unwrap());
            let invitation =
                team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(tx, invite).await).await.unwrap();
            let someone = match own {
                Some(locale) => person(who).speaking(locale.parse().unwrap()),
                None => person(who),
            };
            let membership = team.accept(&team.token(&invitation), &someone).await.unwrap();
            assert_eq!(membership.locale.as_str(), expected);
        }
    }

    async fn acceptance_happens_before_the_inviters_removal_or_never(team: Team) {
        for round in 0..20 {
            let (inviter, who) = (format!("i{round}"), format!("p{round}"));
            team.join(&inviter, "admin").await;
            let invitation = team.invite(&inviter, &address(&who), "agent").await.unwrap();
            let (token, someone) = (team.token(&invitation), person(&who));
            let (accepted, removed) = tokio::join!(team.accept(&token, &someone), team.remove(OLIVIA, &inviter));
            removed.expect("removed");
            let last = *team.history().await.last().unwrap();
            assert_eq!(last, "member_removed", "{accepted:?}");
        }
    }

    async fn inviter_without_role_changes_raises_no_member(team: Team) {
        let model = "keeps = 'owner'\n[[role]]\nname = 'guest'\n[[role]]\nname = 'editor'\n\
                     [[role]]\nname = 'host'\ninvites = ['guest', 'editor']\n\
                     [[role]]\nname = 'owner'\ninvites = ['guest', 'editor', 'host']";
        let model = guestlist::RoleModel::from_toml(model).unwrap();
        let team = team.configured(|builder| builder.role_model(model));
        team.join("hank", "host").await;
        team.join("bob", "guest").await;
        let invitation = team.invite("hank", "bob2@example.com", "editor").await.unwrap();
        let bob = User::new(user("bob"), "bob2@example.com".parse().unwrap());
        let bob = team.accept(&team.token(&invitation), &bob).await.expect("it is closed");
        assert_eq!(bob.role.as_str(), "guest");
        team.accept(&team.token(&team.invite("hank", "eve@example.com", "editor").await.unwrap()), &person("eve"))
            .await
            .expect("a host may invite newcomers");
        assert_eq!(team.role_of("eve").await.as_deref(), Some("editor"));
    }
}
