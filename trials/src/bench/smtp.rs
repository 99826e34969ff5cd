//! Postfix's test programs: the mail server that takes everything, and the client that does
//! nothing but send.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::program;
use crate::port::free_port;
use crate::process::{Process, unprivileged_child_command};

/// How long smtp-sink may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections each side keeps.
const SESSIONS: u64 = 16;

/// A running `smtp-sink`, which counts what it takes; killed when dropped.
pub(crate) struct SmtpSink {
    port: u16,
    log: PathBuf,
    _process: Process,
}

impl SmtpSink {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = folder.join(format!("smtp-sink-{port}-{}.log", uuid::Uuid::now_v7()));
        let mut command = unprivileged_child_command(&program::find("smtp-sink")?, "KILL");
        command.args(["-c", &format!("127.0.0.1:{port}"), "1024"]);
        let process = Process::start("smtp-sink", &mut command, &log)?;
        let sink = Self {
            port,
            log,
            _process: process,
        };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = TcpStream::connect(("127.0.0.1", port)) {
            if Instant::now() > deadline {
                bail!("smtp-sink does not answer: {error}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(sink)
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// How many letters it took.
    pub(crate) fn taken(&self) -> anyhow::Result<u64> {
        let log = std::fs::read_to_string(&self.log).context("the log of smtp-sink")?;
        Ok(taken(&log))
    }

    /// Fails unless it took exactly so many.
    pub(crate) fn require(&self, letters: u64) -> anyhow::Result<()> {
        let taken = self.taken()?;
        anyhow::ensure!(
            taken == letters,
            "{letters} letters were sent and smtp-sink took {taken}"
        );
        Ok(())
    }

    /// Lets smtp-source send so many letters of so many bytes over as many kept connections as a
    /// worker has, and says how long that took.
    pub(crate) async fn fill(&self, letters: u64, bytes: u64) -> anyhow::Result<Duration> {
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

/// The last count in what `smtp-sink -c` writes over and over.
fn taken(log: &str) -> u64 {
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
    fn the_last_count_is_how_many_it_took() {
        assert_eq!(taken(""), 0);
        assert_eq!(taken("sess=1 quit=0 mesg=0\rsess=1 quit=0 mesg=12\r"), 12);
        assert_eq!(
            taken("sess=1 quit=0 mesg=9\rsess=1 quit=0 mesg=10\rsess=1 qu"),
            10
        );
    }
}
