use guestlist::{Error, Paging, User};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, address, member, name, person, user};

on_both_databases! {
    async fn role_change_applies_at_commit_and_notifies_the_member(team: Team) {
        team.join("bob", "agent").await;
        assert!(!team.allows("bob", "reports.view").await);
        team.change_role(OLIVIA, "bob", "manager").await.unwrap();
        assert!(team.allows("bob", "reports.view").await);
        assert!(!team.allows("bob", "billing.manage").await);
        let event = team.events().await.pop().unwrap();
        assert_eq!((event.kind.as_str(), event.subject.as_str()), ("role_changed", "bob"));
        assert_eq!(event.before.unwrap()["role"], "agent");
        assert_eq!(event.after.unwrap()["role"], "manager");
        assert_eq!(team.messages().await.iter().filter(|kind| *kind == "send_notice").count(), 2);
    }

    async fn the_same_role_again_is_no_change(team: Team) {
        team.join("bob", "agent").await;
        let (events, messages) = (team.events().await.len(), team.messages().await.len());
        team.change_role(OLIVIA, "bob", "agent").await.unwrap();
        assert_eq!((team.events().await.len(), team.messages().await.len()), (events, messages));
    }

    async fn acting_on_a_higher_rank_is_refused(team: Team) {
        team.join("adam", "admin").await;
        team.join("mia", "manager").await;
        team.join("bob", "agent").await;
        assert!(matches!(team.remove("adam", OLIVIA).await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.change_role("adam", OLIVIA, "agent").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.change_role("adam", "adam", "owner").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.change_role("mia", "bob", "manager").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.remove("bob", "mia").await, Err(Error::Forbidden { .. })));
        team.change_role("adam", "adam", "agent").await.expect("one may step down");
    }

    async fn removal_ends_access_at_once_in_one_organization(team: Team) {
        let other = Team::on(team.database.clone()).await;
        team.join("bob", "agent").await;
        other.join("bob", "admin").await;
        team.remove(OLIVIA, "bob").await.unwrap();
        assert!(!team.allows("bob", "inbox.reply").await);
        assert_eq!(other.role_of("bob").await.as_deref(), Some("admin"));
        let event = team.events().await.pop().unwrap();
        assert_eq!(event.kind.as_str(), "member_removed");
        assert_eq!(event.before.unwrap()["email"], "bob@example.com");
        let messages = team.messages().await;
        assert!(messages.contains(&"purge_sessions".to_owned()), "{messages:?}");
    }

    async fn a_member_of_one_organization_cannot_act_in_another(team: Team) {
        let other = Team::on(team.database.clone()).await;
        team.join("bob", "agent").await;
        other.join("eve", "owner").await;
        let invitation = team.invite(OLIVIA, "carl@example.com", "agent").await.unwrap();
        assert!(matches!(team.remove("eve", "bob").await, Err(Error::NotFound)));
        assert!(matches!(team.change_role("eve", "bob", "admin").await, Err(Error::NotFound)));
        assert!(matches!(team.revoke("eve", invitation.id).await, Err(Error::NotFound)));
        assert!(matches!(team.transfer("eve", "bob").await, Err(Error::NotFound)));
    }

    async fn leaving_member_gets_no_notice(team: Team) {
        team.join("bob", "agent").await;
        let notices = team.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        team.leave("bob").await.unwrap();
        assert_eq!(team.membership("bob").await, None);
        let after = team.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        assert_eq!(after, notices);
    }

    async fn members_are_listed_in_the_order_they_joined(team: Team) {
        for who in ["zoe", "adam", "mia"] {
            team.advance_clock(chrono::TimeDelta::seconds(1));
            team.join(who, "agent").await;
        }
        let mut tx = team.begin().await;
        let mut paging = Paging::first(1);
        let mut seen = Vec::new();
        loop {
            let page = team.guestlist.members(&mut tx, team.organization.id, &paging).await.unwrap();
            seen.extend(page.items.iter().map(|member| member.user.to_string()));
            let Some(next) = page.next else { break };
            paging = Paging::after(next, 1);
        }
        assert_eq!(seen, [OLIVIA, "zoe", "adam", "mia"]);
    }

    async fn a_member_sees_every_organization_they_belong_to(team: Team) {
        let other = Team::on(team.database.clone()).await;
        other.join("bob", "agent").await;
        team.join("bob", "admin").await;
        let mut tx = team.begin().await;
        let page = team.guestlist.memberships(&mut tx, &user("bob"), &Paging::first(10)).await.unwrap();
        assert_eq!(page.items.len(), 2);
    }

    async fn name_is_stored_unchanged(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let bob = person("bob").named(name("Bób O'Brien 👩\u{200d}🚀"));
        team.accept(&team.token(&invitation), &bob).await.unwrap();
        assert_eq!(team.membership("bob").await.unwrap().name, bob.name);
    }

    async fn members_joined_at_the_same_time_are_all_listed(team: Team) {
        for who in ["c", "a", "b"] {
            let invitation = team.invite(OLIVIA, &address(who), "agent").await.unwrap();
            let someone = User::new(user(&format!("tenant:{who}")), address(who).parse().unwrap());
            team.accept(&team.token(&invitation), &someone).await.unwrap();
        }
        let mut tx = team.begin().await;
        let mut paging = Paging::first(1);
        let mut seen = Vec::new();
        while let Some(next) = {
            let page = team.guestlist.members(&mut tx, team.organization.id, &paging).await.unwrap();
            seen.extend(page.items.iter().map(|member| member.user.to_string()));
            page.next
        } {
            paging = Paging::after(next, 1);
        }
        assert_eq!(seen, [OLIVIA, "tenant:a", "tenant:b", "tenant:c"]);
    }

    async fn forged_cursor_is_refused_before_sql(team: Team) {
        let mut tx = team.begin().await;
        for text in ["", ":", "1", "x:a", "0:", "0:a\0b", "9223372036854775807:a", "8000000000000000000:a", "-9000000000000000:a:b\n"] {
            let forged = Paging::after(text.to_owned().into(), 10);
            let refused = team.guestlist.members(&mut tx, team.organization.id, &forged).await;
            assert!(matches!(refused, Err(Error::InvalidCursor)), "{text:?}: {refused:?}");
            let refused = team.guestlist.memberships(&mut tx, &user(OLIVIA), &forged).await;
            assert!(matches!(refused, Err(Error::InvalidCursor)), "{text:?}: {refused:?}");
        }
    }

    async fn members_get_no_notice_of_their_own_acts(team: Team) {
        team.join("adam", "admin").await;
        let notices = async || team.messages().await.iter().filter(|kind| *kind == "send_notice").count();
        let before = notices().await;
        team.change_role("adam", "adam", "agent").await.unwrap();
        assert_eq!(notices().await, before);
        team.change_role(OLIVIA, "adam", "manager").await.unwrap();
        assert_eq!(notices().await, before + 1);
    }

    async fn unknown_role_is_never_granted(team: Team) {
        team.join("bob", "agent").await;
        assert!(matches!(team.change_role(OLIVIA, "bob", "boss").await, Err(Error::UnknownRole { .. })));
        assert_eq!(team.role_of("bob").await.as_deref(), Some("agent"));
    }

    async fn member_with_an_unknown_role_may_only_leave(team: Team) {
        team.join("bob", "agent").await;
        let model = "keeps = 'owner'\n[[role]]\nname = 'owner'\ninvites = ['owner']\nremoves = ['owner']";
        let narrowed = team.configured(|builder| builder.role_model(guestlist::RoleModel::from_toml(model).unwrap()));
        assert!(!narrowed.allows("bob", "inbox.reply").await);
        assert!(matches!(narrowed.invite("bob", "x@example.com", "owner").await, Err(Error::Forbidden { .. })));
        narrowed.leave("bob").await.expect("one may always leave");
    }

    async fn owner_removes_holders_of_a_role_that_left_the_model(team: Team) {
        for (who, role) in [("adam", "admin"), ("max", "manager"), ("mia", "manager"), ("moe", "manager")] {
            team.join(who, role).await;
        }
        let invite = async |email| team.invite(OLIVIA, email, "manager").await.unwrap();
        let [one, two, three] = [invite("1@example.com").await, invite("2@example.com").await, invite("3@example.com").await];
        let model = "keeps = 'owner'\n[[role]]\nname = 'agent'\n\
                     [[role]]\nname = 'admin'\ninvites = ['agent']\nremoves = ['agent']\n\
                     [[role]]\nname = 'owner'\ninvites = ['agent']\nchanges_from = ['agent']\nchanges_to = ['agent']\nremoves = ['agent']";
        let narrowed = team.configured(|builder| builder.role_model(guestlist::RoleModel::from_toml(model).unwrap()));
        assert!(matches!(narrowed.remove("adam", "max").await, Err(Error::Forbidden { .. })));
        assert!(matches!(narrowed.revoke("adam", one.id).await, Err(Error::UnknownRole { .. })));
        assert!(matches!(narrowed.resend(OLIVIA, one.id).await, Err(Error::UnknownRole { .. })), "nothing new is granted");
        narrowed.remove(OLIVIA, "max").await.unwrap();
        narrowed.change_role(OLIVIA, "mia", "agent").await.unwrap();
        narrowed.suspend(OLIVIA, "moe").await.unwrap();
        narrowed.revoke(OLIVIA, one.id).await.unwrap();
        let agent = "agent".parse().unwrap();
        let change = async |tx: &mut guestlist::Transaction| {
            narrowed.guestlist.act(member(OLIVIA)).change_invitation_role(tx, two.id, &agent).await
        };
        let two = narrowed.in_transaction(change).await.unwrap();
        assert_eq!(narrowed.accept(&narrowed.token(&two), &person("2")).await.unwrap().role, agent);
        let superseding = narrowed.invitation_of("3@example.com", "agent").superseding();
        narrowed.in_transaction(async |tx| narrowed.guestlist.act(member(OLIVIA)).in_organization(narrowed.organization.id).invite(tx, superseding).await).await.unwrap();
        assert_eq!(narrowed.invitation(three.id).await.status, guestlist::Status::Revoked);
    }
}
