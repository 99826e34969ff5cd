//! A mail server that logs the letters it accepts and misbehaves by script.
//!
//! It speaks SMTP with STARTTLS and AUTH (RFC 5321, RFC 3207, RFC 4954). A letter is in its log,
//! synced to disk, before the reply to the final dot. So the log contains every letter for which a client got
//! a 250.

mod certificate;
mod log;
mod script;
mod session;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use self::log::Log;
pub(crate) use self::log::{Accepted, Entry, Fate, read};
pub(crate) use self::script::{Action, Rule, Script, Verb};
use self::session::Session;

/// Password of every account. Each client has its own user name, which is logged.
pub(crate) const PASSWORD: &str = "secret";

/// A running mail server on a loopback port, which it keeps when it is closed and opened again.
pub(crate) struct Sink {
    port: u16,
    certificate: PathBuf,
    log: PathBuf,
    script: Script,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// Data of all sessions.
struct Shared {
    script: Script,
    log: Log,
    tls: TlsAcceptor,
}

impl Sink {
    /// Starts the server on `port`, or on a free one if it is 0. Writes its certificate and its log into `folder`.
    pub(crate) async fn start(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let (tls, pem) = certificate::issue()?;
        let certificate = folder.join("sink.pem");
        std::fs::write(&certificate, pem)
            .with_context(|| format!("{} cannot be written", certificate.display()))?;
        let path = folder.join("sink.jsonl");
        let script = Script::default();
        let shared = Arc::new(Shared {
            script: script.clone(),
            log: Log::create(&path)?,
            tls,
        });
        let listener = listen(port)?;
        let sink = Self {
            port: listener.local_addr()?.port(),
            certificate,
            log: path,
            script,
            shared,
            acceptor: Mutex::new(None),
        };
        sink.spawn_acceptor(listener);
        Ok(sink)
    }

    /// Returns the `SMTP_URL` for a client with this user name.
    pub(crate) fn url(&self, client: &str) -> String {
        format!(
            "smtp://{client}:{PASSWORD}@localhost:{}?tls=required&tls_ca={}",
            self.port,
            self.certificate.display()
        )
    }

    /// File of its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Rules of its behavior, which may be changed while it runs.
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// Ends every connection and refuses new ones, like a server that is down.
    pub(crate) async fn close(&self) {
        let acceptor = self.acceptor().take();
        if let Some(acceptor) = acceptor {
            acceptor.abort();
            // The error says that the task was aborted; its sessions ended with it.
            let _ = acceptor.await;
        }
    }

    /// Accepts connections again on the same port.
    pub(crate) fn open(&self) -> anyhow::Result<()> {
        self.spawn_acceptor(listen(self.port)?);
        Ok(())
    }

    fn spawn_acceptor(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        *self.acceptor() = Some(tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while sessions.try_join_next().is_some() {}
                sessions.spawn(Session::new(Arc::clone(&shared)).run(stream));
            }
        }));
    }

    fn acceptor(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor().take() {
            acceptor.abort();
        }
    }
}

/// Listens on a port even if connections of an earlier listener are still in TIME_WAIT.
fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket
        .bind((Ipv4Addr::LOCALHOST, port).into())
        .with_context(|| format!("port {port} is taken"))?;
    Ok(socket.listen(1024)?)
}

#[cfg(test)]
mod tests;
