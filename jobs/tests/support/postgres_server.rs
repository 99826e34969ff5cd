//! A private Postgres server that a test can stop and start again.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::redis_server::free_port;

/// A private `postgres` on a free loopback port, which recovers after a crash.
pub struct PostgresServer {
    port: u16,
    directory: TempDir,
}

impl PostgresServer {
    /// Creates a cluster with the user `guestlist` and the database `postgres`, and starts it.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if is_root() {
            chown(directory.path(), Some(nobody("-u")), Some(nobody("-g"))).unwrap();
        }
        let server = Self {
            port: free_port(),
            directory,
        };
        let made = server
            .command("initdb")
            .args([
                "--username=guestlist",
                "--auth=trust",
                "--no-locale",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .output();
        insist("initdb", &made.unwrap());
        server.go_on();
        server
    }

    pub fn url(&self) -> String {
        format!("postgres://guestlist@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts the server and waits until it answers.
    pub fn go_on(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off",
            self.port
        );
        // The output goes to a file, since a pipe would stay open as long as the server runs.
        let log = fs::File::create(self.directory.path().join("start.log")).unwrap();
        let started = self
            .command("pg_ctl")
            .args(["start", "--wait", "--options", &options])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status();
        let told = || fs::read_to_string(self.directory.path().join("start.log"));
        assert!(started.unwrap().success(), "postgres: {:?}", told());
    }

    /// Kills all server processes at once, like a crash; committed transactions survive.
    pub fn stop_immediately(&self) {
        let stopped = self
            .command("pg_ctl")
            .args(["stop", "--wait", "--mode=immediate"])
            .output();
        insist("pg_ctl stop", &stopped.unwrap());
    }

    /// A Postgres program for this cluster. Postgres refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={}", nobody("-u")));
            command
                .arg(format!("--regid={}", nobody("-g")))
                .arg("--clear-groups");
            command.arg(binary(program));
            command
        } else {
            Command::new(binary(program))
        };
        command
            .env("PGDATA", self.directory.path().join("data"))
            .current_dir(self.directory.path());
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let _ = self
            .command("pg_ctl")
            .args(["stop", "--mode=immediate"])
            .output();
    }
}

/// A Postgres program: from the `PATH`, else from the newest version that Debian installed.
fn binary(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(program));
    on_path
        .chain(debian(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("{program} must be installed to run these tests: run them by bin/test")
        })
}

fn debian(program: &str) -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin").join(program))
        .collect();
    found.sort();
    found.reverse();
    found
}

fn is_root() -> bool {
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// The numeric id of the user `nobody` or of its group.
fn nobody(which: &str) -> u32 {
    let id = Command::new("id").args([which, "nobody"]).output().unwrap();
    String::from_utf8(id.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn insist(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
