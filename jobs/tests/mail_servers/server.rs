//! A private mail server on ports of 127.0.0.1, with all of its files in a temporary folder.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use guestlist_testkit::process::{Process, Signal};
use guestlist_testkit::{free_port, program};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::{exim, postfix};

/// The time limit for the start of a server.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The time after which the processes of a server that ends are killed. Exim's do not end by themselves
/// while a client is connected.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// The number of ports that are tried: another program can take a port between its choice and its use.
const ATTEMPTS: u32 = 5;

/// The user and the group that own the mailboxes: nobody.
pub(crate) const OWNER: u32 = 65534;

/// The domains whose mail the servers keep.
pub(crate) const DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// The program of a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Postfix,
    Exim,
}

/// The configuration of a server.
///
/// Every server refuses recipients by the first letters of their address: `unknown` does not exist, the mailboxes
/// of `full` and `overquota` are full, `policy` is refused at RCPT and `content` at the final dot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// The number of connections that a client may have. Each letter takes a second then, so that more
    /// connections would be of use.
    pub(crate) connections: Option<u32>,
    /// The number of letters of a connection after which Exim queues them.
    pub(crate) letters_per_connection: Option<u32>,
    /// The maximum size of a letter, in bytes.
    pub(crate) letter_size: Option<u32>,
    /// The first letter to each recipient is deferred.
    pub(crate) greylists: bool,
    /// Letters are taken only after STARTTLS, or on the port with TLS from the first byte.
    pub(crate) requires_tls: bool,
    /// Letters are taken only after signing in by one of these mechanisms, such as `PLAIN LOGIN`.
    pub(crate) mechanisms: Option<&'static str>,
}

/// A running server; ended when dropped.
pub(crate) struct MailServer {
    pub(crate) program: Program,
    pub(crate) rules: Rules,
    pub(crate) port: u16,
    /// The port with TLS from the first byte, if TLS is required.
    pub(crate) tls_port: u16,
    pub(crate) authority: Authority,
    /// True once the server was ended and started again.
    pub(crate) is_restarted: bool,
    process: Option<Process>,
    folder: TempDir,
}

/// A letter in a mailbox: its recipient, and the id under which the server had queued it.
pub(crate) type Received = (String, String);

