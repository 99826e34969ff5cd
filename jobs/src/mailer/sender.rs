//! A task that owns at most one SMTP connection and sends letters on it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::config::Server;
use super::connection::Connection;
use super::deadlines::Deadlines;
use super::failure::Failure;
use super::fence::Fence;
use super::gate::Pass;
use super::manuscript::Manuscript;
use super::reply::Reply;
use super::tally::Tally;
use super::verdict::{Outcome, Verdict};
use crate::panic_text::panic_text;

/// A letter on its way to a sender, with the channel for its verdict. No verdict comes if the
/// sender panics.
pub(super) struct Errand {
    pub(super) manuscript: Manuscript,
    pub(super) pass: Pass,
    pub(super) fence: Fence,
    pub(super) answer: oneshot::Sender<Verdict>,
}

/// The queue of letters that wait for a free sender.
pub(super) type Queue = Arc<Mutex<mpsc::Receiver<Errand>>>;

/// Sends letters one after the other until the mailer closes.
pub(super) struct Sender {
    pub(super) server: Arc<Server>,
    pub(super) deadlines: Deadlines,
    pub(super) tally: Tally,
    pub(super) queue: Queue,
    pub(super) closing: CancellationToken,
    /// The connection between two letters. It is taken out while a letter is sent, so that anything
    /// that ends the letter early drops the connection too.
    pub(super) kept: Option<Connection>,
}

/// The end of the wait between two letters.
enum Event {
    Errand(Option<Errand>),
    Broken,
    Idle,
}

impl Sender {
    /// Works until the mailer closes. A panic costs only its letter and its connection: a mailer
    /// without senders could never deliver again.
    pub(super) async fn run(mut self) {
        while let Err(panic) = AssertUnwindSafe(self.work()).catch_unwind().await {
            tracing::error!(
                "a mail sender panicked; its connection is dropped and its letter may have been sent: {}",
                panic_text(&*panic)
            );
            self.kept = None;
        }
    }

    async fn work(&mut self) {
        loop {
            match self.next().await {
                Event::Errand(Some(errand)) => self.perform(errand).await,
                Event::Errand(None) => break,
                Event::Broken => self.kept = None,
                Event::Idle => self.leave().await,
            }
        }
        self.leave().await;
    }

    /// Waits for a letter and watches the kept connection meanwhile.
    ///
    /// The connection is polled first: if it was closed, or a late reply arrived on it, it is
    /// dropped before the next letter is taken.
    async fn next(&mut self) -> Event {
        let Self {
            queue,
            closing,
            kept,
            deadlines,
            ..
        } = self;
        let (keeps, idle) = (kept.is_some(), deadlines.idle);
        let broken = async {
            if let Some(connection) = kept {
                connection.broken().await;
            }
        };
        tokio::select! {
            biased;
            () = broken, if keeps => Event::Broken,
            errand = take(queue, closing) => Event::Errand(errand),
            () = sleep(idle), if keeps => Event::Idle,
        }
    }

    /// Delivers one letter. If the caller stops waiting for the verdict, the letter is cancelled
    /// and the connection dropped.
    async fn perform(&mut self, errand: Errand) {
        let Errand {
            mut manuscript,
            pass,
            fence,
            mut answer,
        } = errand;
        let verdict = tokio::select! {
            biased;
            () = answer.closed() => return,
            verdict = self.deliver(&mut manuscript, pass, &fence) => verdict,
        };
        // Resets before answering: the answer lets the next letter in, which must not wait for the
        // reset.
        if let Some(connection) = &mut self.kept
            && let Err(failure) = connection.reset().await
        {
            tracing::debug!(%failure, "connection dropped");
            self.kept = None;
        }
        // Fails only if the caller has just gone; it has no use for the verdict.
        let _ = answer.send(verdict);
    }

    /// Delivers one letter, unless its fence forbids it.
    async fn deliver(&mut self, manuscript: &mut Manuscript, pass: Pass, fence: &Fence) -> Verdict {
        if let Some(retry_after) = pass.revoked(Instant::now()) {
            return Verdict::Unavailable { retry_after };
        }
        let reused = self.kept.is_some();
        let mut result = self.attempt(manuscript, fence).await;
        if reused && matches!(&result, Err(failure) if failure.is_stale_connection()) {
            result = self.attempt(manuscript, fence).await;
        }
        let outcome = match result {
            Ok(reply) => Outcome::Accepted(reply.to_string()),
            Err(Failure::Withdrawn) => {
                let retry_after = self.deadlines.back_off.first;
                return Verdict::Unavailable { retry_after };
            }
            Err(failure) => failure.outcome(),
        };
        self.tally.attempt(&outcome);
        pass.report(Instant::now(), outcome)
    }

    /// Sends on the kept connection or on a new one.
    async fn attempt(
        &mut self,
        manuscript: &mut Manuscript,
        fence: &Fence,
    ) -> Result<Reply, Failure> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => Connection::open(&self.server, &self.deadlines, &self.tally).await?,
        };
        let mail = manuscript.current().await?;
        let result = connection.send(mail, fence).await;
        let usable = result
            .as_ref()
            .err()
            .is_none_or(Failure::leaves_connection_usable);
        if usable && connection.is_in_step() {
            self.kept = Some(connection);
        }
        result
    }

    async fn leave(&mut self) {
        if let Some(connection) = self.kept.take() {
            connection.quit().await;
        }
    }
}

/// Returns the next letter, or `None` once the mailer closes and the queue is empty.
async fn take(queue: &Queue, closing: &CancellationToken) -> Option<Errand> {
    let mut queue = tokio::select! {
        biased;
        queue = queue.lock() => queue,
        () = closing.cancelled() => queue.lock().await,
    };
    tokio::select! {
        biased;
        () = closing.cancelled() => queue.close(),
        errand = queue.recv() => return errand,
    }
    queue.recv().await
}
