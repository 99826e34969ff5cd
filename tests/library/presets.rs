//! The presets: tables written by hand, compared with the permissions of real members.
//!
//! Every pair of roles tries every operation, in a transaction that is rolled back, so that no
//! operation sees the effects of another. Break a list in a preset's TOML, or a check of the role
//! model in an operation, and these tests fail.

use std::collections::BTreeSet;

use guestlist::{Action, Actor, Error, RoleModel};

use self::fixture::{Fixture, actor, is_refused, role, subject, suspended};
use self::tables::{FOUR_TIER, Preset, SEPARATE_LISTS, TWO_ROLE};
use crate::on_both_databases;
use crate::support::{OLIVIA, Team, name, person};

#[path = "presets/fixture.rs"]
mod fixture;
#[path = "presets/tables.rs"]
mod tables;

on_both_databases! {
    async fn four_tier_permissions_match_the_table(team: Team) {
        permissions_match_table(&Fixture::new(team, &FOUR_TIER).await).await;
    }

    async fn two_role_permissions_match_the_table(team: Team) {
        permissions_match_table(&Fixture::new(team, &TWO_ROLE).await).await;
    }

    async fn four_tier_operations_match_the_table(team: Team) {
        operations_match_table(&Fixture::new(team, &FOUR_TIER).await).await;
    }

    async fn two_role_operations_match_the_table(team: Team) {
        operations_match_table(&Fixture::new(team, &TWO_ROLE).await).await;
    }

    async fn four_tier_role_changes_match_the_table(team: Team) {
        changes_match_table(&Fixture::new(team, &FOUR_TIER).await).await;
    }

    async fn two_role_role_changes_match_the_table(team: Team) {
        changes_match_table(&Fixture::new(team, &TWO_ROLE).await).await;
    }

    async fn four_tier_invitation_role_changes_match_the_table(team: Team) {
        invitation_changes_match_table(&Fixture::new(team, &FOUR_TIER).await).await;
    }

    async fn two_role_invitation_role_changes_match_the_table(team: Team) {
        invitation_changes_match_table(&Fixture::new(team, &TWO_ROLE).await).await;
    }

    async fn each_operation_checks_its_own_list(team: Team) {
        let fixture = Fixture::new(team, &SEPARATE_LISTS).await;
        operations_match_table(&fixture).await;
        changes_match_table(&fixture).await;
        invitation_changes_match_table(&fixture).await;
    }

    async fn four_tier_last_owner_cannot_go(team: Team) {
        let team = team.configured(|builder| builder.role_model(RoleModel::four_tier()));
        team.join("adam", "admin").await;
        for role in ["agent", "manager", "admin"] {
            assert!(is_last_owner(&team.change_role(OLIVIA, OLIVIA, role).await), "{role}");
            assert!(is_forbidden(&team.change_role("adam", OLIVIA, role).await), "{role}");
        }
        assert!(is_last_owner(&team.remove(OLIVIA, OLIVIA).await));
        assert!(is_forbidden(&team.remove("adam", OLIVIA).await));
        assert!(is_last_owner(&team.leave(OLIVIA).await));
        assert!(is_last_owner(&team.suspend(OLIVIA, OLIVIA).await));
        assert!(is_forbidden(&team.suspend("adam", OLIVIA).await));
        assert!(is_last_owner(&forget(&team, OLIVIA).await));
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("owner"));
        team.join("oscar", "owner").await;
        team.suspend(OLIVIA, "oscar").await.expect("not the last");
        assert!(is_last_owner(&team.leave(OLIVIA).await), "a suspended owner does not count");
        team.reinstate(OLIVIA, "oscar").await.expect("in again");
        team.leave(OLIVIA).await.expect("no longer the last");
        assert!(is_last_owner(&team.leave("oscar").await));
    }

    async fn two_role_owner_changes_only_by_transfer(team: Team) {
        let team = team.configured(|builder| builder.role_model(RoleModel::two_role()));
        team.join("adam", "admin").await;
        for actor in [OLIVIA, "adam"] {
            assert!(is_forbidden(&team.remove(actor, OLIVIA).await), "{actor}");
            assert!(is_forbidden(&team.suspend(actor, OLIVIA).await), "{actor}");
            for role in ["user", "admin"] {
                assert!(is_forbidden(&team.change_role(actor, OLIVIA, role).await), "{actor} {role}");
            }
            assert!(is_forbidden(&team.change_role(actor, "adam", "owner").await), "{actor}");
            assert!(is_forbidden(&team.invite(actor, "new@example.com", "owner").await), "{actor}");
        }
        assert!(is_last_owner(&team.leave(OLIVIA).await));
        assert!(is_last_owner(&forget(&team, OLIVIA).await));
        team.transfer(OLIVIA, "adam").await.expect("a transfer");
        assert_eq!(team.role_of("adam").await.as_deref(), Some("owner"));
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("admin"));
        assert!(is_forbidden(&team.remove(OLIVIA, "adam").await));
    }
}

fn is_last_owner<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::LastOwner { .. }))
}

fn is_forbidden<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Forbidden { .. }))
}

async fn forget(team: &Team, who: &str) -> Result<(), Error> {
    team.in_transaction(async |tx| team.guestlist.forget_user(tx, &person(who)).await)
        .await
        .map(drop)
}

/// A row of a table: the actor's role, the subject's role, and the cell under each heading.
type Row = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
);

