//! The mail server of the trials, which logs the letters it accepts.
//!
//! A letter is in its log, synced to disk, before the reply to the final dot. So the log contains every letter
//! for which a client got a 250.

mod log;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use guestlist_testkit::SmtpServer;
use guestlist_testkit::smtp::{Certificate, PASSWORD, Script};

use self::log::Log;
pub(crate) use self::log::{Accepted, Entry, Fate, read};

/// A running mail server that requires TLS and a password, with its log.
pub(crate) struct Sink {
    server: SmtpServer,
    certificate: PathBuf,
    log: PathBuf,
}

impl Sink {
    /// Starts the server on `port`, or on a free one if it is 0. Writes its certificate and its log into `folder`.
    pub(crate) async fn start(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let (certificate, path) = (Certificate::generate()?, folder.join("sink.pem"));
        std::fs::write(&path, certificate.pem())
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let log_path = folder.join("sink.jsonl");
        let log = Log::create(&log_path)?;
        let script = Script::default()
            .start_tls(&certificate)
            .requires_tls()
            .requires_auth()
            .forgets()
            .before_reply(move |decision| {
                let (log, entry) = (log.clone(), Entry::new(decision));
                async move { log.append(entry).await }
            });
        let extensions = ["AUTH PLAIN LOGIN", "PIPELINING", "8BITMIME", "SMTPUTF8"];
        let script = extensions.into_iter().fold(script, Script::offers);
        Ok(Self {
            server: script.start_on(port).await?,
            certificate: path,
            log: log_path,
        })
    }

    /// Returns the `SMTP_URL` for a client with this user name, which is logged.
    pub(crate) fn url(&self, client: &str) -> String {
        format!(
            "smtp://{client}:{PASSWORD}@localhost:{}?tls=required&tls_ca={}",
            self.server.port(),
            self.certificate.display()
        )
    }

    /// File of its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The server, to change its rules, to close it and to open it again.
    pub(crate) fn server(&self) -> &SmtpServer {
        &self.server
    }
}

#[cfg(test)]
mod tests;
