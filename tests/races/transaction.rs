//! The calls of the operations within one transaction.

use chrono::TimeDelta;
use guestlist::worker::{DeliveryReport, expire_due, record_delivery, remind_due};
use guestlist::{Delivery, Error, Invitation, Membership, Transaction};

use crate::fixture::Fixture;
use crate::support::{address, member, name, person, the_host, user};

/// The fixture and an open transaction on it. Every call returns a text without values that differ
/// between runs.
pub struct OpenTransaction<'a> {
    pub fixture: &'a Fixture,
    pub tx: &'a mut Transaction,
}

type Answer = Result<String, Error>;

impl OpenTransaction<'_> {
    pub async fn invite(&mut self, actor: &str, who: &str, role: &str) -> Answer {
        let invite = self.fixture.team.invitation_of(&address(who), role);
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(self.fixture.acme())
            .invite(&mut *self.tx, invite)
            .await
            .map(said)
    }

    pub async fn supersede(&mut self, actor: &str, who: &str, role: &str) -> Answer {
        let invite = self
            .fixture
            .team
            .invitation_of(&address(who), role)
            .superseding();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(self.fixture.acme())
            .invite(&mut *self.tx, invite)
            .await
            .map(said)
    }

    pub async fn invite_all(&mut self, actor: &str, who: [&str; 2]) -> Answer {
        let invites = who.map(|who| self.fixture.team.invitation_of(&address(who), "agent"));
        let outcomes = self
            .fixture
            .guestlist()
            .act(member(actor))
            .in_organization(self.fixture.acme())
            .invite_all(&mut *self.tx, invites.into())
            .await?;
        let words = outcomes.into_iter().map(|outcome| match outcome {
            Ok(invitation) => said(invitation),
            Err(error) => error.code().to_owned(),
        });
        Ok(words.collect::<Vec<_>>().join(", "))
    }

    pub async fn resend(&mut self, actor: &str, whose: &str) -> Answer {
        let id = self.fixture.invitation(whose).id;
        self.fixture
            .guestlist()
            .act(member(actor))
            .resend(&mut *self.tx, id)
            .await
            .map(said)
    }

    pub async fn revoke(&mut self, actor: &str, whose: &str) -> Answer {
        let id = self.fixture.invitation(whose).id;
        self.fixture
            .guestlist()
            .act(member(actor))
            .revoke(&mut *self.tx, id)
            .await
            .map(said)
    }

    pub async fn accept(&mut self, who: &str) -> Answer {
        let link = self.fixture.link(who);
        self.fixture
            .guestlist()
            .accept(&mut *self.tx, &link, &person(who))
            .await
            .map(held)
    }

    pub async fn decline(&mut self, who: &str) -> Answer {
        let link = self.fixture.link(who);
        self.fixture
            .guestlist()
            .decline(&mut *self.tx, &link)
            .await
            .map(said)
    }

    pub async fn show_link(&mut self, actor: &str, whose: &str) -> Answer {
        let id = self.fixture.invitation(whose).id;
        let shown = self
            .fixture
            .guestlist()
            .act(member(actor))
            .show_link(&mut *self.tx, id)
            .await?;
        Ok(format!(
            "the first link: {}",
            shown.expose() == self.fixture.link(whose)
        ))
    }

    pub async fn change_invitation_role(&mut self, actor: &str, whose: &str, role: &str) -> Answer {
        let (id, role) = (self.fixture.invitation(whose).id, role.parse()?);
        self.fixture
            .guestlist()
            .act(member(actor))
            .change_invitation_role(&mut *self.tx, id, &role)
            .await
            .map(said)
    }

    pub async fn change_role(&mut self, actor: &str, who: &str, role: &str) -> Answer {
        let (acme, role) = (self.fixture.acme(), role.parse()?);
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .change_role(&mut *self.tx, &user(who), &role)
            .await
            .map(held)
    }

    pub async fn remove(&mut self, actor: &str, who: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .remove(&mut *self.tx, &user(who))
            .await
            .map(done)
    }

    pub async fn leave(&mut self, who: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(who))
            .in_organization(acme)
            .leave(&mut *self.tx)
            .await
            .map(done)
    }

    pub async fn transfer_ownership(&mut self, actor: &str, who: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .transfer_ownership(&mut *self.tx, &user(who))
            .await
            .map(held)
    }

    pub async fn suspend(&mut self, actor: &str, who: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .suspend(&mut *self.tx, &user(who))
            .await
            .map(held)
    }

    pub async fn reinstate(&mut self, actor: &str, who: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .reinstate(&mut *self.tx, &user(who))
            .await
            .map(held)
    }

    pub async fn forget(&mut self, who: &str) -> Answer {
        self.fixture
            .guestlist()
            .forget_user(&mut *self.tx, &person(who))
            .await
            .map(drop)
            .map(done)
    }

    pub async fn set_seats(&mut self, seats: u32) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(the_host())
            .in_organization(acme)
            .set_seats(&mut *self.tx, Some(seats))
            .await
            .map(|_| done(()))
    }

    pub async fn rename(&mut self, actor: &str, to: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .rename(&mut *self.tx, name(to))
            .await
            .map(|_| done(()))
    }

    pub async fn delete(&mut self, actor: &str) -> Answer {
        let acme = self.fixture.acme();
        self.fixture
            .guestlist()
            .act(member(actor))
            .in_organization(acme)
            .delete(&mut *self.tx)
            .await
            .map(done)
    }

    pub async fn sign_in(&mut self, who: &str, session: &str) -> Answer {
        let (acme, session) = (self.fixture.acme(), session.parse()?);
        self.fixture
            .guestlist()
            .record_session(&mut *self.tx, acme, &user(who), &session)
            .await
            .map(done)
    }

    /// Expires with the clock of a worker that is ahead by this time.
    pub async fn expire_at(&mut self, ahead: TimeDelta) -> Answer {
        let now = self.fixture.team.now() + ahead;
        expire_due(&mut *self.tx, now, 100).await.map(|_| done(()))
    }

    pub async fn remind_ahead(&mut self, time: TimeDelta) -> Answer {
        let now = self.fixture.team.now();
        remind_due(&mut *self.tx, now, now + time, 100)
            .await
            .map(|_| done(()))
    }

    /// The mail server reports for the first letter that the mailbox does not exist.
    pub async fn letter_fails(&mut self, whose: &str) -> Answer {
        let report = DeliveryReport::new(
            self.fixture.invitation(whose).id,
            1,
            Delivery::Failed,
            Some("550 5.1.1 no such user".to_owned()),
        )
        .suppressing();
        record_delivery(&mut *self.tx, self.fixture.team.now(), &report)
            .await
            .map(done)
    }
}

fn said(invitation: Invitation) -> String {
    format!("{} {}", invitation.role, invitation.status)
}

fn held(membership: Membership) -> String {
    membership.role.to_string()
}

fn done((): ()) -> String {
    "done".to_owned()
}
