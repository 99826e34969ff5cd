//! docs/guide.md shows these files, and the application that they make works.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use guestlist::Error;
use guestlist_jobs::config::variables;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

#[path = "../src/transaction.rs"]
mod transaction;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Finds the code blocks in a language, by the file name in the line above each, such as `**src/app.rs**`.
fn blocks(guide: &str, language: &str) -> BTreeMap<String, String> {
    let start = format!("```{language}\n");
    let mut pieces = guide.split(&start);
    let mut above = pieces.next().unwrap();
    let mut blocks = BTreeMap::new();
    for piece in pieces {
        let name = above.trim_end().rsplit("**").nth(1).unwrap();
        let (block, below) = piece.split_once("```\n").unwrap();
        let before = blocks.insert(name.to_owned(), block.to_owned());
        assert!(before.is_none(), "{name} is shown twice");
        above = below;
    }
    blocks
}

#[test]
fn the_guide_shows_every_file_of_this_package() {
    let shown = blocks(&read("../../docs/guide.md"), "rust");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = fs::read_dir(folder).unwrap();
    let sources = sources.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = sources.map(|name| format!("src/{name}")).collect();
    files.push("tests/own_store.rs".to_owned());
    files.sort();
    assert_eq!(shown.keys().cloned().collect::<Vec<_>>(), files);
    for (name, block) in shown {
        assert_eq!(block, read(&name), "{name}");
    }
}

#[test]
fn the_guide_shows_the_dependencies_of_this_package() {
    let shown = blocks(&read("../../docs/guide.md"), "toml");
    let manifest = read("Cargo.toml").replace("../..", "../guestlist");
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    assert_eq!(
        shown["Cargo.toml"],
        format!("[dependencies]\n{dependencies}")
    );
}

/// Runs the program with an argument and an invalid address, so that it cannot serve.
fn run(argument: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_guide"));
    let program = program.env_clear().env("LISTEN", "nowhere");
    program.arg(argument).output().unwrap()
}

#[test]
fn help_states_the_defaults() {
    let output = run("--help");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(run("-h"), output);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("  LISTEN [default: 127.0.0.1:3000]\n"));
    for name in ["DATABASE_URL", "SMTP_URL", "GUESTLIST_LINK"] {
        let mut variables = variables::ALL.iter();
        let variable = variables.find(|variable| variable.name == name).unwrap();
        let line = format!("  {name} [default: {}]\n", variable.default);
        assert!(help.contains(&line), "{line}");
    }
}

#[test]
fn an_unknown_argument_is_refused() {
    for argument in ["--nonsense", "help", ""] {
        let output = run(argument);
        assert_eq!(output.status.code(), Some(2), "{argument:?}");
        assert!(output.stdout.is_empty(), "{argument:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("guide --help"), "{message}");
    }
}

#[tokio::test]
async fn a_transaction_is_retried_after_a_conflict() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("host.db").display());
    let options = SqliteConnectOptions::from_str(&url).unwrap();
    let options = options.create_if_missing(true).busy_timeout(Duration::ZERO);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let other = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let other = Cell::new(Some(other));
    let attempts = Cell::new(0);
    let attempt = || async {
        attempts.set(attempts.get() + 1);
        let begun = pool.begin_with("BEGIN IMMEDIATE").await;
        if let Some(other) = other.take() {
            other.rollback().await?;
        }
        Ok::<_, Error>(begun?.commit().await?)
    };
    transaction::retry_on_conflict(attempt).await.unwrap();
    assert_eq!(attempts.get(), 2);
}

