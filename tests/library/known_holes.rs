//! Known vulnerabilities of similar products, by class.
//!
//! Some classes have a file of their own: an unchecked signature (`tokens.rs`), acceptance by any
//! account or with an unverified address (`accepting.rs`), Unicode case folding (`addresses.rs`).

use chrono::TimeDelta;
use guestlist::{EmailAddress, Error, ResendPolicy, Status, Transaction, User, worker};

use self::operations::{OPERATIONS, Target, answer_of, attempt, set_up};
use crate::dump;
use crate::on_both_databases;
use crate::support::{OLIVIA, Team, address, member, person, user};

#[path = "known_holes/operations.rs"]
mod operations;

fn stranger_answer() -> String {
    let error = Error::NotFound;
    format!("{error:?} {error} {}", error.code())
}

/// Asserts that the text is refused and nothing was written.
async fn assert_refused(
    team: &Team,
    token: &str,
    who: &User,
    is_expected: impl Fn(&Error) -> bool,
) {
    let before = dump(&team.database).await;
    let mut tx = team.begin().await;
    let refused = team.guestlist.accept(&mut tx, token, who).await;
    tx.commit()
        .await
        .expect("the transaction can be committed after a refusal");
    assert!(
        refused.as_ref().is_err_and(&is_expected),
        "{} {}: {refused:?}",
        who.id,
        who.email
    );
    assert_eq!(dump(&team.database).await, before);
}

