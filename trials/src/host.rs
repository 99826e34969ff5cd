//! A host application that links the library and performs random operations.
//!
//! It runs in its own process, so that it can be killed between any two statements.

mod journal;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use guestlist::{
    Actor, Clock, Database, Error, Fault, Guestlist, Invitation, Invite, KeyRing, Limits,
    OrganizationId, User, UserId,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep, sleep_until};

use self::journal::Journal;
pub(crate) use self::journal::{Operation, committed};

/// The options of a host process.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Database URL.
    #[arg(long)]
    pub(crate) database: String,
    /// Keys that sign links, as `guestlist keys new` prints them.
    #[arg(long)]
    pub(crate) keys: KeyRing,
    /// File to which committed operations are appended.
    #[arg(long)]
    pub(crate) journal: PathBuf,
    /// Prefix of its invitees' addresses, which no other host uses.
    #[arg(long)]
    pub(crate) name: String,
    /// Seed of its random choices.
    #[arg(long)]
    pub(crate) seed: u64,
    /// Organizations to act in.
    #[arg(long, required = true, num_args = 1..)]
    pub(crate) organizations: Vec<OrganizationId>,
    /// Number of people to invite before it ends.
    #[arg(long)]
    pub(crate) invitations: u64,
    /// Number of people to invite per second.
    #[arg(long)]
    pub(crate) rate: f64,
    /// Error of its clock in milliseconds.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    pub(crate) clock_skew_ms: i64,
}

/// User id of the owner of every organization, the inviter.
pub(crate) const OWNER: &str = "olivia";

/// Marks in an address that make the mail server misbehave for it, each with its share of the invitees
/// in thousandths.
pub(crate) const MARKS: [(&str, u32); 7] = [
    ("gone", 8),
    ("grey", 8),
    ("big", 4),
    ("hang", 6),
    ("lose", 6),
    ("late", 10),
    ("slow", 10),
];

/// Creates an organization that [`OWNER`] owns.
pub(crate) async fn create_organization(
    database: &Database,
    guestlist: &Guestlist,
) -> anyhow::Result<OrganizationId> {
    let owner = User::new(OWNER.parse()?, "olivia@acme.example".parse()?);
    let mut transaction = database.begin().await?;
    let organization = guestlist
        .create(&mut transaction, "Acme".parse()?, &owner)
        .await?;
    transaction.commit().await?;
    Ok(organization.id)
}

/// Lifetime of the invitations that expire during the trial.
const SHORT_LIFETIME: Duration = Duration::from_secs(8);

/// Pause after an error of the database before the next operation.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

struct Host {
    options: Options,
    database: Database,
    guestlist: Guestlist,
    /// Creates invitations that expire during the trial.
    short_lived: Guestlist,
    owner: UserId,
    journal: Journal,
    random: StdRng,
    /// Invitations of this process that may still be open.
    open: Vec<Invitation>,
    members: Vec<(OrganizationId, UserId)>,
    invited: u64,
    invitees: u64,
}

/// Runs until everyone is invited.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let database = Database::connect(&options.database, 2)
        .await
        .context("the host's database")?;
    let guestlist = |lifetime| {
        let builder = Guestlist::builder()
            .key_ring(options.keys.clone())
            .limits(Limits::none())
            .clock(Clock::Shifted(TimeDelta::milliseconds(
                options.clock_skew_ms,
            )));
        builder.lifetime(lifetime).build()
    };
    let mut host = Host {
        database,
        guestlist: guestlist(Duration::from_secs(7 * 24 * 60 * 60)),
        short_lived: guestlist(SHORT_LIFETIME),
        owner: OWNER.parse()?,
        journal: Journal::create(&options.journal)?,
        random: StdRng::seed_from_u64(options.seed),
        open: Vec::new(),
        members: Vec::new(),
        invited: 0,
        invitees: 0,
        options,
    };
    let since = Instant::now();
    while host.invited < host.options.invitations {
        let due = since + Duration::from_secs_f64(host.invited as f64 / host.options.rate);
        sleep_until(due).await;
        if let Err(error) = host.act().await {
            host.tolerate(error).await?;
        }
    }
    Ok(())
}

impl Host {
    /// Ignores a refusal by a rule, pauses after an error of the database, and returns any other error.
    async fn tolerate(&mut self, error: Error) -> anyhow::Result<()> {
        match error.fault() {
            Fault::Rule => Ok(()),
            Fault::Infrastructure => {
                sleep(ERROR_PAUSE).await;
                Ok(())
            }
            Fault::Input => Err(error.into()),
        }
    }

