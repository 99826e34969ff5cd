//! chromedriver, which starts the browsers of a test and stops them when it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

/// The time limit for the driver to stop its browsers.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A driver process on a free port, and the profiles of its browsers.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    profiles: TempDir,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: bin/setup installs it");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let port = port_in(&mut output);
        // Drains the output, since the driver would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self {
            child,
            port,
            profiles: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a browser with its own profile.
    pub(crate) async fn browser(&self) -> Client {
        let profile = tempfile::tempdir_in(self.profiles.path()).unwrap().keep();
        let profile = format!("--user-data-dir={}", profile.display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--lang=en",
            &profile,
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let serde_json::Value::Object(capabilities) = capabilities else {
            unreachable!("an object");
        };
        ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .expect("Chromium is missing: bin/setup installs it")
    }
}

fn port_in(output: &mut impl BufRead) -> u16 {
    for line in output.lines() {
        let line = line.unwrap();
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver stopped before it printed its port");
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = shut_down(self.port);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the driver to stop its browsers, which would otherwise keep running.
fn shut_down(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SHUTDOWN_TIMEOUT))?;
    stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
