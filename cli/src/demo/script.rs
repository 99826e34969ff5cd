//! The steps of the demonstration.

use guestlist::{Database, Delivery, Error, Invitation, Paging, SessionKey, Status, outbox};

use super::super::failure::{Failure, Reason};
use super::fixture::Fixture;
use super::letter::token_in;
use super::{member, person, user};

/// The invited people. The steps are about the first three.
pub(super) struct Guests {
    pub(super) first_three: [Invitation; 3],
    pub(super) count: usize,
}

impl Fixture {
    /// Invites all people in transactions of 500.
    pub(super) async fn invite_guests(&self) -> Result<Guests, Failure> {
        let mut invited = Vec::new();
        for batch in self.invites.chunks(500) {
            let batch = batch.to_vec();
            let outcomes = self
                .change(async |tx| {
                    self.guestlist
                        .act(member("olivia"))
                        .in_organization(self.organization.id)
                        .invite_all(tx, batch)
                        .await
                })
                .await?;
            for (outcome, invite) in outcomes.into_iter().zip(&self.invites[invited.len()..]) {
                match outcome {
                    Ok(invitation) => invited.push(invitation),
                    Err(refused) => self.say(format_args!(
                        "{} is not invited: {refused}.",
                        invite.email()
                    ))?,
                }
            }
        }
        for invitation in invited.iter().take(3) {
            let Invitation {
                email,
                role,
                locale,
                ..
            } = invitation;
            self.say(format_args!(
                "Olivia invites {email} as {role}, in {locale}."
            ))?;
        }
        let count = invited.len();
        if count > 3 {
            self.say(format_args!("Olivia invites {} more people.", count - 3))?;
        }
        let first_three: [Invitation; 3] = invited
            .into_iter()
            .take(3)
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| {
                Reason::invalid(
                    "too_few",
                    "the file has fewer than three people that can be invited",
                )
            })?;
        Ok(Guests { first_three, count })
    }

    pub(super) async fn wait_for_letters(&self, count: usize) -> Result<(), Failure> {
        let sent = async || Ok(self.letter_files()?.len() >= count);
        self.wait_until("the sending of the letters", sent).await?;
        self.say(format_args!("The worker has sent {count} letters."))
    }

    /// Prints the text of an invitee's letter.
    pub(super) async fn show_letter(&self, invitation: &Invitation) -> Result<(), Failure> {
        let (file, text) = self.letter(invitation)?;
        self.say(format_args!(
            "The letter to {}, in {}:\n",
            invitation.email,
            file.display()
        ))?;
        self.output
            .lines(text.lines().map(|line| format!("    {line}")))?;
        Ok(self.output.line("")?)
    }

    pub(super) async fn accept(&self, invitation: &Invitation, who: &str) -> Result<(), Failure> {
        let (_, text) = self.letter(invitation)?;
        let guest = person(who, invitation.email.as_str());
        let token = token_in(&text)?;
        let membership = self
            .change(async |tx| self.guestlist.accept(tx, &token, &guest).await)
            .await?;
        self.say(format_args!(
            "{} opens the link and accepts: now a member as {}.",
            membership.email, membership.role
        ))
    }

    /// Tries to accept with an account of another address.
    pub(super) async fn accept_as_other_account(
        &self,
        invitation: &Invitation,
    ) -> Result<(), Failure> {
        let token = token_in(&self.letter(invitation)?.1)?;
        let mallory = person("mallory", "mallory@example.com");
        match self
            .change(async |tx| self.guestlist.accept(tx, &token, &mallory).await)
            .await
        {
            Err(Failure::Reason(reason)) => self.say(format_args!(
                "Mallory has the same link and is refused: {}.",
                reason.message()
            )),
            _ => Err(Reason::fault("demo", "a link was accepted by another account").into()),
        }
    }

    pub(super) async fn decline(&self, invitation: &Invitation) -> Result<(), Failure> {
        let token = token_in(&self.letter(invitation)?.1)?;
        self.change(async |tx| self.guestlist.decline(tx, &token).await)
            .await?;
        self.say(format_args!(
            "{} declines; Olivia gets a notice by e-mail.",
            invitation.email
        ))
    }

    /// Waits until the invitation has expired and the worker has recorded it.
    pub(super) async fn expire(&self, invitation: &Invitation) -> Result<(), Failure> {
        self.say(format_args!(
            "{} does nothing, and the invitation expires…",
            invitation.email
        ))?;
        let expired = async || {
            let mut connection = self.database.acquire().await?;
            let found = self
                .guestlist
                .invitation(&mut connection, invitation.id)
                .await?;
            Ok(found.is_some_and(|invitation| invitation.status == Status::Expired))
        };
        self.wait_until("the expiry", expired).await?;
        let token = token_in(&self.letter(invitation)?.1)?;
        let guest = person("bob", invitation.email.as_str());
        match self
            .change(async |tx| self.guestlist.accept(tx, &token, &guest).await)
            .await
        {
            Err(Failure::Reason(reason)) => self.say(format_args!(
                "The link is now refused: {}.",
                reason.message()
            )),
            _ => Err(Reason::fault("demo", "an expired link was accepted").into()),
        }
    }

    pub(super) async fn resend(&self, invitation: &Invitation) -> Result<(), Failure> {
        let id = invitation.id;
        self.change(async |tx| self.guestlist.act(member("olivia")).resend(tx, id).await)
            .await?;
        let sent = async || {
            let mut connection = self.database.acquire().await?;
            let found = self.guestlist.invitation(&mut connection, id).await?;
            Ok(found.is_some_and(|invitation| invitation.delivery == Delivery::Sent))
        };
        self.wait_until("the sending of the second letter", sent)
            .await?;
        self.say(format_args!(
            "Olivia resends it: {} gets a second letter.",
            invitation.email
        ))
    }

    /// Signs in like a host: stores a session in the host's table and records it with the library.
    pub(super) async fn sign_in(&self, who: &str) -> Result<(), Failure> {
        let Database::Sqlite(pool) = &self.database else {
            return Ok(());
        };
        let statements = [
            "CREATE TABLE tower_sessions (id TEXT PRIMARY KEY)",
            "INSERT INTO tower_sessions VALUES ('session-of-a-browser')",
        ];
        for statement in statements {
            sqlx::query(statement)
                .execute(pool)
                .await
                .map_err(Error::from)?;
        }
        let session: SessionKey = "session-of-a-browser".parse().expect("a session key");
        let id = self.organization.id;
        self.change(async |tx| {
            self.guestlist
                .record_session(tx, id, &user(who), &session)
                .await
        })
        .await?;
        self.say(format_args!(
            "{who} signs in; the host records the session."
        ))
    }

    pub(super) async fn remove(&self, who: &str) -> Result<(), Failure> {
        let id = self.organization.id;
        self.change(async |tx| {
            self.guestlist
                .act(member("olivia"))
                .in_organization(id)
                .remove(tx, &user(who))
                .await
        })
        .await?;
        let gone = async || Ok(self.sessions().await? == 0);
        self.wait_until("the end of the session", gone).await?;
        self.say(format_args!(
            "Olivia removes {who}: access ends at once, and the worker deletes the session."
        ))
    }

    pub(super) async fn refuse_last_owner(&self) -> Result<(), Failure> {
        let id = self.organization.id;
        match self
            .change(async |tx| {
                self.guestlist
                    .act(member("olivia"))
                    .in_organization(id)
                    .leave(tx)
                    .await
            })
            .await
        {
            Err(Failure::Reason(reason)) => self.say(format_args!(
                "Olivia tries to leave and is refused: {}.",
                reason.message()
            )),
            _ => Err(Reason::fault("demo", "the last owner left").into()),
        }
    }

    pub(super) async fn sum_up(&self) -> Result<(), Failure> {
        let settled = async || {
            let mut connection = self.database.acquire().await?;
            Ok(outbox::is_idle(&mut connection, self.guestlist.now()).await?)
        };
        self.wait_until("the sending of the last notices", settled)
            .await?;
        let mut connection = self.database.acquire().await?;
        let paging = Paging::first(Paging::MAX_LIMIT);
        let events = self
            .guestlist
            .events(&mut connection, self.organization.id, &paging)
            .await?;
        self.say(format_args!(
            "{} events are in the history, {} letters in {}.",
            events.items.len(),
            self.letter_files()?.len(),
            self.folder.join("letters").display()
        ))
    }

    async fn sessions(&self) -> Result<i64, Failure> {
        let Database::Sqlite(pool) = &self.database else {
            return Ok(0);
        };
        let count = sqlx::query_scalar("SELECT count(*) FROM tower_sessions")
            .fetch_one(pool)
            .await;
        Ok(count.map_err(Error::from)?)
    }
}
