//! Child processes of a trial.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// A child process. It is killed when this is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program that appends its output to `log`. It has its own process group, so that Ctrl-C in the
    /// terminal does not reach it.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("cannot start {name} ({})", command.get_program().display())
            })?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot send a signal to {}", self.name))
    }

    /// Sends a signal that ends it, and waits until it has ended.
    pub(crate) fn end_by(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        self.signal(signal)?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it with SIGKILL, like a crash.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.end_by(Signal::KILL)
    }

    /// Returns true if it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        // An error means that the process no longer exists.
        self.child
            .try_wait()
            .map_or(true, |status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A destructor cannot report the error.
        let _ = self.kill();
    }
}

/// Returns a command that gets `signal` when this process ends, even if this process is killed (Linux only).
///
/// The kernel sends the signal when the thread that started the command ends, so that thread must live as
/// long as the trial.
pub(crate) fn child_command(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}")).arg(program);
    command
}

/// Returns the same command as user `nobody` if this process runs as root, because Postgres refuses to run
/// as root.
pub(crate) fn unprivileged_child_command(program: &Path, signal: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return child_command(program, signal);
    }
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--pdeathsig={signal}"))
        .arg(format!("--reuid={NOBODY}"))
        .arg(format!("--regid={NOBODY}"))
        .arg("--clear-groups")
        .arg(program);
    command
}

/// User and group id of `nobody` on Linux.
pub(crate) const NOBODY: u32 = 65534;
