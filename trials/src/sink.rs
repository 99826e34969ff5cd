//! A mail server that remembers what it accepted and misbehaves by script.
//!
//! It speaks SMTP with STARTTLS and AUTH (RFC 5321, RFC 3207, RFC 4954). A letter is in its log, on
//! the disk, before the final dot is answered: whoever reads the log later knows of every letter that
//! any client was told to be accepted.

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
pub(crate) use self::script::{Act, Rule, Script, Verb};
use self::session::Session;

/// The password of every account; the user's name is the client's own and goes into the log.
pub(crate) const PASSWORD: &str = "secret";

/// A running mail server on a loopback port that stays its own.
pub(crate) struct Sink {
    port: u16,
    certificate: PathBuf,
    log: PathBuf,
    script: Script,
    house: Arc<House>,
    door: Mutex<Option<JoinHandle<()>>>,
}

/// What every session needs.
struct House {
    script: Script,
    log: Log,
    tls: TlsAcceptor,
}

impl Sink {
    /// Starts the server on a free port; its certificate and its log go into `folder`.
    pub(crate) async fn start(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let (tls, pem) = certificate::issue()?;
        let certificate = folder.join("sink.pem");
        std::fs::write(&certificate, pem)
            .with_context(|| format!("{} cannot be written", certificate.display()))?;
        let path = folder.join("sink.jsonl");
        let script = Script::default();
        let house = Arc::new(House {
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
            house,
            door: Mutex::new(None),
        };
        sink.let_in(listener);
        Ok(sink)
    }

    /// The `SMTP_URL` with which a client of this name is known in the log.
    pub(crate) fn url(&self, client: &str) -> String {
        format!(
            "smtp://{client}:{PASSWORD}@localhost:{}?tls=required&tls_ca={}",
            self.port,
            self.certificate.display()
        )
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// How it behaves, to be changed while it runs.
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// Ends every connection at once and refuses new ones, as a server that is down does.
    pub(crate) async fn close(&self) {
        let door = self.door().take();
        if let Some(door) = door {
            door.abort();
            // An error says that it was aborted, and its sessions with it.
            let _ = door.await;
        }
    }

    /// Takes connections again on the same port.
    pub(crate) fn open(&self) -> anyhow::Result<()> {
        self.let_in(listen(self.port)?);
        Ok(())
    }

    fn let_in(&self, listener: TcpListener) {
        let house = Arc::clone(&self.house);
        *self.door() = Some(tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while sessions.try_join_next().is_some() {}
                sessions.spawn(Session::new(Arc::clone(&house)).run(stream));
            }
        }));
    }

    fn door(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(door) = self.door().take() {
            door.abort();
        }
    }
}

/// Listens although connections of a former listener may linger.
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
