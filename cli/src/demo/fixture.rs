//! The set-up of the demonstration: a folder, a database and a worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use guestlist::{
    Database, Error, Guestlist, Invite, Key, KeyRing, Limits, Organization, Transaction,
};
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_jobs::queue::Queue;
use guestlist_jobs::sessions::SqlSessions;
use guestlist_jobs::{Context, Settings, Worker};
use tokio_util::sync::CancellationToken;

use super::super::failure::{Failure, Reason};
use super::super::output::Output;
use super::{person, role};

/// The longest wait for one step of the demonstration before it fails.
const STEP_TIMEOUT: Duration = Duration::from_secs(40);

/// The lifetime of the demonstration's invitations. It is extended if a file has many people,
/// because their letters have to be sent in time.
const LIFETIME: Duration = Duration::from_secs(4);

/// The folder, database, organization and invites of the demonstration.
pub(super) struct Fixture {
    pub(super) folder: PathBuf,
    pub(super) database: Database,
    pub(super) guestlist: Guestlist,
    pub(super) organization: Organization,
    pub(super) invites: Vec<Invite>,
    pub(super) output: Output,
    keys: KeyRing,
}

/// A worker that runs in the background.
pub(super) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Fixture {
    /// Creates the folder, the database and the organization.
    pub(super) async fn set(output: Output) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("guestlist-demo-")
            .tempdir()?
            .keep();
        let url = format!("sqlite:{}", folder.join("guestlist.db").display());
        let database = Database::connect(&url, 20).await?;
        guestlist::migrate(&database).await?;
        let keys = KeyRing::of(Key::generate());
        let guestlist = guestlist(&keys, LIFETIME);
        let mut transaction = database.begin().await?;
        let name = "Acme & Co".parse().expect("a name");
        let olivia =
            person("olivia", "olivia@example.com").named("Olivia".parse().expect("a name"));
        let organization = guestlist.create(&mut transaction, name, &olivia).await?;
        transaction.commit().await?;
        output.line(format_args!(
            "Guestlist with SQLite, a worker in this process and letters as files, all in\n  {}\n",
            folder.display()
        ))?;
        Ok(Self {
            output,
            folder,
            database,
            keys,
            guestlist,
            organization,
            invites: Vec::new(),
        })
    }

    /// Prints a step of the demonstration.
    pub(super) fn say(&self, step: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(self.output.line(format_args!("* {step}"))?)
    }

    pub(super) fn skip(&self, line: Option<u64>, email: &str, why: &str) -> Result<(), Failure> {
        let line = line.unwrap_or_default();
        self.say(format_args!(
            "Line {line} of the file is skipped, {email:?}: {why}."
        ))
    }

    /// Sets the invites: those of a file, filled up to three with made-up ones.
    pub(super) fn expect_guests(&mut self, invites: Vec<Invite>) -> Result<(), Failure> {
        self.invites = invites;
        let made_up = [
            ("ada", "manager", "en"),
            ("bob", "agent", "en"),
            ("chloe", "agent", "de"),
        ];
        for (who, role_name, locale) in made_up {
            if self.invites.len() < 3 {
                let email = format!("{who}@example.com").parse().expect("an address");
                let invite = Invite::new(email, role(role_name));
                self.invites
                    .push(invite.locale(locale.parse().expect("a locale")));
            }
        }
        let seconds = u32::try_from(self.invites.len() / 100).unwrap_or(u32::MAX);
        let lifetime = LIFETIME + Duration::from_secs(1) * seconds.min(20);
        self.guestlist = guestlist(&self.keys, lifetime);
        Ok(())
    }

    /// Starts a worker like the one of the command `guestlist work`.
    pub(super) fn start_worker(&self) -> Running {
        let letters = format!("file:{}", self.folder.join("letters").display());
        let mailer = letters.parse().expect("a folder for letters");
        let column = "tower_sessions.id".parse().expect("a column");
        let sessions = SqlSessions::new(self.database.clone(), &column);
        let mut context = Context::new(
            self.database.clone(),
            self.guestlist.clone(),
            Mailer::new(mailer, MailerSettings::default()),
            "Acme <team@acme.example>".parse().expect("a sender"),
            |token| format!("https://acme.example/join/{}", token.expose()),
        );
        context.sessions.push(Arc::new(sessions));
        let mut settings = Settings::default();
        settings.reminder = None;
        let stop = CancellationToken::new();
        let worker = Worker::new(context, Queue::memory(), settings);
        let until = stop.clone();
        let task = tokio::spawn(async move {
            worker.run(until).await;
        });
        Running { stop, task }
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    pub(super) async fn change<T>(
        &self,
        action: impl AsyncFnOnce(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let mut transaction = self.database.begin().await?;
        let done = action(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    pub(super) async fn wait_until(
        &self,
        what: &str,
        holds: impl AsyncFn() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let waiting = async {
            while !holds().await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(STEP_TIMEOUT, waiting)
            .await
            .unwrap_or_else(|_| {
                Err(Reason::fault(
                    "demo",
                    format!("{what} did not happen within {} s", STEP_TIMEOUT.as_secs()),
                )
                .into())
            })
    }
}

impl Running {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // The worker handles its own panics; there is nothing else to report.
        let _ = self.task.await;
    }
}

fn guestlist(keys: &KeyRing, lifetime: Duration) -> Guestlist {
    Guestlist::builder()
        .key_ring(keys.clone())
        .lifetime(lifetime)
        .limits(Limits::none())
        .build()
}
