//! Changing the role of an open invitation; the mailed link then leads to the new role.

use guestlist::{Error, Invitation, InvitationId, Key, KeyRing, ResendPolicy};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, person};

async fn change(
    team: &Team,
    actor: &str,
    id: InvitationId,
    role: &str,
) -> Result<Invitation, Error> {
    let role = role.parse().expect("a role");
    team.in_transaction(async |tx| {
        team.guestlist
            .act(member(actor))
            .change_invitation_role(tx, id, &role)
            .await
    })
    .await
}

/// Edits the row in SQL, past the library.
async fn edit(team: &Team, assignment: &'static str) {
    let text = sqlx::AssertSqlSafe(format!("UPDATE guestlist_invitations SET {assignment}"));
    match &team.database {
        #[cfg(feature = "postgres")]
        guestlist::Database::Postgres(pool) => {
            sqlx::query(text).execute(pool).await.expect("edited");
        }
        #[cfg(feature = "sqlite")]
        guestlist::Database::Sqlite(pool) => {
            sqlx::query(text).execute(pool).await.expect("edited");
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

on_both_databases! {
    async fn mailed_link_leads_to_the_changed_role(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let mailed = team.token(&invitation);
        let messages = team.messages().await.len();
        let changed = change(&team, OLIVIA, invitation.id, "admin").await.unwrap();
        assert_eq!(changed.role.as_str(), "admin");
        assert_eq!(changed, team.invitation(invitation.id).await);
        assert_eq!(team.messages().await.len(), messages, "no letter for it");
        let event = team.events().await.pop().unwrap();
        assert_eq!(event.kind.as_str(), "invitation_role_changed");
        assert_eq!((&event.before.unwrap()["role"], &event.after.unwrap()["role"]), (&"agent".into(), &"admin".into()));
        assert_eq!(team.token(&changed), mailed, "a letter that leaves now has the same link");
        assert_eq!(team.accept(&mailed, &person("bob")).await.unwrap().role.as_str(), "admin");
    }

    async fn role_changed_back_leaves_the_link_unchanged(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        for role in ["admin", "manager", "agent"] {
            change(&team, OLIVIA, invitation.id, role).await.unwrap();
        }
        assert_eq!(team.invitation(invitation.id).await, invitation);
        change(&team, OLIVIA, invitation.id, "manager").await.unwrap();
        assert_eq!(team.accept(&team.token(&invitation), &person("bob")).await.unwrap().role.as_str(), "manager");
    }

    async fn the_same_role_is_no_change(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let events = team.events().await.len();
        change(&team, OLIVIA, invitation.id, "agent").await.unwrap();
        assert_eq!(team.events().await.len(), events);
    }

    async fn role_change_needs_permission_for_both_roles(team: Team) {
        team.join("adam", "admin").await;
        team.join("mia", "manager").await;
        let to_agent = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap().id;
        let to_owner = team.invite(OLIVIA, "o@example.com", "owner").await.unwrap().id;
        for (actor, id, role) in [("adam", to_agent, "owner"), ("adam", to_owner, "agent"), ("mia", to_agent, "manager")] {
            let refused = change(&team, actor, id, role).await;
            assert!(matches!(refused, Err(Error::Forbidden { .. })), "{actor} {role}: {refused:?}");
        }
        assert!(matches!(change(&team, "stranger", to_agent, "admin").await, Err(Error::NotFound)));
        assert!(matches!(change(&team, OLIVIA, to_agent, "boss").await, Err(Error::UnknownRole { .. })));
        change(&team, "adam", to_agent, "admin").await.expect("an admin grants both");
    }

    async fn acceptance_needs_the_permission_of_the_last_changer(team: Team) {
        team.join("adam", "admin").await;
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        change(&team, "adam", invitation.id, "admin").await.unwrap();
        team.change_role(OLIVIA, "adam", "agent").await.unwrap();
        let refused = team.accept(&team.token(&invitation), &person("bob")).await;
        assert!(matches!(refused, Err(Error::InviterLostRight)), "{refused:?}");
        change(&team, OLIVIA, invitation.id, "manager").await.unwrap();
        assert_eq!(team.accept(&team.token(&invitation), &person("bob")).await.unwrap().role.as_str(), "manager");
    }

    async fn only_an_open_invitation_changes_its_role(team: Team) {
        let revoked = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap().id;
        team.revoke(OLIVIA, revoked).await.unwrap();
        assert!(matches!(change(&team, OLIVIA, revoked, "admin").await, Err(Error::InvitationClosed { .. })));
        let expired = team.invite(OLIVIA, "b@example.com", "agent").await.unwrap().id;
        team.advance_clock(chrono::TimeDelta::days(7));
        assert!(matches!(change(&team, OLIVIA, expired, "admin").await, Err(Error::InvitationExpired { .. })));
    }

    async fn role_edited_in_sql_invalidates_the_link_after_a_change(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let refused = async |why: &str| {
            let opened = team.accept(&token, &person("bob")).await;
            assert!(matches!(opened, Err(Error::InvalidToken)), "{why}: {opened:?}");
        };
        edit(&team, "role = 'owner'").await;
        refused("edited").await;
        edit(&team, "link_role = 'agent'").await;
        refused("edited as if it had been changed").await;
        edit(&team, "role_seal = nonce").await;
        refused("with a made-up seal").await;
        edit(&team, "role = 'agent', link_role = NULL, role_seal = NULL").await;
        change(&team, OLIVIA, invitation.id, "manager").await.unwrap();
        edit(&team, "role = 'owner'").await;
        refused("edited after a change").await;
        edit(&team, "role = 'manager', nonce = role_seal").await;
        refused("with another nonce").await;
    }

    async fn changed_role_survives_a_resend(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let first = team.token(&invitation);
        change(&team, OLIVIA, invitation.id, "admin").await.unwrap();
        team.advance_clock(chrono::TimeDelta::hours(1));
        let resent = team.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(team.token(&resent), first, "the link is kept");
        let rotating = team.configured(|builder| builder.resend_policy(ResendPolicy::Rotate));
        rotating.advance_clock(chrono::TimeDelta::hours(1));
        let replaced = rotating.resend(OLIVIA, invitation.id).await.unwrap();
        let old = team.accept(&first, &person("bob")).await;
        assert!(matches!(old, Err(Error::LinkReplaced)), "made for another role, and still known: {old:?}");
        assert_eq!(team.accept(&team.token(&replaced), &person("bob")).await.unwrap().role.as_str(), "admin");
    }

    async fn changed_role_survives_retirement_of_its_key(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let first = team.token(&invitation);
        change(&team, OLIVIA, invitation.id, "admin").await.unwrap();
        team.advance_clock(chrono::TimeDelta::hours(1));
        let (old, new) = (team.keys.signing().unwrap().expose(), Key::generate());
        let both = format!("{},{old}", new.expose()).parse().expect("a ring");
        let changing = team.configured(|builder| builder.key_ring(both));
        let resent = changing.resend(OLIVIA, invitation.id).await.unwrap();
        let retired = team.configured(|builder| builder.key_ring(KeyRing::of(new)));
        let gone = retired.accept(&first, &person("bob")).await;
        assert!(matches!(gone, Err(Error::InvalidToken)), "the old key signed it: {gone:?}");
        let mailed = changing.token(&resent);
        assert_eq!(retired.accept(&mailed, &person("bob")).await.unwrap().role.as_str(), "admin");
    }

    async fn resend_after_a_key_leak_makes_a_working_link(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        change(&team, OLIVIA, invitation.id, "admin").await.unwrap();
        team.advance_clock(chrono::TimeDelta::hours(1));
        let replaced = team.configured(|builder| builder.key_ring(KeyRing::of(Key::generate())));
        let resent = replaced.resend(OLIVIA, invitation.id).await.unwrap();
        assert_eq!(resent, team.invitation(invitation.id).await);
        assert_eq!(replaced.accept(&replaced.token(&resent), &person("bob")).await.unwrap().role.as_str(), "admin");
    }

    async fn role_change_without_a_key_is_refused(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let keyless = team.configured(|builder| builder.key_ring(KeyRing::default()));
        assert!(matches!(change(&keyless, OLIVIA, invitation.id, "admin").await, Err(Error::NoKey)));
        assert_eq!(team.invitation(invitation.id).await, invitation);
        let foreign = team.configured(|builder| builder.key_ring(KeyRing::of(Key::generate())));
        change(&foreign, OLIVIA, invitation.id, "admin").await.unwrap();
        let refused = team.accept(&team.token(&invitation), &person("bob")).await;
        assert!(matches!(refused, Err(Error::InvalidToken)), "sealed by a key that is not in the ring: {refused:?}");
    }
}
