//! A worker for tests, on either stack.

use std::sync::{Arc, Weak};
use std::time::Duration;

use guestlist::{Database, Invitation, outbox};
use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_jobs::queue::{Drained, Queue};
use guestlist_jobs::sessions::SessionStore;
use guestlist_jobs::{Context, Settings, Worker};
use guestlist_testkit::smtp::{Script, SmtpServer};
use tokio_util::sync::CancellationToken;

use crate::support::{OLIVIA, Team, member};

/// Runs every test on Postgres with Redis, and on SQLite with the queue in memory.
#[macro_export]
macro_rules! on_both_stacks {
    ($(async fn $name:ident($harness:ident: Harness) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn scenario($harness: $crate::harness::Harness) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres_and_redis() {
                let team = $crate::support::Team::on($crate::postgres::schema().await).await;
                scenario($crate::harness::Harness::new(team, $crate::harness::redis()).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite_and_memory() {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let team = $crate::support::Team::on($crate::sqlite::file(folder.path()).await).await;
                let queue = guestlist_jobs::queue::Queue::memory();
                scenario($crate::harness::Harness::new(team, queue).await).await;
            }
        })+
    };
}

/// The server that `bin/test` starts; each test uses keys of its own.
pub(crate) fn redis_url() -> String {
    std::env::var("GUESTLIST_TEST_REDIS").expect("GUESTLIST_TEST_REDIS: run the tests by bin/test")
}

pub(crate) fn redis() -> Queue {
    let prefix = format!("test-{}", uuid::Uuid::now_v7().simple());
    Queue::redis(&redis_url().parse().unwrap(), &prefix)
}

/// A team, a mail server and everything a worker needs.
pub(crate) struct Harness {
    pub(crate) team: Team,
    pub(crate) smtp: Arc<SmtpServer>,
    pub(crate) queue: Queue,
    pub(crate) sessions: Vec<Arc<dyn SessionStore>>,
    pub(crate) settings: Settings,
    /// The URL of a mail server in the place of `smtp`.
    pub(crate) smtp_url: Option<String>,
    /// The settings of the mailer; its connections are as many as the worker's letters.
    pub(crate) mailer: MailerSettings,
}

/// A running worker.
pub(crate) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Drained>,
    /// Held by every task of the worker that can still do something.
    alive: Weak<()>,
}

impl Harness {
    pub(crate) async fn new(team: Team, queue: Queue) -> Self {
        let mut settings = Settings::default();
        settings.letters = 4;
        settings.drain = Duration::from_secs(10);
        let rest = BackOff::new(Duration::from_millis(20), Duration::from_millis(100));
        let mut mailer = MailerSettings::default();
        mailer.back_off = rest;
        mailer.pause = rest;
        Self {
            team,
            smtp: Arc::new(SmtpServer::start().await.unwrap()),
            queue,
            sessions: Vec::new(),
            settings,
            smtp_url: None,
            mailer,
        }
    }

    /// The same harness with a mail server that follows `script`.
    /// Uses the system's clock, so that leases end by themselves.
    pub(crate) fn on_system_clock(self) -> Self {
        let team = self.team;
        Self {
            team: team.configured(|builder| builder.clock(guestlist::Clock::System)),
            ..self
        }
    }

