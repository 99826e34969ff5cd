//! The server: its listener and its connections.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::rule::Rule;
use super::script::Script;
use super::seen::Seen;
use super::session::Session;
use super::shared::Shared;
use crate::Error;

/// The time limit of [`SmtpServer::until`].
const TIMEOUT: Duration = Duration::from_secs(100);

/// A running mail server; it and all its connections end when it is dropped.
///
/// It accepts every letter unless its [`Script`] says otherwise.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::smtp::{Script, Stage};
///
/// let server = Script::default()
///     .on(Stage::Rcpt, "550 5.1.1 no such user") // the first recipient is refused
///     .start()
///     .await?;
/// println!("SMTP_URL={}", server.url());
/// # Ok::<(), guestlist_testkit::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SmtpServer {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Script {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// If the system gives no port.
    pub async fn start(self) -> Result<SmtpServer, Error> {
        self.start_on(0).await
    }

    /// Starts a server on a given port.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_on(self, port: u16) -> Result<SmtpServer, Error> {
        let listener = listen(port)?;
        let port = listener.local_addr().map_err(Error::io("no port"))?.port();
        let server = SmtpServer {
            port,
            shared: Arc::new(Shared::new(self)),
            acceptor: Mutex::new(None),
        };
        server.accept(listener);
        Ok(server)
    }
}

impl SmtpServer {
    /// Starts a server on a free port that accepts every letter.
    ///
    /// # Errors
    /// If the system gives no port.
    pub async fn start() -> Result<Self, Error> {
        Script::default().start().await
    }

    /// The `SMTP_URL` of the server, without encryption.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a rule, which comes after those that exist.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.rules().push(rule);
    }

    /// Removes all rules, so that the server acts correctly from now on.
    pub fn clear_rules(&self) {
        self.shared.rules().clear();
    }

    /// Ends every connection and refuses new ones, like a server that is down.
    pub async fn close(&self) {
        let acceptor = self.acceptor().take();
        if let Some(acceptor) = acceptor {
            acceptor.abort();
            // The error says that the task was aborted; its sessions ended with it.
            let _ = acceptor.await;
        }
    }

    /// Accepts connections again on the same port.
    ///
    /// # Errors
    /// If the port is taken, also by this server because it was not closed.
    pub async fn open(&self) -> Result<(), Error> {
        self.accept(listen(self.port)?);
        Ok(())
    }

    /// Returns what the server has seen, now and from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.shared.seen.subscribe()
    }

    /// Everything the server has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// The number of letters received so far.
    pub fn count(&self) -> usize {
        self.shared.seen.borrow().letters.len()
    }

    /// Releases one reply that [`Action::Hold`](super::Action::Hold) holds now or later.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// Waits until `condition` holds for everything the server has seen.
    ///
    /// # Panics
    /// If it does not hold within 100 s.
    pub async fn until(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.watch();
        let reached = tokio::time::timeout(TIMEOUT, seen.wait_for(condition)).await;
        match reached {
            Ok(Ok(seen)) => seen.clone(),
            _ => panic!("waited in vain, seen so far: {:?}", self.seen()),
        }
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        *self.acceptor() = Some(tokio::spawn(async move {
            // Its sessions are aborted together with this task.
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while sessions.try_join_next().is_some() {}
                sessions.spawn(Session::new(Arc::clone(&shared)).run(stream));
            }
        }));
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor().take() {
            acceptor.abort();
        }
    }
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SmtpServer");
        debug.field("port", &self.port).finish_non_exhaustive()
    }
}

/// Listens on a port, or on a free one if it is 0, even if connections of an earlier listener linger.
fn listen(port: u16) -> Result<TcpListener, Error> {
    let listen = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        socket.listen(1024)
    };
    listen().map_err(Error::io(format!("port {port} cannot be used")))
}
