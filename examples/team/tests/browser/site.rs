//! A running application for a test: on its own port, with a worker, its letters and a driver for browsers.

use std::time::{Duration, Instant};

use guestlist::{Database, Guestlist};
use guestlist_jobs::{Worker, work};
use sqlx::Connection as _;
use team::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::driver::Driver;
use crate::letters::Letters;
use crate::window::Window;

/// The time limit for waiting.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) database: Database,
    pub(crate) guestlist: Guestlist,
    pub(crate) letters: Letters,
    /// The domain of all addresses of this test, since tests share a mail server.
    domain: String,
    driver: Driver,
    /// The tasks of the application and the worker. They end when the site is dropped.
    _running: JoinSet<()>,
    _folder: TempDir,
}

/// A role model and the names that tests use.
#[derive(Clone, Copy)]
pub(crate) struct Roles {
    preset: &'static str,
    /// The name and the display name of the lowest role.
    pub(crate) low: (&'static str, &'static str),
}

pub(crate) const FOUR_TIER: Roles = Roles {
    preset: "four-tier",
    low: ("agent", "Agent"),
};

pub(crate) const TWO_ROLE: Roles = Roles {
    preset: "two-role",
    low: ("user", "User"),
};

impl Site {
    /// Starts the application on an SQLite file, with the worker in the same process and letters in a folder.
    pub(crate) async fn embedded(roles: Roles) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let variables = vec![
            ("DATABASE_URL", format!("sqlite:{}", path("team.db"))),
            ("SMTP_URL", format!("file:{}", path("letters"))),
        ];
        let letters = Letters::new(folder.path().join("letters"));
        Self::start(roles, variables, letters, folder, "acme.example".to_owned()).await
    }

    /// Starts the application on Postgres and Redis with a mail server, and a separate worker.
    pub(crate) async fn distributed(roles: Roles) -> Self {
        let variables = vec![
            ("DATABASE_URL", postgres_schema().await),
            ("REDIS_URL", variable("GUESTLIST_TEST_REDIS")),
            ("SMTP_URL", variable("GUESTLIST_TEST_SMTP")),
            (
                "GUESTLIST_KEYS",
                guestlist::Key::generate().expose().to_string(),
            ),
        ];
        let letters = Letters::new(variable("GUESTLIST_TEST_LETTERS").into());
        let domain = format!("{}.example", uuid::Uuid::now_v7().simple());
        let folder = tempfile::tempdir().unwrap();
        Self::start(roles, variables, letters, folder, domain).await
    }

    async fn start(
        roles: Roles,
        mut variables: Vec<(&str, String)>,
        letters: Letters,
        folder: TempDir,
        domain: String,
    ) -> Self {
        let driver = Driver::start();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        variables.extend([
            ("GUESTLIST_LINK", format!("{url}/invitations/{{token}}")),
            ("GUESTLIST_ROLES", roles.preset.to_owned()),
            ("GUESTLIST_LIMITS", "none".to_owned()),
        ]);
        let lookup = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(other, _)| *other == name);
            found.map(|(_, value)| value.clone())
        };
        let config = Config::read(lookup).unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let serving = team::serve(config.clone(), listener, stop.clone());
        running.spawn(async { serving.await.unwrap() });
        let database = wait_until_served(&url, &config).await;
        if config.worker.redis_url.is_some() {
            let worker = worker(&config, &database).await;
            running.spawn(async {
                let _drained = worker.run(stop).await;
            });
        }
        Self {
            url,
            guestlist: config.worker.guestlist(config.worker.keys.load().unwrap()),
            database,
            letters,
            domain,
            driver,
            _running: running,
            _folder: folder,
        }
    }

    /// Starts a browser with its own profile, without opening a page.
    pub(crate) async fn window(&self) -> Window {
        Window::new(self.driver.browser().await, &self.url)
    }

    /// Returns the address for a name, in the domain of this test.
    pub(crate) fn address(&self, name: &str) -> String {
        format!("{name}@{}", self.domain).to_lowercase()
    }
}

/// Creates a worker in the same way as `guestlist work`.
async fn worker(config: &Config, database: &Database) -> Worker {
    let mut connection = database.acquire().await.unwrap();
    let installation = guestlist::worker::installation(&mut connection).await;
    Worker::new(
        work::context(&config.worker, database).unwrap(),
        work::queue(&config.worker, installation.unwrap()),
        work::settings(&config.worker),
    )
}

async fn wait_until_served(url: &str, config: &Config) -> Database {
    let began = Instant::now();
    while reqwest::get(url).await.is_err() {
        assert!(began.elapsed() < TIMEOUT, "the application does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    config.worker.connect(8).await.unwrap()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: run the tests by bin/test"))
}

async fn postgres_schema() -> String {
    let server = variable("GUESTLIST_TEST_POSTGRES");
    let schema = format!("team_{}", uuid::Uuid::now_v7().simple());
    let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options=-c%20search_path%3D{schema}")
}
