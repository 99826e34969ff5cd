use guestlist::{Error, Paging};

use crate::on_both_databases;
use crate::support::{OLIVIA, member, name, person};

on_both_databases! {
    async fn an_organization_starts_with_its_owner(team: Team) {
        assert_eq!(team.role_of(OLIVIA).await.as_deref(), Some("owner"));
        let mut tx = team.begin().await;
        let found = team.guestlist.organization(&mut tx, team.organization.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&team.organization));
        let all = team.guestlist.organizations(&mut tx, &Paging::first(10)).await.unwrap();
        assert_eq!(all.items, std::slice::from_ref(&team.organization));
    }

    async fn events_are_listed_in_both_directions(team: Team) {
        team.join("bob", "agent").await;
        team.join("adam", "admin").await;
        let mut oldest_first: Vec<_> = team.events().await.iter().map(|event| event.id).collect();
        let (mut newest_first, mut paging) = (Vec::new(), Paging::first(2));
        let mut connection = team.database.acquire().await.unwrap();
        loop {
            let id = team.organization.id;
            let page = team.guestlist.latest_events(&mut connection, id, &paging).await.unwrap();
            newest_first.extend(page.items.iter().map(|event| event.id));
            let Some(next) = page.next else { break };
            paging = Paging::after(next, 2);
        }
        oldest_first.reverse();
        assert!(newest_first.len() > 4);
        assert_eq!(newest_first, oldest_first);
    }

    async fn an_owner_needs_a_verified_address(team: Team) {
        let refused = team
            .in_transaction(async |tx| team.guestlist.create(tx, name("B"), &person("x").unverified()).await)
            .await;
        assert!(matches!(refused, Err(Error::UnverifiedEmail)));
    }

    async fn renaming_needs_the_permission_and_is_audited(team: Team) {
        team.join("mia", "manager").await;
        let id = team.organization.id;
        let refused = team.in_transaction(async |tx| team.guestlist.act(member("mia")).in_organization(id).rename(tx, name("X")).await).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
        let renamed =
            team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).rename(tx, name("X & Co")).await).await;
        assert_eq!(renamed.unwrap().name.as_str(), "X & Co");
        let event = team.events().await.pop().unwrap();
        assert_eq!((event.before.unwrap()["name"].clone(), event.after.unwrap()["name"].clone()), ("Acme".into(), "X & Co".into()));
        team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).rename(tx, name("X & Co")).await).await.unwrap();
        assert_eq!(team.history().await.iter().filter(|kind| **kind == "organization_renamed").count(), 1);
    }

    async fn deletion_keeps_only_the_events(team: Team) {
        team.join("adam", "admin").await;
        let invitation = team.invite(OLIVIA, "bob@example.com", "agent").await.unwrap();
        let token = team.token(&invitation);
        let id = team.organization.id;
        let refused = team.in_transaction(async |tx| team.guestlist.act(member("adam")).in_organization(id).delete(tx).await).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
        team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).delete(tx).await).await.unwrap();
        assert_eq!(team.membership(OLIVIA).await, None);
        assert!(matches!(team.accept(&token, &person("bob")).await, Err(Error::InvalidToken)));
        assert_eq!(team.history().await.last(), Some(&"organization_deleted"));
        assert!(team.messages().await.contains(&"purge_sessions".to_owned()));
        let again = team.in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(id).delete(tx).await).await;
        assert!(matches!(again, Err(Error::NotFound)));
    }
}
