//! A `guestlist work` process, from its start to its end.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::CommandLine;

/// The longest wait for an expected event, longer than a lease that has to expire first.
const WAIT_TIMEOUT: Duration = Duration::from_secs(150);

/// Waits for a condition, and fails if it does not become true.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts a worker with a log file of this name.
    pub(crate) fn start(command_line: &CommandLine, name: &str) -> Self {
        Self::start_as(command_line, name, "work")
    }

    fn start_as(command_line: &CommandLine, name: &str, line: &str) -> Self {
        let log = command_line.folder().join(format!("{name}.log"));
        let mut command = command_line.command(line);
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn();
        Self {
            child: child.unwrap(),
            log,
        }
    }

    /// Starts a worker and waits until it works.
    pub(crate) fn ready(command_line: &CommandLine, name: &str) -> Self {
        Self::start(command_line, name).until_said("worker: working")
    }

    /// Starts a worker that listens on a free port, and waits until it works.
    pub(crate) fn listening(command_line: &CommandLine, name: &str) -> Self {
        let worker = Self::start_as(command_line, name, "work --listen 127.0.0.1:0");
        worker
            .until_said("listening on ")
            .until_said("worker: working")
    }

    /// The address on which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let log = self.log();
        let (_, behind) = log.split_once("listening on ").expect("it listens");
        behind.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn until_said(self, text: &str) -> Self {
        let mut worker = self;
        eventually("the worker is at work", || {
            assert!(worker.is_running(), "{}", worker.log());
            worker.log().contains(text)
        });
        worker
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends the worker as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end, and returns the exit status.
    pub(crate) fn ended(&mut self) -> i32 {
        eventually("the worker ends", || !self.is_running());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Stops the worker and asserts success.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(), 0, "{}", self.log());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The number of log lines that contain `text`.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    /// The lines that are warnings or errors.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = self.log();
        let lines = log
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        lines.map(str::to_owned).collect()
    }

    /// The processor time used so far, in the system's ticks of 10 ms.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let behind_name = stat.rsplit(')').next().unwrap();
        let field = |index: usize| {
            behind_name
                .split_whitespace()
                .nth(index)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        field(11) + field(12)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}
