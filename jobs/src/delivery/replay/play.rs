//! One mail server, one mailer and the letters that wait.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use guestlist::outbox::{Cost, Message};
use guestlist_testkit::smtp::{Action, Certificate, Rule, Script, SmtpServer, Stage};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::outbox::{Letter, State};
use crate::delivery::Conclusion;
use crate::mailer::documented::Row;
use crate::mailer::{ClosedWhileIdle, Mailer, MailerSettings, Unavailable};
use crate::next::Next;
use crate::smtp::SendGuard;

const CONNECTIONS: usize = 4;

/// A play of one reply.
pub(super) struct Play {
    pub(super) server: Arc<SmtpServer>,
    pub(super) mailer: Mailer,
    pub(super) letters: Vec<Letter>,
    permits: Semaphore,
    start: Instant,
    accepted: Vec<DateTime<Utc>>,
    reply: Action,
    stage: Stage,
    /// The file of the authority that signed the server's certificate.
    _authority: Option<tempfile::NamedTempFile>,
}

/// Runs a play on a paused clock.
pub(super) fn on_paused_clock<T>(play: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(play)
}

impl Play {
    pub(super) async fn new(row: &Row) -> Self {
        let (mut script, mut prefix, mut authority) = (Script::default(), "smtp://127.0.0.1", None);
        let mut more = "?tls=none".to_owned();
        match row.stage_name {
            "auth" => {
                script = script.offers("AUTH PLAIN LOGIN");
                prefix = "smtp://me:secret@127.0.0.1";
            }
            "starttls" => {
                let certificate = Certificate::generate().expect("a certificate");
                let file = tempfile::NamedTempFile::new().expect("a file");
                std::fs::write(&file, certificate.pem()).expect("written");
                script = script.start_tls(&certificate);
                more = format!("?tls=required&tls_ca={}", file.path().display());
                prefix = "smtp://localhost";
                authority = Some(file);
            }
            _ => {}
        }
        let server = Arc::new(script.start().await.expect("a mail server"));
        let url = format!("{prefix}:{}{more}", server.port());
        let mut settings = MailerSettings {
            connections: CONNECTIONS,
            ..MailerSettings::default()
        };
        if row.stage.precedes_recipient() {
            // New connections are needed, so that the reply is met.
            settings.letters_per_connection = 2;
        }
        Self {
            server,
            mailer: Mailer::new(url.parse().expect("an SMTP URL"), settings),
            letters: Vec::new(),
            permits: Semaphore::new(CONNECTIONS),
            start: Instant::now(),
            accepted: Vec::new(),
            reply: reply(row.text),
            stage: stage(row.stage_name),
            _authority: authority,
        }
    }

    /// Promises letters, which are due at once.
    pub(super) fn promise(&mut self, name: &str, count: usize, message: &Message) {
        let first = self.letters.len();
        let letters = (first..first + count).map(|number| Letter::new(number, name, message));
        self.letters.extend(letters);
    }

    /// Makes the rule by which the server sends the reply.
    pub(super) fn rule(&self) -> Rule {
        Rule::new(self.stage, self.reply.clone())
    }

    /// Delivers what becomes due in this time.
    pub(super) async fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let waiting = self.letters.iter().filter(|letter| letter.is_waiting());
            let next = waiting.map(|letter| letter.due).min();
            let now = Instant::now();
            match next {
                _ if now >= end => return,
                Some(next) if next <= now => self.deliver_due(now).await,
                next => tokio::time::advance(next.unwrap_or(end).min(end) - now).await,
            }
        }
    }

    async fn deliver_due(&mut self, now: Instant) {
        let Self {
            mailer,
            permits,
            letters,
            accepted,
            start,
            ..
        } = self;
        let accepted_before = &*accepted;
        let due = letters
            .iter_mut()
            .filter(|letter| letter.is_waiting() && letter.due <= now);
        let attempts = due.map(|letter| attempt(mailer, permits, letter, *start, accepted_before));
        let times = join_all(attempts).await;
        accepted.extend(times.into_iter().flatten());
    }
}

/// Attempts a letter once, and returns the time if it was accepted.
async fn attempt(
    mailer: &Mailer,
    permits: &Semaphore,
    letter: &mut Letter,
    start: Instant,
    accepted: &[DateTime<Utc>],
) -> Option<DateTime<Utc>> {
    let _permit = permits.acquire().await.expect("open");
    let mut replaced = 0;
    let verdict = loop {
        match mailer.ready(letter.key, replaced).await {
            Err(Unavailable { retry_after, .. }) => {
                letter.postpone(
                    wall(start),
                    retry_after.max(Duration::from_millis(100)),
                    Cost::Nothing,
                );
                return None;
            }
            Ok(ready) => match ready.send(&letter.mail, &SendGuard::new(|| true)).await {
                Ok(verdict) => break verdict,
                Err(ClosedWhileIdle) => replaced += 1,
            },
        }
    };
    let now = wall(start);
    let others_were_accepted = async |since| Ok::<_, ()>(accepted.iter().any(|at| *at >= since));
    let conclusion = Conclusion::of(&letter.message, now, verdict, others_were_accepted).await;
    match conclusion.expect("no database fails") {
        Conclusion::Accepted => {
            letter.state = State::Sent(Instant::now());
            return Some(now);
        }
        Conclusion::Failed { suppresses, .. } => {
            letter.state = State::Failed {
                suppresses,
                at: Instant::now(),
            }
        }
        Conclusion::Dead { .. } => letter.state = State::Dead,
        Conclusion::Deferred { next, .. } => {
            letter.state = State::Deferred;
            letter.shown.push(Instant::now());
            postpone(letter, now, next);
        }
        Conclusion::Waiting(next) => postpone(letter, now, next),
    }
    None
}

fn postpone(letter: &mut Letter, now: DateTime<Utc>, next: Next) {
    match next {
        Next::Retry { after, cost, .. } => letter.postpone(now, after, cost),
        _ => letter.state = State::Dead,
    }
}

/// Returns the time by the clock of the library.
fn wall(start: Instant) -> DateTime<Utc> {
    let since = TimeDelta::from_std(start.elapsed()).expect("not long");
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + since
}

fn stage(name: &str) -> Stage {
    match name {
        "connect" => Stage::Connect,
        "ehlo" => Stage::Ehlo,
        "starttls" => Stage::StartTls,
        "auth" => Stage::Auth,
        "mail" => Stage::Mail,
        "rcpt" => Stage::Rcpt,
        "data" => Stage::Data,
        "end" => Stage::End,
        _ => panic!("no stage: {name}"),
    }
}

/// Makes the reply of a text whose lines are joined by `\n`. After 421, and in the place of a greeting, the
/// server closes the connection (RFC 5321 sections 3.1 and 3.8).
fn reply(text: &str) -> Action {
    let code = &text[..3];
    let lines: Vec<&str> = text.split("\\n").collect();
    let lines: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            let separator = if place + 1 < lines.len() { '-' } else { ' ' };
            format!("{code}{separator}{}", line.get(4..).unwrap_or(""))
        })
        .collect();
    let reply = lines.join("\r\n");
    match code {
        "421" => Action::reply_and_hang_up(reply),
        _ => Action::Reply(reply),
    }
}
