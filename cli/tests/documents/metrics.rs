//! The page of metrics against what a worker exposes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::exposition::Exposition;
use crate::generated::{assert_generated, table};

/// The time limit for a worker to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A worker on SQLite that is killed when dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_page_of_metrics_is_what_a_worker_exposes() {
    let exposition = exposition();
    let rows = exposition.families.iter().map(|(metric, (kind, help))| {
        let sample = if kind == "histogram" {
            format!("{metric}_count")
        } else {
            metric.clone()
        };
        vec![
            format!("`{metric}`"),
            kind.clone(),
            help.trim_end_matches('.').to_owned(),
            labels(&exposition, &sample),
        ]
    });
    let table = table(&["Metric", "Type", "Meaning", "Labels"], rows);
    assert_generated("docs/reference/metrics.md", "metrics", &table);
}

/// The labels of a metric, each with its values; those of `version` change with every release.
fn labels(exposition: &Exposition, sample: &str) -> String {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for label in exposition.labels(sample) {
        let (key, value) = label.split_once('=').unwrap();
        values.entry(key).or_default().push(value.trim_matches('"'));
    }
    if values.is_empty() {
        return "–".to_owned();
    }
    let labels = values.iter().map(|(key, values)| match *key {
        "version" => "`version`".to_owned(),
        key => format!("`{key}`: {}", values.join(", ")),
    });
    labels.collect::<Vec<_>>().join("; ")
}

/// The metrics of a worker that is ready and has done nothing yet.
fn exposition() -> Exposition {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let child = Command::new(env!("CARGO_BIN_EXE_guestlist"))
        .args(["work", "--listen", "127.0.0.1:0"])
        .env_clear()
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn();
    let _worker = Worker(child.unwrap());
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(address) = address(&log)
            && get(address, "/readyz").starts_with("HTTP/1.1 200")
        {
            let answer = get(address, "/metrics");
            return Exposition::read(answer.split_once("\r\n\r\n").unwrap().1);
        }
        let log = || fs::read_to_string(&log).unwrap();
        assert!(Instant::now() < deadline, "not ready; its log:\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The address that the worker says it listens on.
fn address(log: &Path) -> Option<SocketAddr> {
    let log = fs::read_to_string(log).unwrap();
    let start = log.find("127.0.0.1:")?;
    log[start..].split_whitespace().next()?.parse().ok()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
