//! A mail server on 127.0.0.1 that receives letters and misbehaves by script.

mod script;
mod session;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use self::script::{Action, Script};
use self::session::Session;
use crate::Error;

/// The time limit of [`SmtpServer::until`].
const TIMEOUT: Duration = Duration::from_secs(40);

/// A running mail server; it and all its connections end when it is dropped.
///
/// It accepts every letter unless its [`Script`] says otherwise.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::smtp::{Action, Script};
///
/// let server = Script::default()
///     .on("RCPT", Action::Reply("550 5.1.1 no such user")) // the first recipient is refused
///     .start()
///     .await?;
/// println!("SMTP_URL={}", server.url());
/// # Ok::<(), guestlist_testkit::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SmtpServer {
    port: u16,
    seen: watch::Receiver<Seen>,
    released: Arc<Semaphore>,
    acceptor: JoinHandle<()>,
}

impl SmtpServer {
    /// Starts a server on a free port that accepts every letter.
    ///
    /// # Errors
    /// If the system gives no port.
    pub async fn start() -> Result<Self, Error> {
        Script::default().start().await
    }

    fn follow(script: Script, port: u16) -> Result<Self, Error> {
        let listener = listen(port).map_err(Error::io(format!("port {port} cannot be used")))?;
        let port = listener.local_addr().map_err(Error::io("no port"))?.port();
        let (sender, seen) = watch::channel(Seen::default());
        let released = script.released();
        let session = Session::new(script, sender);
        let acceptor = tokio::spawn(async move {
            // Its sessions are aborted together with this task.
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while sessions.try_join_next().is_some() {}
                sessions.spawn(session.clone().run(stream));
            }
        });
        Ok(Self {
            port,
            seen,
            released,
            acceptor,
        })
    }

    /// The `SMTP_URL` of the server, without encryption.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what the server has seen, now and from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Everything the server has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// The number of letters received so far.
    pub fn count(&self) -> usize {
        self.seen.borrow().letters.len()
    }

    /// Releases one reply that [`Action::Hold`] holds now or later.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    /// Waits until `condition` holds for everything the server has seen.
    ///
    /// # Panics
    /// If it does not hold within 40 s.
    pub async fn until(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let reached = tokio::time::timeout(TIMEOUT, seen.wait_for(condition)).await;
        match reached {
            Ok(Ok(seen)) => seen.clone(),
            _ => panic!("waited in vain, seen so far: {:?}", self.seen()),
        }
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Everything a server has seen.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Seen {
    /// The number of connections opened.
    pub connections: usize,
    /// The number of connections that have ended.
    pub closed: usize,
    /// Every command line, without the lines of letters and of an answer to AUTH.
    pub commands: Vec<String>,
    /// Every letter that came with its final dot, refused or not.
    pub letters: Vec<ReceivedLetter>,
}

impl Seen {
    /// The number of commands that start with these characters, such as `RCPT`.
    pub fn heard(&self, start: &str) -> usize {
        let commands = self.commands.iter();
        commands
            .filter(|command| command.starts_with(start))
            .count()
    }

    /// Headers and body of every letter.
    pub fn texts(&self) -> Vec<String> {
        let letters = self.letters.iter();
        letters.map(|letter| letter.text.clone()).collect()
    }
}

/// A letter as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedLetter {
    /// The address in `RCPT`.
    pub to: String,
    /// Headers and body, with the dots as they were before dot-stuffing.
    pub text: String,
    /// True if the script refused it after its final dot.
    pub is_refused: bool,
}

/// Listens on a port, or on a free one if it is 0, even if connections of an earlier listener linger.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(1024)
}
