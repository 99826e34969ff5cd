//! The test programs of Postfix: smtp-sink accepts every letter, smtp-source sends letters.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use guestlist_testkit::process::{Process, unprivileged_child_command};
use guestlist_testkit::{free_port, program};

/// Maximum time in which smtp-sink starts.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Number of connections of smtp-source, the same as of a worker.
const SESSIONS: u64 = 16;

/// A running `smtp-sink`, which counts the letters it receives. It is killed when this is dropped.
pub(crate) struct SmtpSink {
    port: u16,
    log: PathBuf,
    _process: Process,
}

impl SmtpSink {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port();
        let log = folder.join(format!("smtp-sink-{port}-{}.log", uuid::Uuid::now_v7()));
        let mut command = unprivileged_child_command(&program::find("smtp-sink")?, "KILL");
        command.args(["-c", &format!("127.0.0.1:{port}"), "1024"]);
        let process = Process::start("smtp-sink", command, &log)?;
        let sink = Self {
            port,
            log,
            _process: process,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = TcpStream::connect(("127.0.0.1", port)) {
            if Instant::now() > deadline {
                bail!("smtp-sink accepts no connections: {error}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(sink)
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Returns the number of letters it has received.
    pub(crate) fn received(&self) -> anyhow::Result<u64> {
        let log = std::fs::read_to_string(&self.log).context("cannot read the log of smtp-sink")?;
        Ok(received(&log))
    }

    /// Returns an error unless it has received exactly this many letters.
    pub(crate) fn require(&self, letters: u64) -> anyhow::Result<()> {
        let received = self.received()?;
        anyhow::ensure!(
            received == letters,
            "{letters} letters were sent, but smtp-sink received {received}"
        );
        Ok(())
    }

    /// Sends letters of this size with smtp-source, which keeps its connections like a worker. Returns the
    /// duration.
    pub(crate) async fn send_with_smtp_source(
        &self,
        letters: u64,
        bytes: u64,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let output = tokio::process::Command::new(program::find("smtp-source")?)
            .args(["-d", "-s", &SESSIONS.min(letters).to_string()])
            .args(["-m", &letters.to_string(), "-l", &bytes.to_string()])
            .args(["-f", "team@host.example", "-t", "person@invitee.example"])
            .arg(format!("127.0.0.1:{}", self.port))
            .kill_on_drop(true)
            .output()
            .await?;
        let took = began.elapsed();
        if !output.status.success() {
            bail!("smtp-source: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.require(letters)?;
        Ok(took)
    }
}

/// Returns the last count in the output of `smtp-sink -c`, which overwrites its line.
fn received(log: &str) -> u64 {
    let counts = log.rsplit('\r').filter_map(|line| {
        let (_, count) = line.rsplit_once("mesg=")?;
        count.trim().parse().ok()
    });
    counts.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_is_read() {
        assert_eq!(received(""), 0);
        assert_eq!(
            received("sess=1 quit=0 mesg=0\rsess=1 quit=0 mesg=12\r"),
            12
        );
        assert_eq!(
            received("sess=1 quit=0 mesg=9\rsess=1 quit=0 mesg=10\rsess=1 qu"),
            10
        );
    }
}
