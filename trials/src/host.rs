//! A host application that links the library and does what its users want, at random.
//!
//! It is a process of its own, so that it can be killed between any two statements.

mod journal;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use guestlist::{
    Clock, Database, Error, Fault, Guestlist, Invitation, Invite, KeyRing, Limits, OrganizationId,
    User, UserId,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep, sleep_until};

use self::journal::Journal;
pub(crate) use self::journal::{Deed, committed};

/// What is told to a host at its start.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The database.
    #[arg(long)]
    pub(crate) database: String,
    /// The keys that sign links, as `guestlist keys new` prints them.
    #[arg(long)]
    pub(crate) keys: KeyRing,
    /// Where it notes what was committed.
    #[arg(long)]
    pub(crate) journal: PathBuf,
    /// What its invitees' addresses begin with, so that nobody else invites them.
    #[arg(long)]
    pub(crate) name: String,
    /// What its choices follow from.
    #[arg(long)]
    pub(crate) seed: u64,
    /// The organizations it acts in.
    #[arg(long, required = true, num_args = 1..)]
    pub(crate) organizations: Vec<OrganizationId>,
    /// How many to invite before it ends.
    #[arg(long)]
    pub(crate) invitations: u64,
    /// How many to invite a second.
    #[arg(long)]
    pub(crate) rate: f64,
    /// By how much its clock is wrong.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    pub(crate) clock_off_ms: i64,
}

/// Who acts in every organization.
pub(crate) const OWNER: &str = "olivia";

/// What an address may hold for the mail server to treat it its own way, and of how many in a
/// thousand invitees.
pub(crate) const MARKS: [(&str, u32); 7] = [
    ("gone", 8),
    ("grey", 8),
    ("big", 4),
    ("hang", 6),
    ("lose", 6),
    ("late", 10),
    ("slow", 10),
];

/// How long invitations live that are to expire while the trial lasts.
const BRIEF: Duration = Duration::from_secs(8);

/// How long a host waits before it asks a database again that did not answer.
const REST: Duration = Duration::from_millis(200);

struct Host {
    options: Options,
    database: Database,
    usual: Guestlist,
    brief: Guestlist,
    owner: UserId,
    journal: Journal,
    random: StdRng,
    /// Invited by this process and perhaps still open.
    open: Vec<Invitation>,
    members: Vec<(OrganizationId, UserId)>,
    invited: u64,
    named: u64,
}

/// Works until everybody is invited.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let database = Database::connect(&options.database, 2)
        .await
        .context("the host's database")?;
    let guestlist = |lifetime| {
        let builder = Guestlist::builder()
            .key_ring(options.keys.clone())
            .limits(Limits::none())
            .clock(Clock::Shifted(TimeDelta::milliseconds(
                options.clock_off_ms,
            )));
        builder.lifetime(lifetime).build()
    };
    let mut host = Host {
        database,
        usual: guestlist(Duration::from_secs(7 * 24 * 60 * 60)),
        brief: guestlist(BRIEF),
        owner: OWNER.parse()?,
        journal: Journal::create(&options.journal)?,
        random: StdRng::seed_from_u64(options.seed),
        open: Vec::new(),
        members: Vec::new(),
        invited: 0,
        named: 0,
        options,
    };
    let since = Instant::now();
    while host.invited < host.options.invitations {
        let due = since + Duration::from_secs_f64(host.invited as f64 / host.options.rate);
        sleep_until(due).await;
        if let Err(error) = host.act().await {
            host.bear(error).await?;
        }
    }
    Ok(())
}