fn rows(table: &'static str) -> Vec<Row> {
    let mut lines = table.trim().lines().map(|line| line.split_whitespace());
    let headings: Vec<_> = lines.next().expect("headings").skip(2).collect();
    let row = |mut cells: std::str::SplitWhitespace<'static>| {
        let (actor, on) = (
            cells.next().expect("an actor"),
            cells.next().expect("a subject"),
        );
        let cells: Vec<_> = cells.collect();
        assert_eq!(cells.len(), headings.len(), "the row of {actor} and {on}");
        (actor, on, headings.iter().copied().zip(cells).collect())
    };
    lines.map(row).collect()
}

/// A permission and the roles that have it.
type Held = (&'static str, Vec<&'static str>);

/// The phrases of a table of permissions, and the permission of each.
fn parse_permissions(table: &'static str) -> (Vec<&'static str>, Vec<Held>) {
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let row = |line| match cells(line)[..] {
        [phrase, word, holders] => (phrase, (word, holders.split(' ').collect())),
        _ => panic!("no row: {line}"),
    };
    table.trim().lines().map(row).unzip()
}

async fn permissions_match_table(fixture: &Fixture) {
    let Fixture { team, preset, .. } = fixture;
    let (phrases, permissions) = parse_permissions(preset.permissions);
    let words: BTreeSet<_> = permissions.iter().map(|(word, _)| *word).collect();
    let once = phrases.iter().collect::<BTreeSet<_>>();
    assert_eq!(
        (once.len(), words.len()),
        (phrases.len(), phrases.len()),
        "a permission for each phrase"
    );
    let model = team.guestlist.role_model();
    let names: Vec<_> = model
        .roles()
        .iter()
        .map(|role| role.name().as_str())
        .collect();
    assert_eq!(names, preset.roles);
    for holder in preset.roles {
        let holds = |(_, holders): &&Held| holders.contains(holder);
        let expected: BTreeSet<_> = permissions
            .iter()
            .filter(holds)
            .map(|(word, _)| *word)
            .collect();
        let definition = model.get(&role(holder)).expect("defined");
        assert_eq!(
            definition.permissions().collect::<BTreeSet<_>>(),
            expected,
            "{holder}"
        );
        let unknown = ["", "billing", "BILLING.MANAGE", "billing.manage ", "*"];
        let mut tx = team.begin().await;
        for word in words.iter().copied().chain(unknown) {
            let access = team
                .guestlist
                .access(&mut tx, &actor(holder), team.organization.id)
                .await;
            assert_eq!(
                access.unwrap().is_some_and(|access| access.allows(word)),
                expected.contains(word),
                "{holder}: {word:?}"
            );
        }
        let (guestlist, id) = (&team.guestlist, team.organization.id);
        let renamed = guestlist
            .act(Actor::member(&actor(holder)))
            .in_organization(id)
            .rename(&mut tx, name("Zenith"))
            .await;
        let refused = is_refused(renamed.map(drop), holder, Action::Rename);
        assert_eq!(!refused, expected.contains("organization.rename"));
        let deleted = guestlist
            .act(Actor::member(&actor(holder)))
            .in_organization(id)
            .delete(&mut tx)
            .await;
        let refused = is_refused(deleted, holder, Action::Delete);
        assert_eq!(!refused, expected.contains("organization.delete"));
    }
}

async fn operations_match_table(fixture: &Fixture) {
    let rows = rows(fixture.preset.operations);
    assert_covers(fixture.preset, &rows);
    for (by, on, cells) in rows {
        for (operation, expected) in cells {
            let mut others = vec![if operation == "reinstate" {
                suspended(on)
            } else {
                subject(on)
            }];
            if by == on && matches!(operation, "remove" | "suspend" | "transfer") {
                others.push(actor(by));
            }
            for who in others {
                let found = fixture.operation(operation, by, &who, on).await;
                assert_eq!(found, expected, "{by}: {operation} {on}, {who}");
            }
        }
    }
}

async fn changes_match_table(fixture: &Fixture) {
    let rows = rows(fixture.preset.changes);
    assert_covers(fixture.preset, &rows);
    for (by, from, cells) in rows {
        for (to, expected) in cells {
            let mut others = vec![subject(from), suspended(from)];
            if by == from {
                others.push(actor(by));
            }
            for who in others {
                let found = fixture.change(by, &who, from, to).await;
                assert_eq!(found, expected, "{by}: {from} to {to}, {who}");
            }
        }
    }
}

async fn invitation_changes_match_table(fixture: &Fixture) {
    let rows = rows(fixture.preset.invitation_changes);
    assert_covers(fixture.preset, &rows);
    for (by, from, cells) in rows {
        for (to, expected) in cells {
            let found = fixture.change_invitation(by, from, to).await;
            assert_eq!(found, expected, "{by}: an invitation from {from} to {to}");
        }
    }
}

/// Asserts that every pair of roles has one row.
fn assert_covers(preset: &Preset, rows: &[Row]) {
    let pairs: BTreeSet<_> = rows.iter().map(|(by, on, _)| (*by, *on)).collect();
    assert_eq!(pairs.len(), rows.len(), "a pair twice");
    for by in preset.roles {
        for on in preset.roles {
            assert!(pairs.contains(&(*by, *on)), "{by} and {on} are missing");
        }
    }
}
