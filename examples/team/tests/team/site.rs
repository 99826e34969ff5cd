//! A running application for a test: on its own port, with its own letters, and a separate worker if it uses Redis.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use guestlist::{Actor, Database, Guestlist, Invite, OrganizationId, Role, User, UserId};
use guestlist_jobs::{Worker, work};
use mail_parser::MessageParser;
use sha2::{Digest, Sha256};
use sqlx::Connection as _;
use team::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::browser::{Browser, Page};

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The time limit for waiting.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) config: Config,
    pub(crate) database: Database,
    pub(crate) guestlist: Guestlist,
    folder: TempDir,
    /// The tasks of the application and the worker. They end when the site is dropped.
    _running: JoinSet<()>,
}

impl Site {
    /// Starts the application on an SQLite file, with the worker in the same process.
    pub(crate) async fn embedded(variables: &[(&str, &str)]) -> Self {
        Self::start(Vec::new(), variables).await
    }

    /// Starts the application on Postgres without Redis: the worker is in the same process, sessions are in a table.
    pub(crate) async fn without_redis(variables: &[(&str, &str)]) -> Self {
        let own = vec![
            ("DATABASE_URL".to_owned(), postgres_schema().await),
            ("GUESTLIST_KEYS".to_owned(), new_key()),
        ];
        Self::start(own, variables).await
    }

    /// Starts the application on Postgres and Redis, and a separate worker.
    pub(crate) async fn distributed(variables: &[(&str, &str)]) -> Self {
        let redis = std::env::var("GUESTLIST_TEST_REDIS");
        let redis = redis.expect("GUESTLIST_TEST_REDIS: run the tests by bin/test");
        let own = vec![
            ("DATABASE_URL".to_owned(), postgres_schema().await),
            ("REDIS_URL".to_owned(), redis),
            ("GUESTLIST_KEYS".to_owned(), new_key()),
        ];
        Self::start(own, variables).await
    }

    async fn start(mut own: Vec<(String, String)>, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let path = |name: &str| folder.path().join(name).display().to_string();
        own.push((
            "DATABASE_URL".to_owned(),
            format!("sqlite:{}", path("team.db")),
        ));
        own.push(("SMTP_URL".to_owned(), format!("file:{}", path("letters"))));
        own.push((
            "GUESTLIST_LINK".to_owned(),
            format!("{url}/invitations/{{token}}"),
        ));
        let given = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all: Vec<_> = given.chain(own).collect();
        let lookup = |name: &str| {
            all.iter()
                .find(|(other, _)| other == name)
                .map(|(_, value)| value.clone())
        };
        let config = Config::read(lookup).unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let serving = team::serve(config.clone(), listener, stop.clone());
        running.spawn(async { serving.await.unwrap() });
        let site = Self {
            database: wait_until_served(&url, &config).await,
            guestlist: config.worker.guestlist(config.worker.keys.load().unwrap()),
            url,
            folder,
            _running: JoinSet::new(),
            config,
        };
        if site.config.worker.redis_url.is_some() {
            let worker = site.worker().await;
            running.spawn(async {
                let _drained = worker.run(stop).await;
            });
        }
        Self {
            _running: running,
            ..site
        }
    }

