//! There is always an owner. Break `keep_an_owner` or the lock around it, and these tests fail.

use guestlist::Error;

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, person, user};

fn is_last_owner<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::LastOwner { .. }))
}

/// Every way in which an owner can stop being one; the subject is the second name.
async fn step_down(team: &Team, way: usize, actor: &str, subject: &str) -> Result<(), Error> {
    match way {
        0 => team.remove(actor, subject).await,
        1 => team.change_role(actor, subject, "agent").await.map(drop),
        2 => team.leave(subject).await,
        _ => team.change_role(subject, subject, "admin").await.map(drop),
    }
}

on_both_databases! {
    async fn last_owner_cannot_go_on_any_path(team: Team) {
        team.join("adam", "admin").await;
        for way in [1, 2, 3] {
            let refused = step_down(&team, way, OLIVIA, OLIVIA).await;
            assert!(is_last_owner(&refused), "{refused:?}");
        }
        assert!(is_last_owner(&team.remove(OLIVIA, OLIVIA).await));
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("owner"));
    }

    async fn last_owner_is_the_only_active_owner(team: Team) {
        let id = team.organization.id;
        let last = async || {
            let mut connection = team.database.acquire().await.unwrap();
            team.guestlist.last_owner(&mut connection, id).await.unwrap()
        };
        team.join("adam", "admin").await;
        assert_eq!(last().await, Some(user(OLIVIA)));
        team.join("bob", "owner").await;
        assert_eq!(last().await, None);
        team.suspend(OLIVIA, "bob").await.unwrap();
        assert_eq!(last().await, Some(user(OLIVIA)));
    }

    async fn two_owners_acting_at_once_leave_one(team: Team) {
        for one_way in 0..4 {
            for other_way in one_way..4 {
                for round in 0..5 {
                    let pair = Team::on(team.database.clone()).await;
                    pair.join("bob", "owner").await;
                    let (one, other) = tokio::join!(
                        step_down(&pair, one_way, "bob", OLIVIA),
                        step_down(&pair, other_way, OLIVIA, "bob")
                    );
                    let succeeded = usize::from(one.is_ok()) + usize::from(other.is_ok());
                    assert_eq!(succeeded, 1, "{one_way} {other_way} round {round}: {one:?} {other:?}");
                    let owners = [pair.role_of(OLIVIA).await, pair.role_of("bob").await]
                        .iter().flatten().filter(|role| *role == "owner").count();
                    assert_eq!(owners, 1);
                }
            }
        }
    }

    async fn owner_transfers_and_leaves_in_one_transaction(team: Team) {
        team.join("adam", "admin").await;
        let id = team.organization.id;
        let mut tx = team.begin().await;
        team.guestlist.act(member(OLIVIA)).in_organization(id).transfer_ownership(&mut tx, &user("adam")).await.unwrap();
        team.guestlist.act(member(OLIVIA)).in_organization(id).leave(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(team.role_of("adam").await.as_deref(), Some("owner"));
        assert_eq!(team.membership(OLIVIA).await, None);
        let history = team.history().await;
        assert!(history.ends_with(&["ownership_transferred", "role_changed", "member_left"]), "{history:?}");
    }

    async fn only_an_owner_hands_over_and_only_to_a_member(team: Team) {
        team.join("adam", "admin").await;
        assert!(matches!(team.transfer("adam", "adam").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.transfer(OLIVIA, "nobody").await, Err(Error::NotFound)));
        let events = team.events().await.len();
        team.transfer(OLIVIA, OLIVIA).await.expect("to oneself is no change");
        assert_eq!(team.events().await.len(), events);
    }

    async fn two_role_owner_is_only_replaced_by_transfer(team: Team) {
        let team = team.configured(|builder| builder.role_model(guestlist::RoleModel::two_role()));
        team.join("adam", "admin").await;
        assert!(matches!(team.remove("adam", OLIVIA).await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.invite(OLIVIA, "x@example.com", "owner").await, Err(Error::Forbidden { .. })));
        assert!(matches!(team.change_role(OLIVIA, "adam", "owner").await, Err(Error::Forbidden { .. })));
        team.transfer(OLIVIA, "adam").await.expect("a transfer");
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("admin"));
        team.remove("adam", OLIVIA).await.expect("an admin like any other now");
        let nobody = person("eve");
        assert_eq!(team.membership(nobody.id.as_str()).await, None);
    }
}
