//! From a deed to a call of the library.

use guestlist::worker::{self, DeliveryReport};
use guestlist::{Connection, Error, Invite, Paging, SessionKey, UserId, outbox};

use super::{Stage, parse, user};
use crate::deed::{Deed, Row};
use crate::history::Verb;
use crate::world::{Subject, What, World};

/// More than any history has.
const EVERYTHING: u32 = 10_000;

impl Stage {
    pub(super) async fn act(
        &mut self,
        connection: &mut Connection<'_>,
        deed: &Deed,
        world: &World,
    ) -> Vec<Result<(), Error>> {
        match deed.verb {
            Verb::InviteAll => self.invite_all(connection, deed).await,
            _ => vec![self.act_once(connection, deed, world).await],
        }
    }

    async fn act_once(
        &mut self,
        connection: &mut Connection<'_>,
        deed: &Deed,
        world: &World,
    ) -> Result<(), Error> {
        match deed.verb {
            Verb::Create | Verb::Rename | Verb::Delete | Verb::SetSeats => {
                self.of_organizations(connection, deed).await
            }
            Verb::Invite
            | Verb::InviteAll
            | Verb::Resend
            | Verb::Revoke
            | Verb::ShowLink
            | Verb::ChangeInvitationRole => self.of_invitations(connection, deed).await,
            Verb::Open | Verb::Accept | Verb::Decline => self.by_link(connection, deed).await,
            Verb::ChangeRole
            | Verb::TransferOwnership
            | Verb::Remove
            | Verb::Leave
            | Verb::Suspend
            | Verb::Reinstate
            | Verb::ForgetUser => self.of_members(connection, deed).await,
            Verb::RecordSession | Verb::ForgetSession => self.of_sessions(connection, deed).await,
            Verb::Pass => {
                self.clock.advance(deed.time);
                Ok(())
            }
            _ => self.of_the_worker(connection, deed, world).await,
        }
    }

    async fn of_organizations(
        &mut self,
        connection: &mut Connection<'_>,
        deed: &Deed,
    ) -> Result<(), Error> {
        let (guestlist, actor) = (self.guestlist(deed), parse(deed.actor));
        if deed.verb == Verb::Create {
            let created = guestlist
                .create(&mut *connection, parse(deed.name()), &user(deed.guest))
                .await?;
            let stored = guestlist.organization(connection, created.id).await?;
            assert_eq!(Some(&created), stored.as_ref());
            self.organizations.push(created.id);
            return Ok(());
        }
        let id = self.organization(deed.organization);
        if deed.verb == Verb::Delete {
            return guestlist.delete(connection, &actor, id).await;
        }
        let returned = if deed.verb == Verb::SetSeats {
            guestlist
                .set_seats(&mut *connection, id, deed.seats())
                .await?
        } else {
            let name = parse(deed.name());
            guestlist.rename(&mut *connection, &actor, id, name).await?
        };
        assert_eq!(
            Some(returned),
            guestlist.organization(connection, id).await?
        );
        Ok(())
    }

    async fn of_invitations(
        &mut self,
        connection: &mut Connection<'_>,
        deed: &Deed,
    ) -> Result<(), Error> {
        let (guestlist, actor) = (self.guestlist(deed), parse(deed.actor));
        let id = self.invitation(deed.invitation);
        let returned = match deed.verb {
            Verb::Invite => {
                let invite = self.invite(&deed.row);
                let invitation = guestlist.invite(&mut *connection, &actor, invite).await?;
                self.invitations.push(invitation.id);
                invitation
            }
            Verb::Resend => guestlist.resend(&mut *connection, &actor, id).await?,
            Verb::Revoke => guestlist.revoke(&mut *connection, &actor, id).await?,
            Verb::ChangeInvitationRole => {
                let role = parse(deed.row.role);
                guestlist
                    .change_invitation_role(&mut *connection, &actor, id, &role)
                    .await?
            }
            _ => {
                let token = guestlist.show_link(&mut *connection, &actor, id).await?;
                let stored = guestlist.invitation(connection, id).await?;
                assert_eq!(token, guestlist.token(&stored.expect("there"))?);
                return Ok(());
            }
        };
        let stored = guestlist.invitation(connection, returned.id).await?;
        assert_eq!(
            Some(&returned),
            stored.as_ref(),
            "what is returned is what is stored"
        );
        Ok(())
    }

