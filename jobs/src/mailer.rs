//! Delivers finished [`Mail`]s and reports a verdict for each attempt.
//!
//! A few senders own one SMTP connection each and reuse it while its replies match its commands. A
//! timeout, an unknown error or a cancelled caller drops the connection, so that a late reply is
//! never taken for the answer to the next letter. A circuit breaker (the gate) stops all attempts
//! while the server fails. With `file:` letters are written as files instead.

mod blame;
mod config;
mod connection;
mod deadlines;
mod dialogue;
mod failure;
mod fence;
mod folder;
mod gate;
mod manuscript;
mod offer;
mod rate;
mod reply;
#[cfg(test)]
mod reply_class;
mod report;
mod sender;
mod tally;
mod tls;
mod verdict;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{MailerConfig, MailerConfigError};
pub use self::deadlines::Deadlines;
pub use self::gate::Gate;
pub use self::rate::{InvalidRate, Rate};

pub use self::report::{CheckError, Report};
pub use self::verdict::Verdict;
pub use crate::back_off::BackOff;

use self::config::{Server, Transport};
use self::fence::Fence;
use self::folder::Folder;
use self::gate::{Gatekeeper, Pass};
use self::manuscript::Manuscript;
use self::sender::{Errand, Sender};
use self::tally::Tally;
use crate::mail::Mail;
use crate::timestamped::Timestamped;

/// Delivers letters. Clones share the senders and the circuit breaker.
#[derive(Clone)]
pub struct Mailer {
    gate: Arc<Gatekeeper>,
    post: Post,
    deadlines: Deadlines,
    tally: Tally,
}

/// The destination of letters.
#[derive(Clone)]
enum Post {
    Smtp(Office),
    Folder(Folder),
}

/// The sender tasks of one mail server and the queue they read.
#[derive(Clone)]
struct Office {
    server: Arc<Server>,
    queue: mpsc::Sender<Errand>,
    closing: CancellationToken,
    senders: TaskTracker,
}

impl Mailer {
    /// Starts `connections` senders (at least one). Each connects when it has its first letter.
    ///
    /// # Panics
    /// Outside of a tokio runtime, because the senders are tokio tasks.
    pub fn new(config: MailerConfig, connections: usize, deadlines: Deadlines) -> Self {
        let tally = Tally::new();
        let post = match config.transport {
            Transport::File(folder) => Post::Folder(Folder(folder)),
            Transport::Smtp(server) => {
                Post::Smtp(Office::open(*server, connections.max(1), deadlines, &tally))
            }
        };
        Self {
            gate: Gatekeeper::new(&deadlines),
            post,
            deadlines,
            tally,
        }
    }

    /// Attempts to deliver one letter.
    ///
    /// Returns [`Verdict::Unavailable`] at once while the circuit breaker is open. Dropping the
    /// future cancels the letter: it is not sent, or its connection is dropped.
    pub async fn send(&self, mail: Mail) -> Verdict {
        self.send_while(|| true, mail).await
    }

    /// Like [`send`](Self::send), but only as long as `stands` returns true. `stands` is called
    /// right before the final dot, the last moment at which the letter can be held back. Once it
    /// returns false, nothing is sent, the connection is dropped and the result is
    /// [`Verdict::Unavailable`]. This stops a process that was paused past the end of its lease.
    pub async fn send_while(
        &self,
        stands: impl Fn() -> bool + Send + Sync + 'static,
        mail: Mail,
    ) -> Verdict {
        self.dispatch(Manuscript::of(mail), Fence::new(stands))
            .await
    }

    /// Like [`send_while`](Self::send_while), for a letter that may be stale by the time a
    /// connection is ready. A stale letter is rendered again with `again` before anything of it is
    /// sent.
    ///
    /// # Errors
    /// The error of `again`; nothing was sent.
    pub(crate) async fn send_current<F, E>(
        &self,
        stands: impl Fn() -> bool + Send + Sync + 'static,
        mail: Timestamped<Mail>,
        again: impl Fn() -> F,
    ) -> Result<Verdict, E>
    where
        F: Future<Output = Result<Timestamped<Mail>, E>>,
    {
        let (manuscript, mut asked) = Manuscript::timestamped(mail);
        let mut verdict = pin!(self.dispatch(manuscript, Fence::new(stands)));
        loop {
            let request = tokio::select! {
                biased;
                verdict = &mut verdict => return Ok(verdict),
                Ok(request) = &mut asked => request,
            };
            let manuscript;
            (manuscript, asked) = Manuscript::timestamped(again().await?);
            // Fails only if the sender stopped waiting; `dispatch` has a verdict then.
            let _ = request.send(manuscript);
        }
    }