    /// Creates a worker in the same way as `guestlist work`.
    async fn worker(&self) -> Worker {
        let installation =
            guestlist::worker::installation(&mut self.database.acquire().await.unwrap()).await;
        Worker::new(
            work::context(&self.config.worker, &self.database).unwrap(),
            work::queue(&self.config.worker, installation.unwrap()),
            work::settings(&self.config.worker),
        )
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// Creates an account through the pages and returns its browser.
    pub(crate) async fn sign_up(&self, name: &str, email: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.open("/sign-up").await;
        browser
            .press(&page, "Send me an e-mail", &[("email", email)])
            .await;
        let letter = self.letter_to(email, "Your account").await;
        let page = browser.open(&link_in(&letter)).await;
        let typed = [("name", name), ("password", PASSWORD), ("again", PASSWORD)];
        let page = browser.press(&page, "Create the account", &typed).await;
        page.must_say(&format!("Welcome, {name}."));
        browser
    }

    /// Creates an organization through the pages and returns its id.
    pub(crate) async fn create_organization(
        &self,
        browser: &mut Browser,
        name: &str,
    ) -> OrganizationId {
        let page = browser.open("/organizations").await;
        let page = browser
            .press(&page, "Create the organization", &[("name", name)])
            .await;
        page.must_say(&format!("Inbox of {name}"));
        page.path.split('/').nth(2).unwrap().parse().unwrap()
    }

    /// Waits for a letter to an address whose subject contains these words, and returns the text of the newest.
    pub(crate) async fn letter_to(&self, email: &str, subject: &str) -> String {
        self.nth_letter_to(email, subject, 1).await
    }

    /// Waits for `count` such letters and returns the text of the newest.
    pub(crate) async fn nth_letter_to(&self, email: &str, subject: &str, count: usize) -> String {
        let began = Instant::now();
        loop {
            let mut letters = self.letters_to(email, subject);
            if letters.len() >= count {
                return letters.pop().unwrap();
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "{} of {count} letters {subject:?} arrived for {email}",
                letters.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Signs in through the page and returns the browser.
    pub(crate) async fn sign_in(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.open("/sign-in").await;
        let typed = [("email", email), ("password", PASSWORD)];
        browser
            .press(&page, "Sign in", &typed)
            .await
            .must_say(email);
        browser
    }

    /// Returns the texts of the letters to an address, the newest last.
    pub(crate) fn letters_to(&self, email: &str, subject: &str) -> Vec<String> {
        let files = fs::read_dir(self.folder.path().join("letters"))
            .into_iter()
            .flatten();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        let letters = files.iter().filter_map(|file| fs::read(file).ok());
        let text = |bytes: Vec<u8>| {
            let letter = MessageParser::default().parse(&bytes)?;
            let is_to = letter.to()?.first()?.address()?.eq_ignore_ascii_case(email);
            let is_it = is_to && letter.subject()?.contains(subject);
            is_it.then(|| letter.body_text(0).map(|text| text.into_owned()))?
        };
        letters.filter_map(text).collect()
    }

    /// Returns the id of the account of an address.
    pub(crate) async fn account(&self, email: &str) -> UserId {
        const FIND: &str = "SELECT id FROM team_accounts WHERE email_key = $1";
        let (id,): (String,) = match &self.database {
            Database::Postgres(pool) => sqlx::query_as(FIND).bind(email).fetch_one(pool).await,
            Database::Sqlite(pool) => sqlx::query_as(FIND).bind(email).fetch_one(pool).await,
            _ => unreachable!("neither Postgres nor SQLite"),
        }
        .unwrap();
        id.parse().unwrap()
    }

    /// Adds a member through the library.
    pub(crate) async fn join(
        &self,
        organization: OrganizationId,
        owner: &UserId,
        user: User,
        role: &Role,
    ) {
        let mut tx = self.database.begin().await.unwrap();
        let invite = Invite::new(user.email.clone(), role.clone());
        let invitation = self
            .guestlist
            .act(Actor::member(owner))
            .in_organization(organization)
            .invite(&mut tx, invite)
            .await
            .unwrap();
        let token = self.guestlist.token(&invitation).unwrap();
        self.guestlist
            .accept(&mut tx, token.expose(), &user)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Returns true if the session of a cookie is in the store.
    pub(crate) async fn has_session(&self, cookie: &str) -> bool {
        let session = stored_id(cookie);
        self.stored_sessions().await.contains(&session)
    }

    /// Reads the ids in the session store.
    pub(crate) async fn stored_sessions(&self) -> Vec<String> {
        let Some(url) = &self.config.worker.redis_url else {
            return self.texts("SELECT id FROM team_sessions").await;
        };
        let client = redis::Client::open(url.expose()).unwrap();
        // The client's own limit of half a second is short for a busy machine.
        let unlimited = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&unlimited);
        let mut connection = connection.await.unwrap();
        let mut keys = redis::cmd("KEYS");
        let of_a_session = "?".repeat(22);
        keys.arg(of_a_session)
            .query_async(&mut connection)
            .await
            .unwrap()
    }

    /// Reads texts from the database.
    pub(crate) async fn texts(&self, query: &'static str) -> Vec<String> {
        let read: Vec<(String,)> = match &self.database {
            Database::Postgres(pool) => sqlx::query_as(query).fetch_all(pool).await.unwrap(),
            Database::Sqlite(pool) => sqlx::query_as(query).fetch_all(pool).await.unwrap(),
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        read.into_iter().map(|(text,)| text).collect()
    }
}

async fn wait_until_served(url: &str, config: &Config) -> Database {
    let began = Instant::now();
    while reqwest::get(url).await.is_err() {
        assert!(began.elapsed() < TIMEOUT, "the application does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    config.worker.connect(8).await.unwrap()
}

/// Reloads a page until it contains these words.
pub(crate) async fn wait_until_says(browser: &mut Browser, address: &str, words: &str) -> Page {
    let began = Instant::now();
    loop {
        let page = browser.open(address).await;
        if page.says(words) {
            return page;
        }
        assert!(
            began.elapsed() < TIMEOUT,
            "{words:?} does not appear on {}",
            page.text()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the id in the store of the session of a cookie.
pub(crate) fn stored_id(cookie: &str) -> String {
    let cookie = BASE64_URL_SAFE_NO_PAD.decode(cookie).unwrap();
    let hash = Sha256::digest(cookie);
    BASE64_URL_SAFE_NO_PAD.encode(&hash[..16])
}

/// Returns the link in the text of a letter.
pub(crate) fn link_in(letter: &str) -> String {
    let line = letter.lines().find(|line| line.starts_with("http"));
    line.unwrap_or_else(|| panic!("no link in {letter}"))
        .trim()
        .to_owned()
}

fn new_key() -> String {
    guestlist::Key::generate().expose().to_string()
}

async fn postgres_schema() -> String {
    let server = std::env::var("GUESTLIST_TEST_POSTGRES");
    let server = server.expect("GUESTLIST_TEST_POSTGRES: run the tests by bin/test");
    let schema = format!("team_{}", uuid::Uuid::now_v7().simple());
    let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options=-c%20search_path%3D{schema}")
}