    async fn act(&mut self) -> Result<(), Error> {
        match self.random.random_range(0..100) {
            0..58 => self.invite().await,
            58..68 => self.invite_many().await,
            68..78 => self.resend().await,
            78..87 => self.revoke().await,
            87..96 => self.accept().await,
            _ => self.remove().await,
        }
    }

    async fn invite(&mut self) -> Result<(), Error> {
        let organization = self.organization();
        let invite = self.new_invitee();
        let guestlist = self.guestlist();
        let mut transaction = self.database.begin().await?;
        let invitation = guestlist
            .act(Actor::member(&self.owner))
            .in_organization(organization)
            .invite(&mut transaction, invite)
            .await?;
        transaction.commit().await?;
        self.record_invited(vec![invitation]);
        Ok(())
    }

    async fn invite_many(&mut self) -> Result<(), Error> {
        let organization = self.organization();
        let count = self.random.random_range(2..=12);
        let invites = (0..count).map(|_| self.new_invitee()).collect();
        let guestlist = self.guestlist();
        let mut transaction = self.database.begin().await?;
        let outcomes = guestlist
            .act(Actor::member(&self.owner))
            .in_organization(organization)
            .invite_all(&mut transaction, invites)
            .await?;
        transaction.commit().await?;
        self.record_invited(outcomes.into_iter().flatten().collect());
        Ok(())
    }

    async fn resend(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.take_open() else {
            return Ok(());
        };
        let mut transaction = self.database.begin().await?;
        let renewed = self
            .guestlist
            .act(Actor::member(&self.owner))
            .resend(&mut transaction, invitation.id)
            .await?;
        transaction.commit().await?;
        self.journal.append(Operation::Resent(renewed.id));
        self.open.push(renewed);
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.take_open() else {
            return Ok(());
        };
        let mut transaction = self.database.begin().await?;
        self.guestlist
            .act(Actor::member(&self.owner))
            .revoke(&mut transaction, invitation.id)
            .await?;
        transaction.commit().await?;
        self.journal.append(Operation::Revoked(invitation.id));
        Ok(())
    }

    /// Accepts an invitation and records a session of the new member.
    async fn accept(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.take_open() else {
            return Ok(());
        };
        let (token, organization) = (self.guestlist.token(&invitation)?, invitation.organization);
        let user = User::new(
            format!("u-{}", invitation.id).parse()?,
            invitation.email.clone(),
        );
        let mut transaction = self.database.begin().await?;
        self.guestlist
            .accept(&mut transaction, token.expose(), &user)
            .await?;
        let session = format!("s-{}", invitation.id).parse()?;
        self.guestlist
            .record_session(&mut transaction, organization, &user.id, &session)
            .await?;
        transaction.commit().await?;
        self.journal.append(Operation::Accepted(invitation.id));
        self.members.push((organization, user.id));
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Error> {
        if self.members.is_empty() {
            return Ok(());
        }
        let index = self.random.random_range(0..self.members.len());
        let (organization, user) = self.members.swap_remove(index);
        let mut transaction = self.database.begin().await?;
        self.guestlist
            .act(Actor::member(&self.owner))
            .in_organization(organization)
            .remove(&mut transaction, &user)
            .await?;
        transaction.commit().await
    }

    fn record_invited(&mut self, invited: Vec<Invitation>) {
        self.invited += invited.len() as u64;
        self.journal.append(Operation::Invited(
            invited.iter().map(|one| one.id).collect(),
        ));
        self.open.extend(invited);
    }

    /// Takes a random open invitation: half of the time one of the last eight, whose letter may not have
    /// left yet.
    fn take_open(&mut self) -> Option<Invitation> {
        let count = self.open.len();
        let oldest = if self.random.random_bool(0.5) {
            count.saturating_sub(8)
        } else {
            0
        };
        (count > 0).then(|| {
            let index = self.random.random_range(oldest..count);
            self.open.swap_remove(index)
        })
    }

    fn organization(&mut self) -> OrganizationId {
        let index = self
            .random
            .random_range(0..self.options.organizations.len());
        self.options.organizations[index]
    }

    fn guestlist(&mut self) -> Guestlist {
        if self.random.random_bool(0.04) {
            self.short_lived.clone()
        } else {
            self.guestlist.clone()
        }
    }

    fn new_invitee(&mut self) -> Invite {
        self.invitees += 1;
        let mut drawn = self.random.random_range(0..1000);
        let mark = MARKS.iter().find(|(_, share)| {
            let is_drawn = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            is_drawn
        });
        let mark = mark.map_or("p", |(mark, _)| mark);
        let address = format!(
            "{}-{mark}-{}@invitee.example",
            self.options.name, self.invitees
        );
        let email = address
            .parse()
            .expect("made of letters, digits and hyphens");
        Invite::new(email, "agent".parse().expect("a role of the preset"))
    }
}
