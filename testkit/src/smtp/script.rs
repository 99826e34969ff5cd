//! The script of a mail server.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::SmtpServer;
use crate::Error;

/// An action in the place of the correct reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Sends this reply, which may have several lines.
    Reply(&'static str),
    /// Sends this reply, then closes the connection.
    ReplyAndHangUp(&'static str),
    /// Closes the connection. After the final dot, the letter is accepted all the same.
    HangUp,
    /// Sends nothing more until the client closes the connection.
    Stall,
    /// Sends the correct reply when [`SmtpServer::release`] is called.
    Hold,
    /// Sends reply lines without end.
    Flood,
}

impl Action {
    /// True if the reply refuses what was asked for (RFC 5321 section 4.2.1).
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::Reply(reply) | Self::ReplyAndHangUp(reply) if reply.starts_with(['4', '5']))
    }
}

/// Points of a session: the commands, and three points without a command.
const POINTS: [&str; 11] = [
    "CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "RSET", "DATA", "BODY", "END", "QUIT",
];

/// The behaviour of an [`SmtpServer`]; it acts correctly where nothing is scripted.
#[derive(Clone)]
pub struct Script {
    actions: HashMap<&'static str, VecDeque<Action>>,
    extensions: Vec<&'static str>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) is_tls_implicit: bool,
    released: Arc<Semaphore>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            actions: HashMap::new(),
            extensions: Vec::new(),
            tls: None,
            is_tls_implicit: false,
            released: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Script {
    /// Scripts the next use of a command; each further call scripts the use after that. `CONNECT` is the
    /// greeting, `BODY` the middle of a letter, and `END` the point after its final dot.
    ///
    /// # Panics
    /// If there is no such command.
    pub fn on(mut self, command: &'static str, action: Action) -> Self {
        assert!(POINTS.contains(&command), "{command} is none of {POINTS:?}");
        self.actions.entry(command).or_default().push_back(action);
        self
    }

    /// Lists an extension in the reply to EHLO, such as `SMTPUTF8` or `AUTH PLAIN LOGIN`. The one account
    /// is `me` with the password `secret`.
    pub fn offers(mut self, extension: &'static str) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Speaks TLS after STARTTLS, which must be offered as well.
    pub fn start_tls(mut self, tls: TlsAcceptor) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Speaks TLS from the first byte.
    pub fn implicit_tls(mut self, tls: TlsAcceptor) -> Self {
        self.is_tls_implicit = true;
        self.start_tls(tls)
    }

    /// Starts a server on a free port.
    ///
    /// # Errors
    /// If the system gives no port.
    pub async fn start(self) -> Result<SmtpServer, Error> {
        SmtpServer::follow(self, 0)
    }

    /// Starts a server on a given port.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_on(self, port: u16) -> Result<SmtpServer, Error> {
        SmtpServer::follow(self, port)
    }

    pub(super) fn released(&self) -> Arc<Semaphore> {
        Arc::clone(&self.released)
    }

    /// Takes the action for this use of the command.
    pub(super) fn take(&mut self, command: &str) -> Option<Action> {
        self.actions.get_mut(command)?.pop_front()
    }

    /// The action for the next use of the command.
    pub(super) fn next(&self, command: &str) -> Option<Action> {
        self.actions.get(command)?.front().copied()
    }

    pub(super) fn capabilities(&self, is_encrypted: bool) -> String {
        let extensions = self.extensions.iter();
        let listed = extensions.filter(|word| !(is_encrypted && **word == "STARTTLS"));
        let lines: Vec<String> = listed.map(|word| format!("250-{word}\r\n")).collect();
        format!("250-test\r\n{}250 SIZE 1000000", lines.concat())
    }
}
