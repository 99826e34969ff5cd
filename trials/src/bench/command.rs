//! The `guestlist` command: workers and bulk invites as processes of their own.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ::guestlist::Key;
use anyhow::{Context as _, bail};
use tokio::process::Child;

use super::machine::field;
use crate::process::child_command;

/// How long a process may take that ends by itself.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The command, and the keys that every process of a run shares.
#[derive(Debug, Clone)]
pub(crate) struct Guestlist {
    program: PathBuf,
    keys: String,
}

/// A process of the command; killed when dropped.
pub(crate) struct Run {
    child: Child,
    id: u32,
    began: Instant,
    log: PathBuf,
}

/// How a process ended that ended by itself.
pub(crate) struct Ended {
    pub(crate) after: Duration,
    /// The most memory it had, as it was seen shortly before its end.
    pub(crate) peak: Memory,
}

/// Memory that is resident, in megabytes of 1,000,000 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(crate) struct Memory(pub(crate) f64);

impl Guestlist {
    /// The command to measure: the one named, or the one beside this program. Where cargo runs this
    /// program it builds that one first, or yesterday's worker would be measured with today's bench.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let program = match named {
            Some(program) => program.canonicalize().context("the guestlist command")?,
            None => {
                let us = std::env::current_exe()?;
                let folder = us.parent().context("this program is in no folder")?;
                build(folder)?;
                folder.join("guestlist")
            }
        };
        if !program.is_file() {
            bail!(
                "{} is not there; make it with cargo build --release -p guestlist-jobs, or name one by --guestlist",
                program.display()
            );
        }
        Ok(Self {
            program,
            keys: Key::generate().expose(),
        })
    }

    pub(crate) fn keys(&self) -> &str {
        &self.keys
    }

    /// Starts it with these variables and no others, logging to a new file in `folder`.
    ///
    /// The kernel ends it with the thread that starts it, so it has to be started from the one that
    /// stays: not within a task.
    pub(crate) fn start(
        &self,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> anyhow::Result<Run> {
        let log = folder.join(format!("guestlist-{}.log", uuid::Uuid::now_v7()));
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        self.start_into(output, log, folder, arguments, variables)
    }

    fn start_into(
        &self,
        output: File,
        log: PathBuf,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> anyhow::Result<Run> {
        let mut command = child_command(&self.program, "KILL");
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GUESTLIST_KEYS", &self.keys)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let began = Instant::now();
        let child = tokio::process::Command::from(command)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("guestlist does not start; it needs setpriv")?;
        let id = child.id().context("guestlist ended at once")?;
        Ok(Run {
            child,
            id,
            began,
            log,
        })
    }
}

/// Builds the command as this program was built, into the same folder.
fn build(folder: &Path) -> anyhow::Result<()> {
    let (Some(cargo), Some(target)) = (std::env::var_os("CARGO"), folder.parent()) else {
        return Ok(());
    };
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--locked",
            "--quiet",
            // Both, or its dependencies get other features than for this program, and are built again.
            "--package=guestlist-jobs",
            "--package=trials",
            "--bin=guestlist",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status().context("cargo")?.success() {
        bail!("the guestlist command could not be built");
    }
    Ok(())
}

impl Run {
    /// Waits until it ends by itself, which has to be with success.
    pub(crate) async fn end(mut self) -> anyhow::Result<Ended> {
        let mut peak = Memory::default();
        while self.began.elapsed() < PATIENCE {
            if let Ok(memory) = self.peak() {
                peak = memory;
            }
            if let Ok(ended) = tokio::time::timeout(LOOK, self.child.wait()).await {
                let after = self.began.elapsed();
                self.require_success(ended?)?;
                return Ok(Ended { after, peak });
            }
        }
        bail!(
            "guestlist did not end within {} s\n{}",
            PATIENCE.as_secs(),
            self.last_words()
        )
    }

    /// The resident memory it has now.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.of_status("VmRSS")
    }

    /// The most resident memory it ever had.
    pub(crate) fn peak(&self) -> anyhow::Result<Memory> {
        self.of_status("VmHWM")
    }

    /// Fails if it ended.
    pub(crate) fn require_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("guestlist ended with {status}\n{}", self.last_words()),
        }
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("guestlist cannot be killed")
    }

    fn of_status(&self, name: &str) -> anyhow::Result<Memory> {
        let text = field(&format!("/proc/{}/status", self.id), name);
        let kilobytes = text
            .as_deref()
            .and_then(|text| text.strip_suffix(" kB")?.trim().parse().ok());
        let kilobytes: f64 =
            kilobytes.with_context(|| format!("{name} of guestlist is not known"))?;
        Ok(Memory(kilobytes * 1024.0 / 1e6))
    }

    fn require_success(&self, status: ExitStatus) -> anyhow::Result<()> {
        if !status.success() {
            bail!("guestlist ended with {status}\n{}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
