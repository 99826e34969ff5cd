//! A private Redis server that a test can kill, flush and restart.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use redis::FromRedisValue;
use tempfile::TempDir;

/// A private `redis-server` on a free loopback port, without persistence.
pub struct RedisServer {
    port: u16,
    password: Option<String>,
    bus: Option<u16>,
    options: Vec<String>,
    child: Child,
    directory: TempDir,
}

#[allow(dead_code, reason = "each test file uses its part")]
impl RedisServer {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(options: &[&str]) -> Self {
        let server = Self::launch(free_port(), options);
        server.wait_until_it_answers().await;
        server
    }

    fn launch(port: u16, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        Self {
            port,
            password: None,
            bus: None,
            child: spawn(port, &directory, &options),
            options,
            directory,
        }
    }

    pub async fn start_on_with_password(port: u16, password: &str) -> Self {
        let mut server = Self::launch(port, &["--requirepass", password]);
        server.password = Some(password.to_owned());
        server.wait_until_it_answers().await;
        server
    }

    /// Starts a server; `options` must set this password.
    pub async fn start_with_password(password: &str, options: &[&str]) -> Self {
        let mut server = Self::launch(free_port(), options);
        server.password = Some(password.to_owned());
        server.wait_until_it_answers().await;
        server
    }

    /// Starts a node of a cluster, without slots.
    pub async fn start_node() -> Self {
        let bus = free_port();
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ];
        let mut server = Self::launch(free_port(), &options);
        server.bus = Some(bus);
        server.wait_until_it_answers().await;
        server
    }

    /// The port for connections between nodes.
    pub fn bus(&self) -> u16 {
        self.bus.expect("a node of a cluster")
    }

    pub fn url(&self) -> String {
        let credentials = self.password.as_ref().map(|word| format!(":{word}@"));
        let port = self.port;
        format!(
            "redis://{}127.0.0.1:{port}/",
            credentials.unwrap_or_default()
        )
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server with SIGKILL; its data is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the killed server again on the same port, empty.
    pub async fn restart(&mut self) {
        self.child = spawn(self.port, &self.directory, &self.options);
        self.wait_until_it_answers().await;
    }

    /// Runs `FLUSHALL`, `CONFIG SET maxmemory 1` and the like; words are separated by spaces.
    pub async fn command<T: FromRedisValue>(&self, line: &str) -> T {
        let words: Vec<&str> = line.split(' ').collect();
        self.words(&words).await
    }

    pub async fn words<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.attempt(words).await.unwrap()
    }

    pub async fn attempt<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    pub async fn keys(&self) -> Vec<String> {
        self.command("KEYS *").await
    }

    async fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.attempt::<String>(&["PING"]).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server did not come up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16, directory: &TempDir, options: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--enable-debug-command", "yes"])
        .arg("--dir")
        .arg(directory.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server must be installed to run these tests")
}