    pub(crate) async fn with_mail_server(self, script: Script) -> Self {
        Self {
            smtp: Arc::new(script.start().await.unwrap()),
            ..self
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.team.database
    }

    pub(crate) fn context(&self) -> Context {
        self.context_holding(Arc::new(()))
    }

    /// A context that keeps `alive` until its last copy is dropped.
    fn context_holding(&self, alive: Arc<()>) -> Context {
        let mut mailer = self.mailer;
        mailer.connections = self.settings.letters;
        let url = self.smtp_url.clone().unwrap_or_else(|| self.smtp.url());
        let url = url.parse().expect("an SMTP URL");
        let mut context = Context::new(
            self.team.database.clone(),
            self.team.guestlist.clone(),
            Mailer::new(url, mailer),
            "Acme <team@example.org>".parse().expect("a sender"),
            move |token| {
                let _ = &alive;
                format!("https://app.example.com/join/{}", token.expose())
            },
        );
        context.sessions.clone_from(&self.sessions);
        context
    }

    pub(crate) fn worker(&self) -> Worker {
        Worker::new(self.context(), self.queue.clone(), self.settings)
    }

    /// Runs a worker until nothing is due.
    pub(crate) async fn work_until_idle(&self) {
        let work = self.worker().run_until_idle(CancellationToken::new());
        let drained = tokio::time::timeout(Duration::from_secs(120), work).await;
        drained
            .expect("it became idle")
            .expect("the database answers");
    }

    /// Runs `work` while the team's clock runs as fast as the real one.
    ///
    /// A task of a killed worker may have leased a message a moment after the kill. That lease, too, has
    /// to end before another worker gets the message.
    pub(crate) async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        const STEP: Duration = Duration::from_millis(100);
        let passing = async {
            loop {
                tokio::time::sleep(STEP).await;
                let step = chrono::TimeDelta::from_std(STEP).expect("it is short");
                self.team.advance_clock(step);
            }
        };
        tokio::select! {
            done = work => done,
            never = passing => never,
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with_mailer().0
    }

    /// Starts a worker, and returns its mailer too.
    pub(crate) fn start_with_mailer(&self) -> (Running, Mailer) {
        let stop = CancellationToken::new();
        let held = Arc::new(());
        let alive = Arc::downgrade(&held);
        let context = self.context_holding(held);
        let mailer = context.mailer.clone();
        let worker = Worker::new(context, self.queue.clone(), self.settings);
        let task = tokio::spawn(worker.run(stop.clone()));
        (Running { stop, task, alive }, mailer)
    }

    /// The letters as received by the mail server, one string each.
    pub(crate) fn letters(&self) -> Vec<String> {
        self.smtp.seen().texts()
    }

    /// The letters to one address.
    pub(crate) fn letters_to(&self, address: &str) -> Vec<String> {
        let header = format!("To: {address}");
        self.letters()
            .into_iter()
            .filter(|letter| letter.contains(&header))
            .collect()
    }

    pub(crate) async fn counts(&self) -> Vec<outbox::Count> {
        let mut connection = self.database().acquire().await.expect("a connection");
        outbox::counts(&mut connection, self.team.now())
            .await
            .expect("read")
    }

    pub(crate) async fn waiting(&self, state: outbox::State) -> Vec<outbox::Message> {
        let mut connection = self.database().acquire().await.expect("a connection");
        outbox::list(&mut connection, self.team.now(), state, None, 1000)
            .await
            .expect("read")
    }

    pub(crate) async fn reread(&self, invitation: &Invitation) -> Invitation {
        self.team.invitation(invitation.id).await
    }
}

impl Running {
    /// Asks the worker to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Asks the worker to stop and waits for it.
    pub(crate) async fn stop(self) -> Drained {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        ended.expect("it stops in time").expect("it does not panic")
    }

    /// Ends the worker as a crash would, without a shutdown.
    ///
    /// Tokio ends an aborted task's own tasks a moment later. Until then they could still postpone
    /// a message, which the tasks of a killed process cannot.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        eventually("the worker's tasks end", async || {
            self.alive.strong_count() == 0
        })
        .await;
    }
}

/// Invites `count` addresses, the first of them p0@example.com.
pub(crate) async fn invite_many(team: &Team, count: usize) {
    let invites = (0..count)
        .map(|n| team.invitation_of(&format!("p{n}@example.com"), "agent"))
        .collect();
    team.in_transaction(async |tx| {
        team.guestlist
            .act(member(OLIVIA))
            .in_organization(team.organization.id)
            .invite_all(tx, invites)
            .await
    })
    .await
    .unwrap();
}

/// Waits for a condition, and fails if it does not become true.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(100);
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
