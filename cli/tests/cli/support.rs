//! A database for each test, and the binary that runs on it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use url::Url;

/// Runs each story on both databases, as `story::on_sqlite` and `story::on_postgres`.
macro_rules! stories {
    ($(fn $name:ident($command_line:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            fn story($command_line: CommandLine) $body

            #[test]
            fn on_sqlite() {
                story(CommandLine::on_sqlite());
            }

            #[test]
            fn on_postgres() {
                story(CommandLine::on_postgres());
            }
        }
    )+};
}

/// A folder, a database and the variables of an operator's shell.
pub(crate) struct CommandLine {
    folder: TempDir,
    variables: Vec<(String, String)>,
    database: Option<String>,
}

/// The output and the exit status of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandLine {
    /// An empty folder and no variables: the embedded default.
    pub(crate) fn on_sqlite() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            database: None,
        }
    }

    /// A new migrated Postgres database and a key.
    pub(crate) fn on_postgres() -> Self {
        let command_line =
            Self::on_empty_postgres().with("GUESTLIST_KEYS", &guestlist::Key::generate().expose());
        command_line.run("migrate").done();
        command_line
    }

    /// A new Postgres database without any table.
    pub(crate) fn on_empty_postgres() -> Self {
        let database = format!("guestlist_cli_{}", guestlist::Key::generate().id());
        execute(
            maintenance().as_str(),
            &format!("CREATE DATABASE {database}"),
        );
        let mut url = maintenance();
        url.set_path(&database);
        let mut command_line = Self::on_sqlite();
        command_line.database = Some(database);
        command_line.with("DATABASE_URL", url.as_str())
    }

    /// Sets a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder the commands run in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder().join(name), content).unwrap();
    }

    /// Writes people.csv with the addresses of this number of people.
    pub(crate) fn write_people(&self, count: usize) {
        let rows: String = (0..count).map(|n| format!("p{n}@acme.example\n")).collect();
        self.write("people.csv", format!("email\n{rows}"));
    }

    /// A command whose arguments are the words of `line`.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestlist"));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder())
            .env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().unwrap())
    }

    /// Runs a command with something on its stdin.
    pub(crate) fn run_with_stdin(&self, line: &str, input: &str) -> Ran {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs a command that succeeds and prints one object.
    pub(crate) fn one(&self, line: &str) -> Json {
        let mut objects = self.all(line);
        assert_eq!(objects.len(), 1, "{line}: {objects:?}");
        objects.remove(0)
    }

    /// Runs a command that succeeds and prints objects.
    pub(crate) fn all(&self, line: &str) -> Vec<Json> {
        self.run(&format!("{line} --json")).done().json()
    }

    /// Creates an organization owned by `ann` and returns its id.
    pub(crate) fn organization(&self) -> String {
        let created =
            self.one("organization create Acme --owner ann --email ann@acme.example --name Ann");
        text(&created["organization"])
    }

    /// Makes `user` a member by invitation.
    pub(crate) fn member(&self, organization: &str, user: &str, role: &str) {
        let invited = self.one(&format!(
            "invite {user}@acme.example --organization {organization} --role {role} --as ann"
        ));
        let link = self.one(&format!("link {} --as ann", text(&invited["invitation"])));
        self.run(&format!(
            "accept {} --user {user} --email {user}@acme.example",
            text(&link["link"])
        ))
        .done();
    }

    /// Executes SQL directly, past the commands.
    pub(crate) fn sql(&self, sql: &str) {
        execute(&self.database_url(), sql);
    }

    /// The URL of the database that the commands use.
    pub(crate) fn database_url(&self) -> String {
        let set = self
            .variables
            .iter()
            .find(|(name, _)| name == "DATABASE_URL");
        let embedded = || format!("sqlite:{}", self.folder().join("guestlist.db").display());
        set.map_or_else(embedded, |(_, url)| url.clone())
    }
}

impl Drop for CommandLine {
    fn drop(&mut self) {
        if let Some(database) = &self.database {
            execute(
                maintenance().as_str(),
                &format!("DROP DATABASE {database} WITH (FORCE)"),
            );
        }
    }
}

impl Ran {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts success.
    pub(crate) fn done(self) -> Self {
        self.ended(0)
    }

    /// Asserts an exit status.
    pub(crate) fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The objects on stdout.
    pub(crate) fn json(&self) -> Vec<Json> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one object on stdout.
    pub(crate) fn object(&self) -> Json {
        let objects = self.json();
        assert_eq!(objects.len(), 1, "{self:#?}");
        objects[0].clone()
    }
}

/// The text of a JSON string.
pub(crate) fn text(json: &Json) -> String {
    json.as_str()
        .unwrap_or_else(|| panic!("{json} is no text"))
        .to_owned()
}

fn maintenance() -> Url {
    let url = std::env::var("GUESTLIST_TEST_POSTGRES")
        .expect("GUESTLIST_TEST_POSTGRES is the URL of a Postgres whose user may create databases");
    Url::parse(&url).unwrap()
}

fn execute(url: &str, sql: &str) {
    let run = async {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        if url.starts_with("sqlite:") {
            statement
                .execute(&mut SqliteConnection::connect(url).await.unwrap())
                .await
                .map(drop)
        } else {
            statement
                .execute(&mut PgConnection::connect(url).await.unwrap())
                .await
                .map(drop)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run).unwrap();
}
