//! Processes of the `guestlist` command: workers and bulk invites.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ::guestlist::Key;
use anyhow::{Context as _, bail};
use guestlist_testkit::process::child_command;
use tokio::process::Child;

use crate::proc_field::proc_field;

/// Maximum duration of a process that ends by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1800);

/// Interval at which the memory of a process is read.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The program file, and the keys that all its processes share.
#[derive(Debug, Clone)]
pub(crate) struct GuestlistCommand {
    program: PathBuf,
    keys: String,
}

/// A process of the command. It is killed when this is dropped.
pub(crate) struct GuestlistProcess {
    child: Child,
    id: u32,
    began: Instant,
    log: PathBuf,
}

/// The duration and the memory of a process that ended by itself.
pub(crate) struct Finished {
    pub(crate) duration: Duration,
    /// Its largest memory, as last read before it ended.
    pub(crate) peak: Memory,
}

/// Resident memory in megabytes of 1,000,000 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(crate) struct Memory(pub(crate) f64);

impl GuestlistCommand {
    /// Finds the command: the given file, or the one in the folder of this program. If cargo runs this
    /// program, that one is built first, because cargo does not rebuild it.
    pub(crate) fn find(file: Option<&Path>) -> anyhow::Result<Self> {
        let program = match file {
            Some(program) => program.canonicalize().context("the guestlist command")?,
            None => {
                let this_program = std::env::current_exe()?;
                let folder = this_program
                    .parent()
                    .context("this program is in no folder")?;
                build(folder)?;
                folder.join("guestlist")
            }
        };
        if !program.is_file() {
            bail!(
                "{} does not exist; build it with `cargo build --release -p guestlist-cli`, or name another file with --guestlist",
                program.display()
            );
        }
        Ok(Self {
            program,
            keys: Key::generate().expose(),
        })
    }

    /// Returns another command with the same keys.
    pub(crate) fn other(&self, file: &Path) -> anyhow::Result<Self> {
        let program = Self::find(Some(file))?.program;
        Ok(Self {
            program,
            keys: self.keys.clone(),
        })
    }

    pub(crate) fn keys(&self) -> &str {
        &self.keys
    }

    /// Starts a process with only these environment variables, which logs to a new file in `folder`.
    ///
    /// The kernel kills it when the thread that started it ends. So start it from the main task, not from a
    /// spawned one.
    pub(crate) fn start(
        &self,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> anyhow::Result<GuestlistProcess> {
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
    ) -> anyhow::Result<GuestlistProcess> {
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
            .context("cannot start guestlist, which also needs setpriv")?;
        let id = child.id().context("guestlist ended at once")?;
        Ok(GuestlistProcess {
            child,
            id,
            began,
            log,
        })
    }
}

/// Builds the command with the profile of this program, into its folder. Does nothing without cargo.
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
            // With only one package, cargo unifies features differently and builds the dependencies again.
            "--package=guestlist-cli",
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
        bail!("cannot build the guestlist command");
    }
    Ok(())
}

impl GuestlistProcess {
    /// Waits until it ends. Any exit status but 0 is an error.
    pub(crate) async fn wait(mut self) -> anyhow::Result<Finished> {
        let mut peak = Memory::default();
        while self.began.elapsed() < EXIT_TIMEOUT {
            if let Ok(memory) = self.peak() {
                peak = memory;
            }
            if let Ok(status) = tokio::time::timeout(POLL_INTERVAL, self.child.wait()).await {
                let duration = self.began.elapsed();
                self.require_success(status?)?;
                return Ok(Finished { duration, peak });
            }
        }
        bail!(
            "guestlist did not end within {} s\n{}",
            EXIT_TIMEOUT.as_secs(),
            self.end_of_log()
        )
    }

    /// Returns its current resident memory.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.memory_field("VmRSS")
    }

    /// Returns the largest resident memory it has had.
    pub(crate) fn peak(&self) -> anyhow::Result<Memory> {
        self.memory_field("VmHWM")
    }

    /// Returns an error if it has ended.
    pub(crate) fn require_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("guestlist ended with {status}\n{}", self.end_of_log()),
        }
    }

    /// Ends it with SIGKILL, like a crash, and waits until it has ended.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot kill guestlist")
    }

    fn memory_field(&self, name: &str) -> anyhow::Result<Memory> {
        let text = proc_field(&format!("/proc/{}/status", self.id), name);
        let kilobytes = text
            .as_deref()
            .and_then(|text| text.strip_suffix(" kB")?.trim().parse().ok());
        let kilobytes: f64 =
            kilobytes.with_context(|| format!("cannot read {name} of the guestlist process"))?;
        Ok(Memory(kilobytes * 1024.0 / 1e6))
    }

    fn require_success(&self, status: ExitStatus) -> anyhow::Result<()> {
        if !status.success() {
            bail!("guestlist ended with {status}\n{}", self.end_of_log());
        }
        Ok(())
    }

    /// Returns what it has written to stdout and stderr.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("cannot read the log of guestlist")
    }

    fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
