//! chromedriver, which starts browsers and ends them with itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

/// How long the driver may take to end its browsers.
const GOODBYE: Duration = Duration::from_secs(5);

/// A driver of our own on a free port, and the profiles of its browsers.
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
            .expect("chromedriver, which bin/setup installs");
        let mut words = BufReader::new(child.stdout.take().unwrap());
        let port = port_in(&mut words);
        // It stops at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
        Self {
            child,
            port,
            profiles: tempfile::tempdir().unwrap(),
        }
    }

    /// A browser that knows nothing of the others.
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
            .expect("Chromium, which bin/setup installs")
    }
}

fn port_in(words: &mut impl BufRead) -> u16 {
    for line in words.lines() {
        let line = line.unwrap();
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver ended before it said its port");
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = shut_down(self.port);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the driver end its browsers, which would outlive it otherwise.
fn shut_down(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(GOODBYE))?;
    stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
