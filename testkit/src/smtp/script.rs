//! The script of a mail server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::action::Action;
use super::capabilities::Capabilities;
use super::certificate::Certificate;
use super::rule::Rule;
use super::seen::ReceivedLetter;
use super::stage::Stage;

/// The behaviour of an [`SmtpServer`](super::SmtpServer); it acts correctly where nothing is scripted.
#[derive(Clone, Default)]
pub struct Script {
    pub(super) rules: Vec<Rule>,
    pub(super) capabilities: Capabilities,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) is_tls_implicit: bool,
    pub(super) requires_auth: bool,
    pub(super) forgets: bool,
    pub(super) before_reply: Option<BeforeReply>,
}

pub(super) type BeforeReply = Arc<dyn Fn(Decision<'_>) -> Recorded + Send + Sync>;
type Recorded = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

impl Script {
    /// Performs the action at the next use of the stage; each further call scripts the use after that.
    pub fn on(self, stage: Stage, action: impl Into<Action>) -> Self {
        self.rule(Rule::new(stage, action).times(1))
    }

    /// Performs the action at every use of the stage.
    pub fn always(self, stage: Stage, action: impl Into<Action>) -> Self {
        self.rule(Rule::new(stage, action))
    }

    /// Adds a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Lists an extension in the reply to EHLO, such as `PIPELINING`, `SMTPUTF8`, `AUTH PLAIN LOGIN`,
    /// `AUTH=LOGIN` or `AUTH XOAUTH2`. Every user name is accepted with [`PASSWORD`](super::PASSWORD), by
    /// the mechanisms that are listed.
    pub fn offers(mut self, extension: impl Into<String>) -> Self {
        self.capabilities.add(extension.into());
        self
    }

    /// Limits the size of a letter in bytes (RFC 1870): a larger one is refused with 552, at MAIL if the
    /// client says its size there, else at the final dot.
    pub fn size_limit(mut self, bytes: usize) -> Self {
        self.capabilities.size_limit = Some(bytes);
        self
    }

    /// Offers STARTTLS with this certificate.
    pub fn start_tls(mut self, certificate: &Certificate) -> Self {
        self.tls = Some(certificate.acceptor());
        self.offers("STARTTLS")
    }

    /// Speaks TLS from the first byte.
    pub fn implicit_tls(mut self, certificate: &Certificate) -> Self {
        self.is_tls_implicit = true;
        self.tls = Some(certificate.acceptor());
        self
    }

    /// Offers AUTH only over TLS, and refuses commands with 530 before it (RFC 3207 section 4).
    pub fn requires_tls(mut self) -> Self {
        self.capabilities.requires_tls = true;
        self
    }

    /// Refuses MAIL with 530 from a client that is not signed in.
    pub fn requires_auth(mut self) -> Self {
        self.requires_auth = true;
        self
    }

    /// Calls `callback` before an accepting reply to a final dot, and before a scripted reply that refuses
    /// a recipient or a letter. The reply is sent when the returned future has completed. After an error the
    /// connection is closed without a reply.
    ///
    /// ```
    /// # use guestlist_testkit::smtp::{Decision, Script};
    /// let script = Script::default().before_reply(|decision| {
    ///     let line = match decision {
    ///         Decision::Accepted(letter) => format!("accepted for {}", letter.to),
    ///         Decision::Refused { to, reply, .. } => format!("refused for {to}: {reply}"),
    ///         _ => String::new(),
    ///     };
    ///     async move { Ok(println!("{line}")) }
    /// });
    /// ```
    pub fn before_reply<R>(
        mut self,
        callback: impl Fn(Decision<'_>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.before_reply = Some(Arc::new(move |decision| Box::pin(callback(decision))));
        self
    }

    /// Keeps neither commands nor letters in [`Seen`](super::Seen), for runs with very many letters.
    pub fn forgets(mut self) -> Self {
        self.forgets = true;
        self
    }
}

/// A decision of the server, before the client learns of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Decision<'a> {
    /// A letter is accepted.
    Accepted(&'a ReceivedLetter),
    /// A recipient, or a letter to that recipient, is refused.
    Refused {
        /// The address in RCPT.
        to: &'a str,
        /// The user name with which the client signed in.
        user: Option<&'a str>,
        /// The reply.
        reply: &'a str,
    },
}
