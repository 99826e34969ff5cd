//! The mailer takes a finished [`Mail`] and says what became of it.
//!
//! A few senders own an SMTP connection each and keep it while it is in step with the server.
//! A deadline, an unknown error or a caller that went away drops the connection: a late reply
//! can never be taken for the answer to the next letter. A gate in front keeps everybody off
//! a server that is at fault. With `file:` letters become files instead.

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
pub use self::deadlines::{BackOff, Deadlines};
pub use self::gate::Gate;
pub use self::rate::{InvalidRate, Rate};

pub use self::report::{CheckError, Report};
pub use self::verdict::Verdict;

use self::config::{Server, Transport};
use self::fence::Fence;
use self::folder::Folder;
use self::gate::{Gatekeeper, Pass};
use self::manuscript::Manuscript;
use self::sender::{Errand, Sender};
use self::tally::Tally;
use crate::dated::Dated;
use crate::mail::Mail;

/// Delivers letters. Clones share the senders and the gate.
#[derive(Clone)]
pub struct Mailer {
    gate: Arc<Gatekeeper>,
    post: Post,
    deadlines: Deadlines,
    tally: Tally,
}

/// Where letters are handed in.
#[derive(Clone)]
enum Post {
    Smtp(Office),
    Folder(Folder),
}

/// The senders of one mail server.
#[derive(Clone)]
struct Office {
    server: Arc<Server>,
    queue: mpsc::Sender<Errand>,
    closing: CancellationToken,
    senders: TaskTracker,
}

impl Mailer {
    /// Starts `connections` senders (at least one), each of which connects when it has a letter.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where no sender can run.
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
    /// While the gate is closed it answers [`Verdict::Unavailable`] at once. Dropping the
    /// future gives the letter up: it is not sent, or its connection is dropped.
    pub async fn send(&self, mail: Mail) -> Verdict {
        self.send_while(|| true, mail).await
    }

    /// The same as long as `stands` holds, which is asked right before the letter's final dot: once
    /// it is false nothing leaves, the connection is dropped, and the answer is
    /// [`Verdict::Unavailable`]. A process that was paused wakes up there.
    pub async fn send_while(
        &self,
        stands: impl Fn() -> bool + Send + Sync + 'static,
        mail: Mail,
    ) -> Verdict {
        if let Err(failure) = connection::check_envelope(&mail) {
            return Verdict::LetterFault {
                why: failure.to_string(),
            };
        }
        self.dispatch(Manuscript::of(mail), Fence::new(stands))
            .await
    }

    /// The same for a letter that may be pointless by the time a connection is ready for it. If it is
    /// old then, it is written `again` before the mail server hears of it.
    ///
    /// # Errors
    /// What `again` says instead of a letter; nothing was sent.
    pub(crate) async fn send_current<F, E>(
        &self,
        stands: impl Fn() -> bool + Send + Sync + 'static,
        mail: Dated<Mail>,
        again: impl Fn() -> F,
    ) -> Result<Verdict, E>
    where
        F: Future<Output = Result<Dated<Mail>, E>>,
    {
        let (manuscript, mut asked) = Manuscript::dated(mail);
        let mut verdict = pin!(self.dispatch(manuscript, Fence::new(stands)));
        loop {
            let request = tokio::select! {
                biased;
                verdict = &mut verdict => return Ok(verdict),
                Ok(request) = &mut asked => request,
            };
            let manuscript;
            (manuscript, asked) = Manuscript::dated(again().await?);
            // Who asked and left has a verdict.
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
                        why: "sending it panicked, as the log says; it may have been sent"
                            .to_owned(),
                        retry_after,
                    },
                }
            }
        }
    }

    /// Whether letters may be attempted now; ask before leasing any.
    pub fn gate(&self) -> Gate {
        self.gate.state(Instant::now())
    }

    /// Why no letter is attempted until a person mends it: the server refuses our credentials, our
    /// sender address or our reputation. `None` while letters leave, and while they rest because
    /// of a fault of the server's own. Known from the last letter that tried.
    pub fn paused(&self) -> Option<String> {
        self.gate.paused()
    }

    /// What was counted since the mailer was made.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Checks that letters could be delivered, without sending one: connects, greets,
    /// encrypts, signs in and quits, or tries to write to the folder. The gate stays as it is.
    ///
    /// # Errors
    /// What to mend, without the password.
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

    /// Finishes the letters that were handed in and takes leave of the server. Later letters
    /// are [`Verdict::Unavailable`]. Takes as long as the slowest letter, so bound it by the
    /// drain time; a letter cut off then is sent again.
    pub async fn close(&self) {
        if let Post::Smtp(office) = &self.post {
            office.closing.cancel();
            office.senders.wait().await;
        }
    }
}

/// Why nobody says what became of a letter.
enum NoVerdict {
    /// The office took no more letters.
    Closed,
    /// Its sender panicked.
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

    /// Waits for a free sender and its verdict.
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
