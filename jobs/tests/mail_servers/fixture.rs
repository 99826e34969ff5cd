//! A team with a worker and a mail server.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{Attempt, Database, Delivery, Invitation, Paging, PersonalMessage, worker};
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use tokio::time::{Instant, sleep};

use crate::harness::{Harness, Running, redis};
use crate::server::{DOMAINS, MailServer, Program, Rules};
use crate::support::{OLIVIA, Team, member};

/// The time limit for the delivery of all letters.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// The interval at which a condition is checked.
const TICK: Duration = Duration::from_millis(20);

/// A team on Postgres and Redis with a private mail server; the worker has its default settings.
pub(crate) struct Installation {
    pub(crate) server: MailServer,
    pub(crate) harness: Harness,
}

/// The passing of the time of the team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// As fast as the time of the machine.
    Real,
    /// Jumps to the next letter that is due, once nothing else is left to do.
    Jumping,
}

impl Installation {
    pub(crate) async fn new(program: Program, rules: Rules) -> Self {
        let server = MailServer::start(program, rules).await;
        let team = Team::on(crate::postgres::schema().await).await;
        let mut harness = Harness::new(team, redis()).await;
        harness.settings = guestlist_jobs::Settings::default();
        harness.mailer = MailerSettings::default();
        harness.smtp_url = Some(server.url());
        Self { server, harness }
    }

    /// Starts a worker, and returns its mailer too.
    pub(crate) fn start(&self) -> (Running, Mailer) {
        self.harness.start_with_mailer()
    }

    pub(crate) async fn invite(&self, addresses: &[String]) -> Vec<Invitation> {
        self.invite_by(&self.harness.team, addresses, None).await
    }

    /// Invites addresses to the organization of a team, with a personal message.
    pub(crate) async fn invite_by(
        &self,
        team: &Team,
        addresses: &[String],
        message: Option<PersonalMessage>,
    ) -> Vec<Invitation> {
        let invites = addresses.iter().map(|address| {
            let invite = team.invitation_of(address, "agent");
            match &message {
                Some(message) => invite.message(message.clone()),
                None => invite,
            }
        });
        let invites = invites.collect();
        let invited = team
            .in_transaction(async |tx| {
                let acting = team.guestlist.act(member(OLIVIA));
                let acting = acting.in_organization(team.organization.id);
                acting.invite_all(tx, invites).await
            })
            .await;
        invited.unwrap().into_iter().map(Result::unwrap).collect()
    }

    /// Runs a worker until no letter is left to be sent and the server has delivered all that it took.
    pub(crate) async fn deliver(&self) {
        let (running, _) = self.start();
        self.until(Time::Jumping, async || self.is_done().await)
            .await;
        running.stop().await;
    }

    /// Returns true if no letter is left to be sent, and the server has delivered all that it took.
    pub(crate) async fn is_done(&self) -> bool {
        self.left().await == 0 && self.server.has_empty_queue()
    }

    /// Returns the number of messages that are not settled.
    pub(crate) async fn left(&self) -> usize {
        let counts = self.harness.counts().await.into_iter();
        counts
            .map(|count| usize::try_from(count.count).unwrap())
            .sum()
    }

    /// Waits for a condition.
    pub(crate) async fn until(&self, time: Time, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        while !holds().await {
            let left = self.harness.counts().await;
            assert!(
                Instant::now() < deadline,
                "waited in vain; messages left: {left:?}; log of the mail server:\n{}",
                self.server.end_of_log()
            );
            sleep(TICK).await;
            match time {
                Time::Real => self.advance(TimeDelta::from_std(TICK).unwrap()),
                Time::Jumping => self.jump().await,
            }
        }
    }

    fn advance(&self, time: TimeDelta) {
        self.harness.team.advance_clock(time);
    }

    /// Moves the clock to the next message unless one is due or leased: a jump would end its lease.
    ///
    /// One statement reads all of it. Between two, a worker could lease a message unseen.
    async fn jump(&self) {
        let Database::Postgres(pool) = self.harness.database() else {
            unreachable!("the installation is on Postgres");
        };
        let now = self.harness.team.now();
        let next = "SELECT min(run_at) FROM guestlist_outbox WHERE dead_at IS NULL
            HAVING bool_and(run_at > $1 AND leased_until IS NULL)";
        let next = sqlx::query_scalar::<_, DateTime<Utc>>(next).bind(now);
        if let Some(next) = next.fetch_optional(pool).await.unwrap() {
            self.advance(next - now);
        }
    }

    /// Returns the number of letters in the mailbox of each of the recipients.
    pub(crate) fn copies(&self, addresses: &[String]) -> Vec<usize> {
        let received = self.server.received();
        let count = |address: &String| received.iter().filter(|(to, _)| to == address).count();
        addresses.iter().map(count).collect()
    }

    /// Asserts that each of these recipients has exactly one letter.
    pub(crate) fn assert_one_each(&self, addresses: &[String]) {
        let copies = self.copies(addresses);
        let wrong: Vec<_> = addresses
            .iter()
            .zip(copies)
            .filter(|(_, copies)| *copies != 1)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}; {}", self.server.end_of_log());
    }

    /// Counts the delivery states.
    pub(crate) async fn deliveries(
        &self,
        invitations: &[Invitation],
    ) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for invitation in invitations {
            let delivery: Delivery = self.harness.reread(invitation).await.delivery;
            *counts.entry(delivery.as_str()).or_default() += 1;
        }
        counts
    }

    /// Returns the attempts of an invitation's letters, the first one first.
    pub(crate) async fn attempts(&self, invitation: &Invitation) -> Vec<Attempt> {
        let mut connection = self.harness.database().acquire().await.unwrap();
        let paging = Paging::first(100);
        let guestlist = &self.harness.team.guestlist;
        let page = guestlist
            .attempts(&mut connection, invitation.id, &paging)
            .await;
        let mut attempts = page.unwrap().items;
        attempts.reverse();
        attempts
    }

    /// Returns the addresses to which no letter is sent any more.
    pub(crate) async fn suppressed(&self) -> Vec<String> {
        let mut connection = self.harness.database().acquire().await.unwrap();
        let now = self.harness.team.now();
        let page = worker::suppressions(&mut connection, now, &Paging::first(100)).await;
        let suppressions = page.unwrap().items.into_iter();
        suppressions
            .map(|it| it.email.as_str().to_owned())
            .collect()
    }
}

/// Addresses that the server accepts, in all of its domains.
pub(crate) fn ordinary(count: usize) -> Vec<String> {
    (0..count).map(|number| address("p", number)).collect()
}

/// An address whose first letters decide how the server treats it.
pub(crate) fn address(begin: &str, number: usize) -> String {
    format!("{begin}{number}@{}", DOMAINS[number % DOMAINS.len()])
}
