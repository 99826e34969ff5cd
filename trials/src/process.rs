//! A program of ours that runs, is stopped, and is killed.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// A running program; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program that writes its log to `log` and gets no signal that is meant for us.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!(
                    "{name} does not start ({})",
                    command.get_program().display()
                )
            })?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// What it is called in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("{} cannot be signalled", self.name))
    }

    /// Ends it by a signal after which it has to end.
    pub(crate) fn end_by(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        self.signal(signal)?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.end_by(Signal::KILL)
    }

    /// Whether it ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        // What cannot be waited for is not there any more.
        self.child
            .try_wait()
            .map_or(true, |status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.kill();
    }
}

/// A command that ends with this process even if this process is killed, where the kernel can.
///
/// The kernel watches the thread that starts it, so it has to be started from one that stays.
pub(crate) fn tied(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}")).arg(program);
    command
}

/// The same without root's privileges, which Postgres refuses.
pub(crate) fn tied_without_privileges(program: &Path, signal: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return tied(program, signal);
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

/// The user and group that own nothing, on every common system.
pub(crate) const NOBODY: u32 = 65534;
