//! Postgres, Redis and a mail server, and the commands configured for them.

use std::thread::JoinHandle;

use guestlist_testkit::redis::FromReply;
use guestlist_testkit::smtp::{Script, Seen, SmtpServer};

use guestlist_testkit::{RedisServer, free_port};

use tokio::runtime::Runtime;

use crate::received_letters::ReceivedLetters;
use crate::support::{CommandLine, Ran};
use crate::worker::{Worker, eventually};

/// A database, a Redis and a mail server for one test.
pub(crate) struct Installation {
    pub(crate) command_line: CommandLine,
    pub(crate) redis: RedisServer,
    smtp: Option<SmtpServer>,
    smtp_port: u16,
    runtime: Runtime,
}

impl Installation {
    /// A new database on the shared Postgres, and running servers.
    pub(crate) fn new() -> Self {
        let mut installation = Self::without_mail_server(CommandLine::on_postgres());
        installation.start_mail_server(Script::default());
        installation
    }

    /// The same with a mail server that follows `script`.
    pub(crate) fn with_mail_server(script: Script) -> Self {
        let mut installation = Self::without_mail_server(CommandLine::on_postgres());
        installation.start_mail_server(script);
        installation
    }

    /// The same with a port on which no mail server listens yet.
    pub(crate) fn without_mail_server(command_line: CommandLine) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let redis = runtime.block_on(RedisServer::start()).unwrap();
        let smtp_port = free_port();
        Self {
            command_line: configured(command_line, &redis, smtp_port),
            redis,
            smtp: None,
            smtp_port,
            runtime,
        }
    }

    /// The same on the database at this URL, which is migrated first.
    pub(crate) fn on_database(url: &str) -> Self {
        let command_line = CommandLine::on_sqlite()
            .with("DATABASE_URL", url)
            .with("GUESTLIST_KEYS", &guestlist::Key::generate().expose());
        command_line.run("migrate").done();
        Self::without_mail_server(command_line)
    }

    /// Another installation with a database of its own, on the same Redis and mail server.
    pub(crate) fn neighbour(&self) -> CommandLine {
        configured(CommandLine::on_postgres(), &self.redis, self.smtp_port)
    }

    /// The same with a password for the mail server.
    pub(crate) fn signing_in(self) -> Self {
        let url = format!("smtp://me:secret@127.0.0.1:{}?tls=none", self.smtp_port);
        self.with("SMTP_URL", &url)
    }

    /// Sets a variable.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        Self {
            command_line: self.command_line.with(name, value),
            ..self
        }
    }

    pub(crate) fn start_mail_server(&mut self, script: Script) {
        self.smtp = Some(
            self.runtime
                .block_on(script.start_on(self.smtp_port))
                .unwrap(),
        );
    }

    pub(crate) fn restart_redis(&mut self) {
        self.runtime.block_on(self.redis.restart()).unwrap();
    }

    pub(crate) fn redis<T: FromReply>(&self, line: &str) -> T {
        self.runtime.block_on(self.redis.command(line)).unwrap()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.smtp.as_ref().unwrap().seen()
    }

    /// The number of letters received so far.
    pub(crate) fn letters(&self) -> usize {
        self.smtp.as_ref().map_or(0, SmtpServer::count)
    }

    /// Releases a reply that the mail server holds.
    pub(crate) fn release(&self) {
        self.smtp.as_ref().unwrap().release();
    }

    pub(crate) fn until_letters(&self, count: usize) {
        eventually(&format!("{count} letters"), || self.letters() >= count);
    }

    pub(crate) fn received_letters(&self) -> ReceivedLetters {
        ReceivedLetters::of(&self.seen().texts())
    }

    /// Creates an organization and a file of addresses; returns the command that invites them.
    pub(crate) fn people(&self, count: usize) -> String {
        let acme = self.command_line.organization();
        let rows: String = (0..count)
            .map(|n| format!("p{n}@acme.example,agent\n"))
            .collect();
        self.command_line
            .write("people.csv", format!("email,role\n{rows}"));
        format!("invite --file people.csv --organization {acme} --as ann --json")
    }

    /// Invites `count` addresses.
    pub(crate) fn invite(&self, count: usize) {
        let line = self.people(count);
        assert_eq!(
            self.command_line.run(&line).done().stdout.lines().count(),
            count
        );
    }

    /// Starts a command in parallel.
    pub(crate) fn host(&self, line: &str) -> Host {
        Host::start(&self.command_line, line)
    }

    pub(crate) fn worker(&self, name: &str) -> Worker {
        Worker::ready(&self.command_line, name)
    }

    /// The number of tasks in Redis, over both lanes.
    pub(crate) fn tasks(&self) -> usize {
        let lanes: Vec<String> = self.redis("KEYS {core:apalis:queues:list}:guestlist-*:data");
        let tasks = lanes.iter().map(|lane| {
            let held: usize = self.redis(&format!("HLEN {lane}"));
            held
        });
        tasks.sum()
    }

    /// Waits until no job is left, and returns the largest number of tasks in Redis meanwhile.
    pub(crate) fn until_done(&self) -> usize {
        let mut peak = 0;
        let mut look = 0;
        eventually("every job is done", || {
            peak = peak.max(self.tasks());
            look += 1;
            look % 25 == 0 && self.jobs().is_empty()
        });
        peak
    }

    pub(crate) fn jobs(&self) -> Vec<serde_json::Value> {
        self.command_line.all("jobs")
    }

    /// Asserts that Redis holds only its constant keys.
    pub(crate) fn assert_redis_is_empty(&self) {
        let keys: Vec<String> = self.redis("KEYS *");
        assert!(
            keys.iter().all(|key| key == "core:apalis:queues:list"),
            "{keys:?}"
        );
    }

    /// Asserts that everyone got one letter and no work is left.
    pub(crate) fn assert_delivered(&self, count: usize) {
        self.received_letters().assert_one_letter_each(count);
        assert!(self.jobs().is_empty());
    }
}

/// A command that runs in parallel to the test, like a host's process.
pub(crate) struct Host(JoinHandle<Ran>);

impl Host {
    /// Starts a command and reads its output, so that a full pipe does not block it.
    pub(crate) fn start(command_line: &CommandLine, line: &str) -> Self {
        let child = command_line.command(line).spawn().unwrap();
        Self(std::thread::spawn(|| {
            Ran::of(child.wait_with_output().unwrap())
        }))
    }

    /// Waits for the end of the command.
    pub(crate) fn ran(self) -> Ran {
        self.0.join().unwrap()
    }
}

fn configured(command_line: CommandLine, redis: &RedisServer, smtp_port: u16) -> CommandLine {
    let smtp = format!("smtp://127.0.0.1:{smtp_port}?tls=none");
    command_line
        .with("REDIS_URL", &redis.url())
        .with("SMTP_URL", &smtp)
        .with("GUESTLIST_LIMITS", "none")
}