impl Host {
    /// What a rule refuses is an answer; what the database cannot do now is tried later.
    async fn bear(&mut self, error: Error) -> anyhow::Result<()> {
        match error.fault() {
            Fault::Rule => Ok(()),
            Fault::Infrastructure => {
                sleep(REST).await;
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
        let invite = self.someone_new();
        let guestlist = self.guestlist();
        let mut transaction = self.database.begin().await?;
        let invitation = guestlist
            .act(&self.owner)
            .in_organization(organization)
            .invite(&mut transaction, invite)
            .await?;
        transaction.commit().await?;
        self.keep(vec![invitation]);
        Ok(())
    }

    async fn invite_many(&mut self) -> Result<(), Error> {
        let organization = self.organization();
        let count = self.random.random_range(2..=12);
        let invites = (0..count).map(|_| self.someone_new()).collect();
        let guestlist = self.guestlist();
        let mut transaction = self.database.begin().await?;
        let outcomes = guestlist
            .act(&self.owner)
            .in_organization(organization)
            .invite_all(&mut transaction, invites)
            .await?;
        transaction.commit().await?;
        self.keep(outcomes.into_iter().flatten().collect());
        Ok(())
    }

    async fn resend(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.some_open() else {
            return Ok(());
        };
        let mut transaction = self.database.begin().await?;
        let renewed = self
            .usual
            .act(&self.owner)
            .resend(&mut transaction, invitation.id)
            .await?;
        transaction.commit().await?;
        self.journal.note(Deed::Resent(renewed.id));
        self.open.push(renewed);
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.some_open() else {
            return Ok(());
        };
        let mut transaction = self.database.begin().await?;
        self.usual
            .act(&self.owner)
            .revoke(&mut transaction, invitation.id)
            .await?;
        transaction.commit().await?;
        self.journal.note(Deed::Revoked(invitation.id));
        Ok(())
    }

    /// Accepts, and signs the new member in.
    async fn accept(&mut self) -> Result<(), Error> {
        let Some(invitation) = self.some_open() else {
            return Ok(());
        };
        let (token, organization) = (self.usual.token(&invitation)?, invitation.organization);
        let user = User::new(
            format!("u-{}", invitation.id).parse()?,
            invitation.email.clone(),
        );
        let mut transaction = self.database.begin().await?;
        self.usual
            .accept(&mut transaction, token.expose(), &user)
            .await?;
        let session = format!("s-{}", invitation.id).parse()?;
        self.usual
            .record_session(&mut transaction, organization, &user.id, &session)
            .await?;
        transaction.commit().await?;
        self.journal.note(Deed::Accepted(invitation.id));
        self.members.push((organization, user.id));
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Error> {
        if self.members.is_empty() {
            return Ok(());
        }
        let place = self.random.random_range(0..self.members.len());
        let (organization, user) = self.members.swap_remove(place);
        let mut transaction = self.database.begin().await?;
        self.usual
            .act(&self.owner)
            .in_organization(organization)
            .remove(&mut transaction, &user)
            .await?;
        transaction.commit().await
    }

    fn keep(&mut self, invited: Vec<Invitation>) {
        self.invited += invited.len() as u64;
        self.journal
            .note(Deed::Invited(invited.iter().map(|one| one.id).collect()));
        self.open.extend(invited);
    }

    /// One of the last few more often than one of long ago, whose letter has left.
    fn some_open(&mut self) -> Option<Invitation> {
        let count = self.open.len();
        let oldest = if self.random.random_bool(0.5) {
            count.saturating_sub(8)
        } else {
            0
        };
        (count > 0).then(|| {
            let place = self.random.random_range(oldest..count);
            self.open.swap_remove(place)
        })
    }

    fn organization(&mut self) -> OrganizationId {
        let place = self
            .random
            .random_range(0..self.options.organizations.len());
        self.options.organizations[place]
    }

    fn guestlist(&mut self) -> Guestlist {
        if self.random.random_bool(0.04) {
            self.brief.clone()
        } else {
            self.usual.clone()
        }
    }

    fn someone_new(&mut self) -> Invite {
        self.named += 1;
        let mut lot = self.random.random_range(0..1000);
        let mark = MARKS.iter().find(|(_, share)| {
            let is_it = lot < *share;
            lot = lot.saturating_sub(*share);
            is_it
        });
        let mark = mark.map_or("p", |(mark, _)| mark);
        let address = format!(
            "{}-{mark}-{}@invitee.example",
            self.options.name, self.named
        );
        let email = address
            .parse()
            .expect("made of letters, digits and hyphens");
        Invite::new(email, "agent".parse().expect("a role of the preset"))
    }
}