impl MailServer {
    pub(crate) async fn start(program: Program, rules: Rules) -> Self {
        let folder = tempfile::Builder::new().prefix("guestlist-mail-").tempdir();
        let folder = folder.unwrap();
        assert_eq!(
            fs::metadata(folder.path()).unwrap().uid(),
            0,
            "Postfix and Exim start only as root: run these tests as root"
        );
        // The servers' own users enter it.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let mut server = Self {
            program,
            rules,
            port: free_port(),
            tls_port: free_port(),
            authority: Authority::create(folder.path()),
            is_restarted: false,
            process: None,
            folder,
        };
        server.create_folder("mail", OWNER);
        server.create_folder("greylist", OWNER);
        for _ in 1..ATTEMPTS {
            server.configure();
            if server.try_start().await {
                return server;
            }
            server.stop().await;
            (server.port, server.tls_port) = (free_port(), free_port());
        }
        panic!("{program:?} does not start: {}", server.end_of_log());
    }

    /// Starts the server again, on the same ports and with its queue.
    pub(crate) async fn restart(&mut self) {
        self.is_restarted = true;
        assert!(self.try_start().await, "{}", self.end_of_log());
    }

    async fn try_start(&mut self) -> bool {
        let command = match self.program {
            Program::Postfix => postfix::command(self),
            Program::Exim => exim::command(self),
        };
        let name = format!("{:?}", self.program);
        let log = self.path("output.log");
        self.process = Some(Process::start(&name, command, &log).unwrap());
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if self.greets().await {
                return true;
            }
            let process = self.process.as_mut();
            if process.is_none_or(Process::has_ended) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Returns whether this very server answers on its port.
    async fn greets(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let mut stream = BufReader::new(stream);
        let mut greeting = String::new();
        let heard = stream.read_line(&mut greeting).await.is_ok();
        let is_ours = heard && greeting.contains(&self.host_name());
        if is_ours {
            // Without it the server would complain of a lost connection.
            stream.write_all(b"QUIT\r\n").await.unwrap();
            stream.read_line(&mut greeting).await.unwrap();
        }
        is_ours
    }

    /// Ends the server and everything that it started, in the way an operating system stops a service.
    pub(crate) async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let group = format!("-{}", process.id());
        let signal = |signal: &str| {
            let sent = Command::new("kill").args([signal, "--", &group]).output();
            sent.unwrap().status.success()
        };
        signal("-TERM");
        process.end_by(Signal::Terminate);
        let deadline = Instant::now() + END_TIMEOUT;
        while signal("-0") {
            if Instant::now() > deadline {
                signal("-KILL");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn configure(&self) {
        match self.program {
            Program::Postfix => postfix::configure(self),
            Program::Exim => exim::configure(self),
        }
    }

    /// Sets the password of the only account, `me@example.com`.
    pub(crate) fn set_password(&self, password: &str) {
        match self.program {
            Program::Postfix => postfix::set_password(self, password),
            Program::Exim => exim::set_password(self, password),
        }
    }

    /// Returns the name in the greeting, which no other server has.
    pub(crate) fn host_name(&self) -> String {
        format!("mx{}-{}.example.com", self.port, std::process::id())
    }

    /// Returns the URL of the server, without credentials.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Creates a folder that belongs to a user.
    pub(crate) fn create_folder(&self, name: &str, owner: u32) {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        chown(path, Some(owner), None).unwrap();
    }

    /// Returns the letters in the mailboxes. A letter that the server stored twice after a crash of its
    /// own is one.
    pub(crate) fn received(&self) -> BTreeSet<Received> {
        let letters = files(&self.path("mail/new")).into_iter();
        letters
            .map(|path| {
                let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
                let header = text.replace("\r\n", "\n");
                let header = header.split("\n\n").next().unwrap();
                let recipient = header.lines().find_map(|line| {
                    let line = line.to_ascii_lowercase();
                    let value = line.strip_prefix("delivered-to: ");
                    value
                        .or(line.strip_prefix("envelope-to: "))
                        .map(str::to_owned)
                });
                // `Received: … with ESMTP id 43BB798C4A1 …`
                let id = header
                    .split_whitespace()
                    .skip_while(|word| *word != "id")
                    .nth(1);
                let id = id.unwrap_or_else(|| panic!("no id: {header}"));
                let id = id.trim_end_matches(';').to_owned();
                (recipient.expect("a recipient").trim().to_owned(), id)
            })
            .collect()
    }

    /// Returns true once every letter that the server took is in a mailbox.
    pub(crate) fn has_empty_queue(&self) -> bool {
        let queued = match self.program {
            Program::Postfix => postfix::queued(self),
            Program::Exim => exim::queued(self),
        };
        queued.is_empty()
    }

    /// Returns everything that the server wrote.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        ["output.log", "log/panic", "log/main", "server.log"]
            .map(read)
            .concat()
    }

    /// Returns the last lines of the log, for the message of a test that fails.
    pub(crate) fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Returns the lines of the log other than those of accepted letters on connections that ended
    /// with QUIT.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_ordinary = match self.program {
            Program::Postfix => postfix::is_ordinary,
            Program::Exim => exim::is_ordinary,
        };
        let log = self.log();
        let lines = log.lines().filter(|line| !is_ordinary(line));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            let group = format!("-{}", process.id());
            let _ = Command::new("kill").args(["-TERM", "--", &group]).output();
        }
    }
}

/// Finds an installed program by one of its names.
pub(crate) fn installed(names: &[&str]) -> PathBuf {
    let found = names.iter().find_map(|name| program::find(name).ok());
    found.unwrap_or_else(|| {
        panic!(
            "{} is not installed: run bin/setup --with-mail-servers",
            names[0]
        )
    })
}

/// Returns the files of a folder and of the folders in it.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Runs every test against Postfix and against Exim.
#[macro_export]
macro_rules! on_both_servers {
    ($(async fn $name:ident($program:ident: Program) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn scenario($program: Program) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_postfix() {
                scenario(Program::Postfix).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_exim() {
                scenario(Program::Exim).await;
            }
        })+
    };
}