    async fn invite_all(
        &mut self,
        connection: &mut Connection<'_>,
        deed: &Deed,
    ) -> Vec<Result<(), Error>> {
        let invites = deed.rows.iter().map(|row| self.invite(row)).collect();
        let guestlist = self.guestlist(deed);
        let outcomes = match guestlist
            .invite_all(&mut *connection, &parse(deed.actor), invites)
            .await
        {
            Ok(outcomes) => outcomes,
            Err(refused) => return vec![Err(refused)],
        };
        let created = outcomes
            .iter()
            .filter_map(|outcome| Some(outcome.as_ref().ok()?.id));
        let mut created: Vec<_> = created.collect();
        created.sort();
        self.invitations.extend(created);
        outcomes
            .into_iter()
            .map(|outcome| outcome.map(drop))
            .collect()
    }

    fn invite(&self, row: &Row) -> Invite {
        let id = self.organization(row.organization);
        let invite =
            Invite::new(id, parse(row.address.typed), parse(row.role)).locale(parse(row.locale));
        if row.superseding {
            invite.superseding()
        } else {
            invite
        }
    }

    async fn by_link(&self, connection: &mut Connection<'_>, deed: &Deed) -> Result<(), Error> {
        let (guestlist, token) = (self.guestlist(deed), self.presented(deed));
        let returned = match deed.verb {
            Verb::Open => guestlist.open(&mut *connection, &token).await?,
            Verb::Decline => guestlist.decline(&mut *connection, &token).await?,
            _ => {
                let membership = guestlist
                    .accept(&mut *connection, &token, &user(deed.guest))
                    .await?;
                let (organization, user) = (membership.organization, &membership.user);
                let stored = guestlist.membership(connection, organization, user).await?;
                assert_eq!(Some(&membership), stored.as_ref());
                return Ok(());
            }
        };
        assert_eq!(
            Some(&returned),
            guestlist
                .invitation(connection, returned.id)
                .await?
                .as_ref()
        );
        Ok(())
    }

    async fn of_members(&self, connection: &mut Connection<'_>, deed: &Deed) -> Result<(), Error> {
        let guestlist = self.guestlist(deed);
        let (actor, whom): (UserId, UserId) = (parse(deed.actor), parse(deed.whom));
        let id = self.organization(deed.organization);
        let returned = match deed.verb {
            Verb::ChangeRole => {
                let role = parse(deed.row.role);
                guestlist
                    .change_role(&mut *connection, &actor, id, &whom, &role)
                    .await?
            }
            Verb::TransferOwnership => {
                guestlist
                    .transfer_ownership(&mut *connection, &actor, id, &whom)
                    .await?
            }
            Verb::Suspend => {
                guestlist
                    .suspend(&mut *connection, &actor, id, &whom)
                    .await?
            }
            Verb::Reinstate => {
                guestlist
                    .reinstate(&mut *connection, &actor, id, &whom)
                    .await?
            }
            Verb::Remove => return guestlist.remove(connection, &actor, id, &whom).await,
            Verb::Leave => return guestlist.leave(connection, &actor, id).await,
            _ => {
                return guestlist
                    .forget_user(connection, &user(deed.guest))
                    .await
                    .map(drop);
            }
        };
        let all = Paging::first(Paging::MAX_LIMIT);
        let listed = guestlist.members(connection, id, &all).await?.items;
        assert!(
            listed.contains(&returned),
            "{returned:?} is not among {listed:?}"
        );
        Ok(())
    }

