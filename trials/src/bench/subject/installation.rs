//! A database, organizations and a mail server for one worker, to measure how it deals with the server.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use guestlist::Guestlist;
use guestlist_testkit::SmtpServer;

use crate::bench::command::GuestlistProcess;
use crate::bench::environment::Environment;
use crate::bench::inviting::{Team, invite_each, teams};
use crate::bench::store::Store;
use crate::bench::timing_sink::TimingSink;

/// Interval at which the state is read while waiting.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Number of domains in which the invitees have their mailboxes.
const DOMAINS: u64 = 5;

/// A database with organizations, and a mail server.
pub(crate) struct Installation {
    pub(crate) store: Store,
    pub(crate) teams: Vec<Team>,
    pub(crate) sink: TimingSink,
    guestlist: Guestlist,
}

impl Installation {
    pub(crate) async fn create(
        environment: &mut Environment,
        organizations: u64,
    ) -> anyhow::Result<Self> {
        let guestlist = environment.guestlist()?;
        let store = environment.create_store().await?;
        Ok(Self {
            teams: teams(&store.database, &guestlist, organizations).await?,
            sink: TimingSink::start(&environment.folder).await?,
            store,
            guestlist,
        })
    }

    /// The mail server, to script it.
    pub(crate) fn server(&self) -> &SmtpServer {
        self.sink.server()
    }

    /// Starts a worker that has the mail server to itself.
    pub(crate) fn start_worker(
        &self,
        environment: &Environment,
        variables: &[(&str, String)],
    ) -> anyhow::Result<GuestlistProcess> {
        let command = &environment.command;
        environment.start_worker_of(command, &self.store, self.sink.url(), &[], variables)
    }

    /// Invites `count` people to these organizations in turn. The local parts of their addresses start with
    /// `name`, which must be new for each call.
    pub(crate) async fn invite(
        &self,
        teams: &[Team],
        name: &str,
        count: u64,
    ) -> anyhow::Result<()> {
        let addresses = (0..count).map(|number| address(name, number)).collect();
        invite_each(&self.store.database, &self.guestlist, teams, addresses).await
    }

    /// Invites one person, who is number `number` of this name.
    pub(crate) async fn invite_one(&self, name: &str, number: u64) -> anyhow::Result<()> {
        let team = &self.teams[usize::try_from(number)? % self.teams.len()..][..1];
        let addresses = vec![address(name, number)];
        invite_each(&self.store.database, &self.guestlist, team, addresses).await
    }

    /// Waits until this number of rows match, and returns the time at which that was seen.
    pub(crate) async fn wait_for(
        &self,
        condition: &'static str,
        count: u64,
        timeout: Duration,
        worker: &mut GuestlistProcess,
    ) -> anyhow::Result<DateTime<Utc>> {
        let began = Utc::now();
        loop {
            let found = self.store.count(condition).await?;
            let now = Utc::now();
            if found == count {
                return Ok(now);
            }
            worker.require_running()?;
            if (now - began).to_std().unwrap_or_default() > timeout {
                bail!(
                    "{found} rows of {condition} instead of {count} after {} s",
                    timeout.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the time of the last letter to a recipient of this name, of whom there are `count`.
    pub(crate) fn last_letter(&self, name: &str, count: u64) -> anyhow::Result<DateTime<Utc>> {
        let accepted = self.sink.accepted()?;
        let times = accepted.iter().filter(|(to, _)| to.starts_with(name));
        let times: Vec<_> = times.map(|(_, at)| *at).collect();
        match times.iter().max() {
            Some(last) if times.len() as u64 == count => Ok(*last),
            _ => bail!(
                "{} of {count} recipients named {name} got a letter",
                times.len()
            ),
        }
    }

    pub(crate) async fn end(
        self,
        environment: &Environment,
        worker: GuestlistProcess,
    ) -> anyhow::Result<()> {
        worker.kill().await?;
        environment.drop_store(self.store).await
    }
}

/// Invitations that no letter will reach, according to the database.
pub(crate) const GIVEN_UP: &str =
    "guestlist_invitations WHERE delivery IN ('failed', 'suppressed')";

/// Returns the address of a person.
pub(crate) fn address(name: &str, number: u64) -> String {
    format!("{name}-{number}@invitee-{}.example", number % DOMAINS)
}

/// Returns the seconds from one time to another.
pub(crate) fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}
