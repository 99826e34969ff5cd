//! Accounts, memberships and invitations, created directly instead of through pages.

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHasher};
use chrono::{TimeDelta, Utc};
use guestlist::{
    Actor, Database, Invitation, Invite, Membership, OrganizationId, Paging, Transaction, User,
    UserId,
};

use crate::site::Site;
use crate::window::Window;

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery";

static HASH: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(PASSWORD.as_bytes());
    hash.unwrap().to_string()
});

/// Runs a statement on Postgres or SQLite.
macro_rules! execute {
    ($site:expr, $statement:expr $(, $value:expr)*) => {
        match &$site.database {
            Database::Postgres(pool) => drop(sqlx::query($statement)$(.bind($value))*.execute(pool).await.unwrap()),
            Database::Sqlite(pool) => drop(sqlx::query($statement)$(.bind($value))*.execute(pool).await.unwrap()),
            _ => unreachable!("neither Postgres nor SQLite"),
        }
    };
}

impl Site {
    /// Creates an account with an address made from the name.
    pub(crate) async fn person(&self, name: &str) -> User {
        let id = uuid::Uuid::now_v7().to_string();
        let email = self.address(name);
        execute!(
            self,
            "INSERT INTO team_accounts (id, email, email_key, name, password, created_at)
             VALUES ($1, $2, $2, $3, $4, $5)",
            &id,
            &email,
            name,
            HASH.as_str(),
            Utc::now()
        );
        User::new(id.parse().unwrap(), email.parse().unwrap()).named(name.parse().unwrap())
    }

    /// Opens a browser and signs in.
    pub(crate) async fn window_of(&self, user: &User) -> Window {
        let window = self.window().await;
        window.sign_in(user.email.as_str()).await;
        window
    }

    pub(crate) async fn organization(&self, name: &str, owner: &User) -> OrganizationId {
        let mut tx = self.begin().await;
        let name = name.parse().unwrap();
        let organization = self.guestlist.create(&mut tx, name, owner).await.unwrap();
        tx.commit().await.unwrap();
        organization.id
    }

    /// Adds a member through an invitation by the owner.
    pub(crate) async fn join(
        &self,
        organization: OrganizationId,
        owner: &User,
        user: &User,
        role: &str,
    ) {
        let invitation = self
            .invite(organization, owner, user.email.as_str(), role)
            .await;
        let mut tx = self.begin().await;
        let token = self.guestlist.token(&invitation).unwrap();
        let accepted = self.guestlist.accept(&mut tx, token.expose(), user).await;
        accepted.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn invite(
        &self,
        organization: OrganizationId,
        actor: &User,
        email: &str,
        role: &str,
    ) -> Invitation {
        let mut tx = self.begin().await;
        let invite = Invite::new(email.parse().unwrap(), role.parse().unwrap());
        let invited = self
            .guestlist
            .act(Actor::member(&actor.id))
            .in_organization(organization)
            .invite(&mut tx, invite)
            .await;
        tx.commit().await.unwrap();
        invited.unwrap()
    }

    /// Returns the link of an invitation.
    pub(crate) fn link(&self, invitation: &Invitation) -> String {
        let token = self.guestlist.token(invitation).unwrap();
        format!("{}/invitations/{}", self.url, token.expose())
    }

    /// Records that the link of an invitation was shown.
    pub(crate) async fn show_link(&self, invitation: &Invitation) {
        let statement = "INSERT INTO team_shown_links (invitation_id) VALUES ($1)";
        execute!(self, statement, invitation.id.to_string());
    }

    /// Makes an invitation expire.
    pub(crate) async fn expire(&self, email: &str) {
        execute!(
            self,
            "UPDATE guestlist_invitations SET expires_at = $1 WHERE email = $2",
            Utc::now() - TimeDelta::minutes(1),
            email
        );
    }

    pub(crate) async fn members(&self, organization: OrganizationId) -> Vec<Membership> {
        let mut connection = self.database.acquire().await.unwrap();
        let all = Paging::first(Paging::MAX_LIMIT);
        let members = self
            .guestlist
            .members(&mut connection, organization, &all)
            .await;
        members.unwrap().items
    }

    /// Lists the owners.
    pub(crate) async fn owners(&self, organization: OrganizationId) -> Vec<UserId> {
        let members = self.members(organization).await.into_iter();
        let owners = members.filter(|member| member.role.as_str() == "owner");
        owners.map(|member| member.user).collect()
    }

    pub(crate) async fn begin(&self) -> Transaction {
        self.database.begin().await.unwrap()
    }
}

impl Window {
    /// Signs in, from any page.
    pub(crate) async fn sign_in(&self, email: &str) {
        self.open("/sign-in").await;
        self.write("E-mail address", email).await;
        self.write("Password", PASSWORD).await;
        self.press("Sign in").await;
        self.says("Sign out").await;
    }

    /// Fills in the form for name and password.
    pub(crate) async fn write_account(&self, name: &str, password: &str) {
        self.write("Your name", name).await;
        self.write("Password", password).await;
        self.write("Repeat the password", password).await;
    }
}

/// Returns the path of an organization's page.
pub(crate) fn page_of(organization: OrganizationId, page: &str) -> String {
    format!("/organizations/{organization}/{page}")
}