    async fn dispatch(&self, mut manuscript: Manuscript, fence: Fence) -> Verdict {
        let pass = match self.gate.admit(Instant::now()) {
            Ok(pass) => pass,
            Err(retry_after) => return Verdict::Unavailable { retry_after },
        };
        match &self.post {
            Post::Folder(folder) => {
                let current = manuscript.current().await.cloned();
                let Ok(mail) = current.and_then(|mail| fence.check().map(|()| mail)) else {
                    let retry_after = self.deadlines.back_off.first;
                    return Verdict::Unavailable { retry_after };
                };
                let outcome = folder.send(mail).await;
                self.tally.attempt(&outcome);
                pass.report(Instant::now(), outcome)
            }
            Post::Smtp(office) => {
                let retry_after = self.deadlines.back_off.first;
                match office.hand_in(manuscript, pass, fence).await {
                    Ok(verdict) => verdict,
                    Err(NoVerdict::Closed) => Verdict::Unavailable { retry_after },
                    Err(NoVerdict::Panicked) => Verdict::Unknown {
                        why: "the worker panicked while sending (see the log); the letter may have been sent"
                            .to_owned(),
                        retry_after,
                    },
                }
            }
        }
    }

    /// Returns the state of the circuit breaker; to be checked before leasing messages.
    pub fn gate(&self) -> Gate {
        self.gate.state(Instant::now())
    }

    /// Returns the problem that a person has to fix before letters leave again: the server refuses
    /// our credentials, our sender address or our reputation. `None` while letters leave, and while
    /// the circuit breaker is open because of a failure of the server itself. Reflects the last
    /// attempt.
    pub fn paused(&self) -> Option<String> {
        self.gate.paused()
    }

    /// Returns the counters since the mailer was created.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Checks that letters could be delivered, without sending one: connects, greets, encrypts,
    /// signs in and quits, or tries to write to the folder. The circuit breaker does not change.
    ///
    /// # Errors
    /// The problem to fix, without the password.
    pub async fn check(&self) -> Result<Report, CheckError> {
        match &self.post {
            Post::Smtp(office) => Report::on(&office.server, &self.deadlines, &self.tally)
                .await
                .map_err(|failure| CheckError(failure.to_string())),
            Post::Folder(folder) => match folder.check().await {
                Ok(()) => Ok(Report::Folder(folder.0.clone())),
                Err(error) => Err(CheckError(format!(
                    "cannot write to {}: {error}",
                    folder.0.display()
                ))),
            },
        }
    }

    /// Finishes the letters that were handed in and closes the connections with `QUIT`. Letters
    /// handed in later get [`Verdict::Unavailable`]. Takes as long as the slowest letter, so the
    /// caller bounds it by the drain time; a letter cut off by that is sent again.
    pub async fn close(&self) {
        if let Post::Smtp(office) = &self.post {
            office.closing.cancel();
            office.senders.wait().await;
        }
    }
}

/// The reason why a letter has no verdict.
enum NoVerdict {
    /// The mailer is closed and takes no more letters.
    Closed,
    /// The sender of the letter panicked.
    Panicked,
}

impl Office {
    fn open(server: Server, connections: usize, deadlines: Deadlines, tally: &Tally) -> Self {
        let (queue, receiver) = mpsc::channel(connections);
        let receiver = Arc::new(Mutex::new(receiver));
        let (server, closing) = (Arc::new(server), CancellationToken::new());
        let senders = TaskTracker::new();
        for _ in 0..connections {
            let sender = Sender {
                server: Arc::clone(&server),
                deadlines,
                tally: tally.clone(),
                queue: Arc::clone(&receiver),
                closing: closing.clone(),
                kept: None,
            };
            senders.spawn(sender.run());
        }
        senders.close();
        Self {
            server,
            queue,
            closing,
            senders,
        }
    }

    /// Waits for a free sender and returns its verdict.
    async fn hand_in(
        &self,
        manuscript: Manuscript,
        pass: Pass,
        fence: Fence,
    ) -> Result<Verdict, NoVerdict> {
        let (answer, verdict) = oneshot::channel();
        self.queue
            .send(Errand {
                manuscript,
                pass,
                fence,
                answer,
            })
            .await
            .map_err(|_| NoVerdict::Closed)?;
        verdict.await.map_err(|_| NoVerdict::Panicked)
    }
}
