//! A program that runs beside the test.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{self, Pid, kill_process};

use crate::Error;

/// The interval at which a starting program is checked.
const TICK: Duration = Duration::from_millis(5);

/// The number of bytes of a log that an error shows.
const SHOWN: usize = 4000;

/// A signal to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM, which asks it to end.
    Terminate,
    /// SIGQUIT, on which Postgres ends at once and without a checkpoint.
    Quit,
    /// SIGKILL, which ends it like a crash.
    Kill,
    /// SIGSTOP, which pauses it.
    Stop,
    /// SIGCONT, which ends the pause.
    Continue,
}

impl From<Signal> for process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Terminate => Self::TERM,
            Signal::Quit => Self::QUIT,
            Signal::Kill => Self::KILL,
            Signal::Stop => Self::STOP,
            Signal::Continue => Self::CONT,
        }
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program that reads nothing and appends what it prints to the file `log`.
    ///
    /// # Errors
    /// If the log cannot be opened, or the system does not start the program.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let cannot_start = || Error::io(format!("{name} cannot be started"));
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.map_err(Error::io(format!("{} cannot be opened", log.display())))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(cannot_start())?)
            .stderr(output);
        if *DIES_WITH_PARENT {
            // The terminal's Ctrl-C goes to the test alone, and the program ends after it.
            command.process_group(0);
        }
        Ok(Self {
            name: name.to_owned(),
            child: spawn(command).map_err(cannot_start())?,
            log: log.to_owned(),
        })
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let sent = kill_process(Pid::from_child(&self.child), signal.into());
        sent.map_err(|error| Error::io(format!("{} cannot be signalled", self.name))(error.into()))
    }

    /// Sends a signal that ends the process, and waits for the end. Does nothing after the end.
    pub fn end_by(&mut self, signal: Signal) {
        if !self.has_ended() && self.signal(signal).is_ok() {
            // Only a process that is gone already cannot be waited for.
            let _ = self.child.wait();
        }
    }

    /// Ends the process by SIGKILL, like a crash. Does nothing after the end.
    pub fn kill(&mut self) {
        self.end_by(Signal::Kill);
    }

    /// Tells whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .map_or(true, |status| status.is_some())
    }

    /// Waits until `is_ready` holds.
    pub(crate) async fn until(
        &mut self,
        within: Duration,
        mut is_ready: impl FnMut(&Self) -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        while !is_ready(self) {
            let program = self.name.clone();
            if self.has_ended() {
                let log = self.end_of_log();
                return Err(Error::Ended { program, log });
            }
            if Instant::now() > deadline {
                let log = self.end_of_log();
                return Err(Error::NotReady {
                    program,
                    within,
                    log,
                });
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let end = &log[log.len().saturating_sub(SHOWN)..];
        String::from_utf8_lossy(end).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that gets the signal, such as `"KILL"`, when this process ends, even by SIGKILL, where the
/// system can do that (Linux with `setpriv`). Start it by [`Process::start`]: Linux sends the signal
/// when the *thread* that started the command ends, and `Process` starts commands from one that does
/// not.
pub fn child_command(program: &Path, signal: &str) -> Command {
    if !*DIES_WITH_PARENT {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}")).arg(program);
    command
}

/// The same; the command runs as the user nobody if this process is root, which Postgres refuses.
pub fn unprivileged_child_command(program: &Path, signal: &str) -> Command {
    let mut command = child_command(program, signal);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(crate) fn is_root() -> bool {
    process::geteuid().is_root()
}

/// The user and the group that own nothing, on every common Linux.
pub(crate) const NOBODY: u32 = 65534;

/// True if the system can end a program together with the process that started it.
static DIES_WITH_PARENT: LazyLock<bool> = LazyLock::new(|| {
    let tried = Command::new("setpriv")
        .args(["--pdeathsig=KILL", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
});

/// Starts a command from a thread that lives as long as this process.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, answered) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts programs is gone");
    SPAWNER.send((command, answer)).map_err(|_| gone(()))?;
    answered.recv().map_err(|_| gone(()))?
}