on_both_databases! {
    async fn every_operation_is_open_to_an_owner(team: Team) {
        let on = set_up(&team).await;
        for operation in OPERATIONS {
            let mut tx = team.begin().await;
            attempt(&team, &mut tx, operation, "sam", on).await.unwrap_or_else(|error| panic!("{operation}: {error}"));
            tx.rollback().await.unwrap();
        }
    }

    async fn suspended_owner_is_treated_as_a_stranger(team: Team) {
        let on = set_up(&team).await;
        let mine = team.invite("sam", &address("gil"), "agent").await.unwrap();
        team.suspend(OLIVIA, "sam").await.unwrap();
        let before = dump(&team.database).await;
        for operation in OPERATIONS {
            assert_eq!(answer_of(&team, operation, "sam", on).await, Some(stranger_answer()), "{operation}");
        }
        assert_eq!(team.membership("sam").await, None);
        let mut tx = team.begin().await;
        assert!(team.guestlist.access(&mut tx, &user("sam"), on.organization).await.unwrap().is_none());
        let own = team.guestlist.memberships(&mut tx, &user("sam"), &guestlist::Paging::first(9)).await.unwrap();
        assert!(own.items.is_empty());
        drop(tx);
        assert_eq!(dump(&team.database).await, before);
        // An invitation sent by a suspended owner or addressed to one admits nobody.
        assert_refused(&team, &team.token(&mine), &person("gil"), |error| matches!(error, Error::InviterLostRight)).await;
        let again = team.invite(OLIVIA, "sam2@example.com", "owner").await.unwrap();
        let sam = User::new(user("sam"), "sam2@example.com".parse().unwrap());
        assert_refused(&team, &team.token(&again), &sam, |error| matches!(error, Error::Suspended)).await;
    }

    async fn outsiders_change_and_learn_nothing(team: Team) {
        let other = Team::on(team.database.clone()).await;
        other.join("mallory", "owner").await;
        let on = set_up(&team).await;
        team.join("fred", "owner").await;
        team.remove(OLIVIA, "fred").await.unwrap();
        let nothing = Target {
            organization: uuid::Uuid::from_u128(7).into(),
            invitation: uuid::Uuid::from_u128(8).into(),
        };
        let before = dump(&team.database).await;
        for actor in ["mallory", "fred", "nobody", "carl"] {
            for operation in OPERATIONS {
                assert_eq!(answer_of(&team, operation, actor, on).await, Some(stranger_answer()), "{actor}: {operation}");
                assert_eq!(answer_of(&team, operation, actor, nothing).await, Some(stranger_answer()), "{actor}: {operation}");
            }
        }
        assert_eq!(dump(&team.database).await, before);
    }

    async fn invitation_is_bound_to_its_organization(team: Team) {
        let other = Team { keys: team.keys.clone(), ..Team::on(team.database.clone()).await }.configured(|builder| builder);
        let invitation = team.invite(OLIVIA, &address("bob"), "admin").await.unwrap();
        other.join("bob", "agent").await;
        team.accept(&team.token(&invitation), &person("bob")).await.unwrap();
        assert_eq!(other.role_of("bob").await.as_deref(), Some("agent"), "the other organization is unaffected");
        // After an invitation was moved to another organization in SQL, its link is invalid for
        // both.
        let moved = team.invite(OLIVIA, &address("carl"), "owner").await.unwrap();
        let statement = format!(
            "UPDATE guestlist_invitations SET organization_id = (SELECT organization_id FROM guestlist_memberships
             WHERE user_id = 'bob' AND role = 'agent') WHERE email_key = '{}'", moved.email
        );
        match team.begin().await {
            #[cfg(feature = "postgres")]
            Transaction::Postgres(mut tx) => {
                sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
            #[cfg(feature = "sqlite")]
            Transaction::Sqlite(mut tx) => {
                sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        assert_eq!(team.invitation(moved.id).await.organization, other.organization.id);
        assert_refused(&team, &team.token(&moved), &person("carl"), |error| matches!(error, Error::InvalidToken)).await;
    }

    async fn expired_invitation_is_refused_before_any_sweep(team: Team) {
        let on = set_up(&team).await;
        let token = team.token(&team.invitation(on.invitation).await);
        team.advance_clock(TimeDelta::days(7));
        let before = dump(&team.database).await;
        assert!(before.iter().any(|row| row.contains("pending")), "the expiry is not recorded");
        for operation in ["revoke", "show the link", "change the role of an invitation"] {
            let answer = answer_of(&team, operation, OLIVIA, on).await;
            assert!(answer.as_ref().is_some_and(|answer| answer.ends_with("invitation_expired")), "{operation}: {answer:?}");
        }
        let mut tx = team.begin().await;
        assert!(matches!(team.guestlist.open(&mut tx, &token).await, Err(Error::InvitationExpired { .. })));
        assert!(matches!(team.guestlist.decline(&mut tx, &token).await, Err(Error::InvitationExpired { .. })));
        tx.commit().await.unwrap();
        assert_refused(&team, &token, &person("carl"), |error| matches!(error, Error::InvitationExpired { .. })).await;
        assert_eq!(dump(&team.database).await, before);
        let mut tx = team.begin().await;
        assert_eq!(worker::expire_due(&mut tx, team.now(), 10).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_refused(&team, &token, &person("carl"), |error| matches!(error, Error::InvitationExpired { .. } | Error::InvitationClosed { status: Status::Expired })).await;
    }

    async fn used_link_admits_nobody_else(team: Team) {
        let invitation = team.invite(OLIVIA, &address("bob"), "admin").await.unwrap();
        let token = team.token(&invitation);
        team.accept(&token, &person("bob")).await.unwrap();
        let used = |error: &Error| matches!(error, Error::InvitationClosed { status: Status::Accepted });
        let twin = User::new(user("twin"), "bob@example.com".parse().unwrap());
        for thief in [person("mallory"), twin, person("nobody").unverified(), person(OLIVIA)] {
            assert_refused(&team, &token, &thief, used).await;
        }
        assert!(matches!(team.decline(&token).await, Err(Error::InvitationClosed { .. })));
        team.suspend(OLIVIA, "bob").await.unwrap();
        assert_refused(&team, &token, &person("bob"), |error| matches!(error, Error::Suspended)).await;
        team.remove(OLIVIA, "bob").await.unwrap();
        assert_refused(&team, &token, &person("bob"), used).await;
        // After a new invitation to a lower role, the old link does not restore the higher one.
        team.invite(OLIVIA, &address("bob"), "agent").await.unwrap();
        assert_refused(&team, &token, &person("bob"), used).await;
    }

    async fn link_from_before_a_demotion_restores_no_role(team: Team) {
        let invitation = team.invite(OLIVIA, &address("bob"), "admin").await.unwrap();
        let token = team.token(&invitation);
        team.accept(&token, &person("bob")).await.unwrap();
        team.change_role(OLIVIA, "bob", "agent").await.unwrap();
        let before = dump(&team.database).await;
        assert_eq!(team.accept(&token, &person("bob")).await.unwrap().role.as_str(), "agent");
        assert_eq!(dump(&team.database).await, before);
    }

    async fn revoked_replaced_or_declined_link_stays_invalid(team: Team) {
        let rotating = team.configured(|builder| builder.resend_policy(ResendPolicy::Rotate));
        let replaced = rotating.invite(OLIVIA, &address("a"), "agent").await.unwrap();
        let token = rotating.token(&replaced);
        team.advance_clock(TimeDelta::minutes(2));
        rotating.resend(OLIVIA, replaced.id).await.unwrap();
        assert_refused(&rotating, &token, &person("a"), |error| matches!(error, Error::LinkReplaced)).await;
        let superseded = team.invite(OLIVIA, &address("b"), "owner").await.unwrap();
        let invite = team.invitation_of(&address("b"), "agent").superseding();
        let new = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite(tx, invite).await).await.unwrap();
        assert_refused(&team, &team.token(&superseded), &person("b"), |error| matches!(error, Error::InvitationClosed { status: Status::Revoked })).await;
        assert_eq!(team.accept(&team.token(&new), &person("b")).await.unwrap().role.as_str(), "agent");
        let declined = team.invite(OLIVIA, &address("c"), "agent").await.unwrap();
        team.decline(&team.token(&declined)).await.unwrap();
        assert_refused(&team, &team.token(&declined), &person("c"), |error| matches!(error, Error::InvitationClosed { status: Status::Declined })).await;
    }

    async fn no_other_domain_counts_as_the_invited_one(team: Team) {
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let others = [
            "bob@mail.example.com", "bob@example.com.evil.example", "bob@evil-example.com", "bob@evilexample.com", "bob@example.co",
            "bob@example.org", "bob@examp1e.com", "bob@exarnple.com", "bob@xn--xample-2of.com", "bob@ex\u{e4}mple.com", "bob@exampl\u{435}.com",
            "bob@example-com.evil.example", "bob%example.com@evil.example", "bob+bob=example.com@evil.example", "bob@com.example",
            "example.com@bob.example", "bob.example.com@evil.example",
        ];
        for other in others {
            let thief = User::new(user("mallory"), other.parse().unwrap());
            assert_refused(&team, &token, &thief, |error| matches!(error, Error::WrongAccount { .. })).await;
        }
        let no_addresses = [
            "bob@example.com.", "bob@.example.com", "bob@example..com", "bob@evil.example@example.com", "bob@example.com@evil.example",
            "bob@evil.example,bob@example.com", "bob@evil.example bob@example.com", "bob@evil.example\0@example.com", "bob@evil.example\n@example.com",
            "bob@example.com\0.evil.example", "\"bob@example.com\"@evil.example", "bob@example.com(.evil.example)", "bob@[example.com]",
            "bob@example.com/evil.example", "bob@example.com#evil.example", "bob@example.com:25", "<bob@example.com>evil@evil.example", "@evil.example:bob@example.com",
        ];
        for text in no_addresses {
            assert!(text.parse::<EmailAddress>().is_err(), "{text:?}");
        }
        team.accept(&token, &person("bob")).await.expect("Bob can still accept");
    }

    async fn unverified_address_ends_no_invitation(team: Team) {
        let invitation = team.invite(OLIVIA, &address("victim"), "agent").await.unwrap();
        let claims = User::new(user("mallory"), address("victim").parse().unwrap()).unverified();
        assert_refused(&team, &team.token(&invitation), &claims, |error| matches!(error, Error::UnverifiedEmail)).await;
        team.join("mallory", "agent").await;
        team.in_transaction(async |tx| team.guestlist.forget_user(tx, &claims).await).await.unwrap();
        assert_eq!(team.invitation(invitation.id).await.status, Status::Pending);
        team.accept(&team.token(&invitation), &person("victim")).await.expect("it is still theirs");
    }

    async fn invite_without_permission_reveals_nothing(team: Team) {
        let on = set_up(&team).await;
        let mut tx = team.begin().await;
        for actor in ["bob", "nobody", "dave"] {
            let mut answers = Vec::new();
            // A member, a suspended member, an invited address, an unknown address.
            for who in [OLIVIA, "dave", "carl", "unknown"] {
                let invite = guestlist::Invite::new(address(who).parse().unwrap(), "agent".parse().unwrap());
                for invite in [invite.clone(), invite.superseding()] {
                    let refused = team.guestlist.act(member(actor)).in_organization(on.organization).invite(&mut tx, invite).await.expect_err("refused");
                    answers.push(format!("{refused:?} {refused}"));
                }
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{actor}: {answers:?}");
        }
    }

    async fn stolen_link_reveals_no_address(team: Team) {
        set_up(&team).await;
        let invitation = team.invite(OLIVIA, "someone.private@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let mut answers = Vec::new();
        let outsider = |who: &str| User::new(user("x"), address(who).parse().unwrap());
        for thief in [person("bob"), person("dave"), outsider("carl"), outsider("unknown"), outsider("unknown").unverified(), outsider(OLIVIA)] {
            let refused = team.accept(&token, &thief).await.expect_err("refused");
            answers.push(format!("{refused:?} {refused} {}", refused.code()));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert!(answers[0].contains("s…@example.com") && !answers[0].contains("private"), "{answers:?}");
        // Without a valid link every answer is the same.
        let mut answers = Vec::new();
        for guess in [person("bob"), person("carl"), person("unknown"), person(OLIVIA).unverified()] {
            for text in [invitation.id.to_string(), "nonsense".to_owned(), token[1..].to_owned()] {
                let refused = team.accept(&text, &guess).await.expect_err("refused");
                answers.push(format!("{refused:?} {refused}"));
            }
        }
        answers.dedup();
        assert_eq!(answers, ["InvalidToken this link is not valid"]);
    }
}
