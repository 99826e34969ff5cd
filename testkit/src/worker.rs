//! The worker of Guestlist, run until nothing is left to do.

use std::sync::Arc;
use std::time::Duration;

use guestlist::{Database, Guestlist};
use guestlist_jobs::BackOff;
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_jobs::queue::Queue;
use guestlist_jobs::sessions::SessionStore;
use guestlist_jobs::{Context, Settings, Worker};
use tokio_util::sync::CancellationToken;

use crate::{Error, SmtpServer};

/// The time limit for the worker to become idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The delay after which the worker tries again when the mail server refused.
const PAUSE: BackOff = BackOff::new(Duration::from_millis(20), Duration::from_millis(100));

/// A worker with its queue in memory, which needs no Redis and mails to an [`SmtpServer`].
///
/// It runs only when it is told to, so that a test decides when letters leave:
/// [the crate's documentation](crate) has an example.
#[derive(Clone)]
pub struct TestWorker {
    database: Database,
    guestlist: Guestlist,
    smtp_url: String,
    link: String,
    sessions: Vec<Arc<dyn SessionStore>>,
}

impl TestWorker {
    /// A worker on the database of the application, with the application's own `Guestlist`, whose keys
    /// sign the links. A link is `https://app.example/join/` and the token.
    pub fn new(database: impl Into<Database>, guestlist: &Guestlist, server: &SmtpServer) -> Self {
        Self {
            database: database.into(),
            guestlist: guestlist.clone(),
            smtp_url: server.url(),
            link: "https://app.example/join/".to_owned(),
            sessions: Vec::new(),
        }
    }

    /// Puts the token behind this start of a link, such as `http://localhost:3000/join/`.
    pub fn with_link(mut self, start: &str) -> Self {
        start.clone_into(&mut self.link);
        self
    }

    /// Ends the sessions of removed members in this store too.
    pub fn with_session_store(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.sessions.push(store);
        self
    }

    /// Works until no message is due and no invitation is overdue by the clock of the `Guestlist`:
    /// letters are sent, expiry is recorded, sessions of removed members are deleted.
    ///
    /// # Errors
    /// The database's, and [`Error::NotIdle`] if something is still due after a minute, such as a letter
    /// that the mail server keeps refusing for now.
    pub async fn run_until_idle(&self) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let worker = Worker::new(self.context(), Queue::memory(), Settings::default());
        let run = tokio::time::timeout(IDLE_TIMEOUT, worker.run_until_idle(stop)).await;
        run.map_err(|_| Error::NotIdle {
            within: IDLE_TIMEOUT,
        })??;
        Ok(())
    }

    /// The tools of one run, at whose end the mailer is closed.
    fn context(&self) -> Context {
        let mut mailer = MailerSettings::default();
        mailer.back_off = PAUSE;
        mailer.pause = PAUSE;
        let smtp = self.smtp_url.parse().expect("the URL of a mail server");
        let link = self.link.clone();
        let mut context = Context::new(
            self.database.clone(),
            self.guestlist.clone(),
            Mailer::new(smtp, mailer),
            "Test <team@app.example>".parse().expect("a sender"),
            move |token| format!("{link}{}", token.expose()),
        );
        context.sessions.clone_from(&self.sessions);
        context
    }
}
