//! Teams with more members and invitations than one page shows.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use guestlist::{Actor, Database, Invite, OrganizationId, Role, User, UserId};

use crate::browser::Page;
use crate::site::Site;

/// More entries than one page of a list shows.
const MANY: usize = 130;

#[tokio::test]
async fn lists_continue_on_the_next_page() {
    let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let owner = site.account("olivia@acme.example").await;
    join(&site, acme, &owner).await;
    invite(&site, acme, &owner, "late").await;
    expire_all(&site).await;
    invite(&site, acme, &owner, "new").await;

    let team = format!("/organizations/{acme}/settings/team");
    let first = olivia.open(&team).await;
    for (kind, control) in [
        ("member", "members"),
        ("new", "pending invitations"),
        ("late", "expired invitations"),
    ] {
        let more = format!("More {control}");
        let back = format!("Back to the first {control}");
        assert!(!first.offers(&back), "{back}");
        let second = olivia.follow(&first, &more).await;
        assert!(!second.offers(&more), "{more}");
        let (some, others) = (addresses(&first, kind), addresses(&second, kind));
        assert_eq!(some.len() + others.len(), MANY, "{kind}");
        assert_eq!(some.union(&others).count(), MANY, "{kind}");
        let again = olivia.follow(&second, &back).await;
        assert_eq!(addresses(&again, kind), some);
    }

    // A list keeps its position when another list is paged, and in the response to a form.
    let page = olivia.follow(&first, "More members").await;
    let page = olivia.follow(&page, "More pending invitations").await;
    assert!(page.offers("Back to the first members"));
    assert!(page.offers("Back to the first pending invitations"));
    let invite = format!("{team}/invitations");
    let fields = [("emails", "nonsense"), ("role", "agent")];
    let page = olivia.force(&invite, &fields).await;
    let page = olivia.follow(&page, "More members").await;
    page.must_say("Team of Acme");
}

#[tokio::test]
async fn an_action_on_a_later_page_leads_back_to_it() {
    let site = Site::embedded(&[("GUESTLIST_LIMITS", "none")]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let owner = site.account("olivia@acme.example").await;
    join(&site, acme, &owner).await;
    invite(&site, acme, &owner, "new").await;
    let page = olivia
        .open(&format!("/organizations/{acme}/settings/team"))
        .await;
    let page = olivia.follow(&page, "More members").await;
    let there = olivia.follow(&page, "More pending invitations").await;
    let seen = |page: &Page| (addresses(page, "member"), addresses(page, "new"));
    let (mut members, mut invitations) = seen(&there);
    let (member, invitation) = (
        members.first().unwrap().clone(),
        invitations.first().unwrap().clone(),
    );

    let role = format!("Change the role of {member}");
    let page = olivia.press(&there, &role, &[("role", "admin")]).await;
    assert_eq!(seen(&page), (members.clone(), invitations.clone()));
    let resend = format!("Resend to {invitation}");
    let page = olivia.press(&page, &resend, &[]).await;
    assert_eq!(seen(&page), (members.clone(), invitations.clone()));
    let typed = [("emails", "nonsense"), ("role", "agent")];
    let page = olivia.press(&page, "Send the invitations", &typed).await;
    assert_eq!(seen(&page), (members.clone(), invitations.clone()));

    let ask = olivia.follow(&page, &format!("Remove {member}")).await;
    let kept = olivia.follow(&ask, &format!("Keep {member}")).await;
    assert_eq!(seen(&kept), (members.clone(), invitations.clone()));
    let page = olivia.press(&ask, &format!("Remove {member}"), &[]).await;
    members.remove(&member);
    page.must_say(&format!("{member} was removed"));
    assert_eq!(addresses(&page, "new"), invitations);
    let cancel = format!("Cancel the invitation for {invitation}");
    let page = olivia.press(&page, &cancel, &[]).await;
    invitations.remove(&invitation);
    assert!(page.offers("Back to the first members"));
    assert!(page.offers("Back to the first pending invitations"));
    assert!(addresses(&page, "member").is_superset(&members));
}

#[tokio::test]
async fn an_invalid_cursor_is_refused() {
    let site = Site::embedded(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    for list in ["members", "pending", "expired"] {
        let path = format!("/organizations/{acme}/settings/team?{list}=nonsense");
        let page = olivia.open(&path).await;
        assert_eq!(page.status, 422, "{list}");
        page.must_say("The page cursor is not valid.");
    }
}

/// Returns the addresses of a kind that a page shows.
fn addresses(page: &Page, kind: &str) -> BTreeSet<String> {
    let text = page.text();
    let words = text.split_whitespace();
    let those = words.filter(|word| word.starts_with(&format!("{kind}-")));
    those
        .filter(|word| word.ends_with("@acme.example"))
        .map(str::to_owned)
        .collect()
}

fn email(kind: &str, number: usize) -> String {
    format!("{kind}-{number}@acme.example")
}

async fn join(site: &Site, acme: OrganizationId, owner: &UserId) {
    let role: Role = "agent".parse().unwrap();
    for number in 0..MANY {
        let email = email("member", number);
        let user = User::new(email.parse().unwrap(), email.parse().unwrap());
        site.join(acme, owner, user, &role).await;
    }
}

async fn invite(site: &Site, acme: OrganizationId, owner: &UserId, kind: &str) {
    let role: Role = "agent".parse().unwrap();
    let invites =
        (0..MANY).map(|number| Invite::new(email(kind, number).parse().unwrap(), role.clone()));
    let mut tx = site.database.begin().await.unwrap();
    let acting = site
        .guestlist
        .act(Actor::member(owner))
        .in_organization(acme);
    let invited = acting.invite_all(&mut tx, invites.collect());
    for invited in invited.await.unwrap() {
        invited.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Makes all pending invitations expire.
async fn expire_all(site: &Site) {
    const EXPIRE: &str =
        "UPDATE guestlist_invitations SET expires_at = $1 WHERE status = 'pending'";
    let Database::Sqlite(pool) = &site.database else {
        unreachable!("an embedded site is on SQLite");
    };
    let past = Utc::now() - TimeDelta::minutes(1);
    let query = sqlx::query(EXPIRE).bind(past);
    query.execute(pool).await.unwrap();
}