/// The running application, in a folder of its own.
struct Site {
    process: Child,
    folder: TempDir,
    address: String,
    client: Client,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Site {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_guide"))
            .current_dir(folder.path())
            .env_clear()
            .env("LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let address = format!("http://{address}");
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        Self {
            process,
            folder,
            address,
            client,
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> (StatusCode, String) {
        let request = self.client.get(format!("{}{path}", self.address));
        let response = request.header(COOKIE, cookie).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// Posts a form, and returns the status and the redirect target.
    async fn post(&self, path: &str, cookie: &str, form: &'static str) -> (StatusCode, String) {
        let request = self.client.post(format!("{}{path}", self.address));
        let request = request
            .header(COOKIE, cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form).send().await.unwrap();
        let place = response.headers().get(LOCATION);
        let place = place.map(|place| place.to_str().unwrap().to_owned());
        (response.status(), place.unwrap_or_default())
    }

    async fn sign_in(&self, form: &'static str) -> String {
        let request = self.client.post(format!("{}/sign-in", self.address));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form).send().await.unwrap();
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Reads the keys of sessions that the database holds.
    async fn stored_sessions(&self) -> Vec<String> {
        let file = self.folder.path().join("guestlist.db");
        let pool = SqlitePool::connect(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let keys = "SELECT id FROM sessions UNION ALL SELECT session FROM guestlist_sessions";
        let keys: Vec<(String,)> = sqlx::query_as(keys).fetch_all(&pool).await.unwrap();
        keys.into_iter().map(|(key,)| key).collect()
    }

    /// Waits for the only letter, and returns the path of its link.
    async fn link(&self) -> String {
        let began = Instant::now();
        loop {
            let files = fs::read_dir(self.folder.path().join("letters"));
            let mut paths = files.into_iter().flatten().map(|file| file.unwrap().path());
            if let Some(path) =
                paths.find(|path| path.extension().is_some_and(|ending| ending == "eml"))
            {
                let letter = fs::read_to_string(path).unwrap().replace("=\r\n", "");
                let (_, link) = letter.split_once("http://localhost:3000").unwrap();
                return link.split_whitespace().next().unwrap().to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no letter");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn the_application_invites_admits_and_signs_out() {
    let site = Site::start();
    let (status, place) = site
        .post("/teams", "session=none", "name=Acme&plan=paid")
        .await;
    assert_eq!(
        (status, place.as_str()),
        (StatusCode::SEE_OTHER, "/sign-in")
    );

    let olivia = site
        .sign_in("email=olivia%40acme.example&name=Olivia")
        .await;
    let (_, team) = site.post("/teams", &olivia, "name=Acme&plan=paid").await;
    let (status, page) = site.get(&team, &olivia).await;
    assert!(status.is_success() && page.contains("Plan: paid"), "{page}");

    let invitations = format!("{team}/invitations");
    let bob = "email=bob%40acme.example&role=agent";
    let (status, _) = site.post(&invitations, &olivia, bob).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, _) = site.post(&invitations, &olivia, bob).await;
    assert_eq!(status, StatusCode::CONFLICT); // has a pending invitation
    let link = site.link().await;

    let eve = site.sign_in("email=eve%40acme.example&name=Eve").await;
    assert_eq!(site.post(&link, &eve, "").await.0, StatusCode::CONFLICT);
    assert_eq!(site.get(&team, &eve).await.0, StatusCode::NOT_FOUND);

    let bob = site.sign_in("email=bob%40acme.example&name=Bob").await;
    let (_, page) = site.get(&link, &bob).await;
    assert!(page.contains("is invited to Acme as agent"), "{page}");
    assert_eq!(site.get(&team, &bob).await.0, StatusCode::NOT_FOUND); // viewing does not accept
    assert_eq!(site.post(&link, &bob, "").await.1, team);
    assert_eq!(site.get(&team, &bob).await.0, StatusCode::OK);
    let phone = site.sign_in("email=bob%40acme.example&name=Bob").await;

    // User ids count from 1 in the order of the first sign-in.
    let (status, _) = site
        .post(&format!("{team}/members/1/remove"), &olivia, "")
        .await;
    assert_eq!(status, StatusCode::CONFLICT); // the last owner
    let (status, _) = site
        .post(&format!("{team}/members/3/remove"), &olivia, "")
        .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    for session in [&bob, &phone] {
        assert_eq!(site.get("/", session).await.0, StatusCode::SEE_OTHER); // to /sign-in
    }

    let stored = site.stored_sessions().await;
    assert_eq!(
        stored.len(),
        3,
        "those of Olivia and Eve, and the one recorded for Acme: {stored:?}"
    );
    for key in stored {
        let (status, _) = site.get("/", &format!("session={key}")).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{key} works as a cookie");
    }
    assert_eq!(site.get("/", &eve).await.0, StatusCode::OK);

    assert_eq!(site.post("/sign-out", &olivia, "").await.1, "/sign-in");
    assert_eq!(site.get("/", &olivia).await.0, StatusCode::SEE_OTHER);
}