    async fn of_sessions(&self, connection: &mut Connection<'_>, deed: &Deed) -> Result<(), Error> {
        let (guestlist, id) = (self.guestlist(deed), self.organization(deed.organization));
        let (whom, session) = (parse(deed.whom), session_key(deed.whom, deed.session()));
        match deed.verb {
            Verb::RecordSession => {
                guestlist
                    .record_session(connection, id, &whom, &session)
                    .await
            }
            _ => {
                guestlist
                    .forget_session(connection, id, &whom, &session)
                    .await
            }
        }
    }

    async fn of_the_worker(
        &self,
        connection: &mut Connection<'_>,
        deed: &Deed,
        world: &World,
    ) -> Result<(), Error> {
        let now = self.guestlist.now();
        match deed.verb {
            Verb::ExpireDue => worker::expire_due(connection, now, EVERYTHING)
                .await
                .map(drop),
            Verb::RemindDue => worker::remind_due(connection, now, now + deed.time, EVERYTHING)
                .await
                .map(drop),
            Verb::RecordDelivery => {
                worker::record_delivery(connection, now, &self.report(deed, world)).await
            }
            Verb::PurgeSessions => {
                let id = self.organization(deed.organization);
                let whom = parse(deed.whom);
                let whom = (!deed.purges_everyone()).then_some(&whom);
                let ended = worker::ended_sessions(&mut *connection, id, whom, EVERYTHING).await?;
                worker::forget_ended_sessions(connection, id, &ended)
                    .await
                    .map(|_| ())
            }
            Verb::Settle => {
                let done = &world.tasks[..deed.settled().min(world.tasks.len())];
                let mut left = self.reading.messages.clone();
                let mut take = |task: &crate::world::Task| {
                    let place = left.iter().position(|it| self.task(it) == *task);
                    left.remove(place.expect("a message for each task")).id
                };
                let done: Vec<_> = done.iter().map(&mut take).collect();
                outbox::complete(connection, &done).await.map(drop)
            }
            _ => {
                let before = now - crate::limits::WINDOW;
                worker::delete_old_letters(connection, before, EVERYTHING)
                    .await
                    .map(drop)
            }
        }
    }

    fn report(&self, deed: &Deed, world: &World) -> DeliveryReport {
        let newest = deed
            .invitation
            .map_or(1, |place| world.invitations[place].letters);
        DeliveryReport {
            invitation: self.invitation(deed.invitation),
            letter: newest - i64::from(deed.reports_an_older_letter()),
            delivery: parse(deed.delivery()),
            detail: None,
        }
    }

    /// A message in the model's words.
    pub fn task(&self, message: &outbox::Message) -> crate::world::Task {
        let place = |id| {
            self.invitations
                .iter()
                .position(|known| *known == id)
                .expect("known")
        };
        let organization = self
            .organizations
            .iter()
            .position(|id| *id == message.organization);
        let organization = organization.expect("known");
        let what = match message.task().expect("a known task") {
            outbox::Task::SendInvitation { invitation, letter } => What::SendInvitation {
                invitation: place(invitation),
                letter,
            },
            outbox::Task::SendReminder { invitation, letter } => What::SendReminder {
                invitation: place(invitation),
                letter,
            },
            outbox::Task::SendNotice { event } => {
                let mut events = self.reading.organizations[organization].events.iter();
                let told = events.find(|told| told.id == event).expect("told");
                let kind = told.kind.as_str();
                let subject = match told.subject.parse() {
                    Ok(id) => Subject::Invitation(place(id)),
                    Err(_) => Subject::Person(person(&told.subject)),
                };
                What::SendNotice { kind, subject }
            }
            outbox::Task::PurgeSessions { user } => {
                let user = user.map(|user| person(user.as_str()));
                What::PurgeSessions { user }
            }
            other => panic!("{other:?} is new to the model"),
        };
        crate::world::Task { organization, what }
    }
}

pub fn session_key(person: &str, nth: usize) -> SessionKey {
    parse(&format!("{person}-{nth}"))
}

fn person(id: &str) -> crate::cast::Person {
    let mut people = crate::cast::PEOPLE.into_iter();
    people
        .find(|person| *person == id)
        .expect("one of the cast")
}
