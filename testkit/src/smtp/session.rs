//! The session of one client.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::script::{Action, Script};
use super::{ReceivedLetter, Seen};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Client = BufReader<Box<dyn Stream>>;

/// A session, with the script and the record that all sessions share.
#[derive(Clone)]
pub(super) struct Session {
    script: Arc<Mutex<Script>>,
    seen: Arc<watch::Sender<Seen>>,
    is_encrypted: bool,
    /// True if MAIL or RCPT was refused: like Postfix, the server then does not ask for the letter.
    is_refused: bool,
    to: String,
}

impl Session {
    pub(super) fn new(script: Script, seen: watch::Sender<Seen>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script)),
            seen: Arc::new(seen),
            is_encrypted: false,
            is_refused: false,
            to: String::new(),
        }
    }

    pub(super) async fn run(mut self, stream: TcpStream) {
        self.seen.send_modify(|seen| seen.connections += 1);
        // An error means that the client is gone, or that the script hung up.
        let _ = self.serve(stream).await;
        self.seen.send_modify(|seen| seen.closed += 1);
    }

    async fn serve(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (tls, is_implicit) = {
            let script = self.script();
            (script.tls.clone(), script.is_tls_implicit)
        };
        let mut client: Client = match &tls {
            Some(tls) if is_implicit => BufReader::new(Box::new(tls.accept(stream).await?)),
            _ => BufReader::new(Box::new(stream)),
        };
        self.is_encrypted = is_implicit;
        self.respond(&mut client, "CONNECT", "220 test ESMTP")
            .await?;
        loop {
            let line = read_line(&mut client).await?;
            self.seen
                .send_modify(|seen| seen.commands.push(line.clone()));
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            match verb {
                "STARTTLS" => {
                    if self
                        .respond(&mut client, "STARTTLS", "220 go ahead")
                        .await?
                    {
                        let tls = tls.clone().ok_or(io::ErrorKind::Unsupported)?;
                        client = BufReader::new(Box::new(tls.accept(client.into_inner()).await?));
                        self.is_encrypted = true;
                    }
                }
                "QUIT" => {
                    self.respond(&mut client, "QUIT", "221 2.0.0 Bye").await?;
                    return Ok(());
                }
                verb => self.command(&mut client, verb, &line).await?,
            }
        }
    }

    async fn command(&mut self, client: &mut Client, verb: &str, line: &str) -> io::Result<()> {
        match verb {
            "EHLO" => {
                let capabilities = self.script().capabilities(self.is_encrypted);
                self.respond(client, "EHLO", &capabilities).await?;
            }
            "AUTH" => self.authenticate(client, line).await?,
            "MAIL" => {
                self.is_refused = self.refuses("MAIL");
                self.respond(client, "MAIL", "250 2.1.0 Ok").await?;
            }
            "RCPT" if self.is_refused => send(client, "503 5.5.1 need MAIL first").await?,
            "RCPT" => {
                self.to = path(line).to_owned();
                self.is_refused = self.refuses("RCPT");
                self.respond(client, "RCPT", "250 2.1.5 Ok").await?;
            }
            "RSET" => {
                self.is_refused = false;
                self.respond(client, "RSET", "250 2.0.0 Ok").await?;
            }
            "DATA" if self.is_refused && self.script().next("DATA").is_none() => {
                send(client, "554 5.5.1 no valid recipients").await?;
            }
            "DATA" => self.receive(client).await?,
            _ => send(client, "500 5.5.2 what?").await?,
        }
        Ok(())
    }

    async fn receive(&self, client: &mut Client) -> io::Result<()> {
        if !self.respond(client, "DATA", "354 go on").await? {
            return Ok(());
        }
        let mut text = String::new();
        let is_interrupted = self.script().next("BODY").is_some();
        loop {
            let line = read_line(client).await?;
            if line == "." {
                break;
            }
            if is_interrupted && text.is_empty() {
                self.respond(client, "BODY", "").await?;
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
        }
        let letter = ReceivedLetter {
            to: self.to.clone(),
            text,
            is_refused: self.refuses("END"),
        };
        self.seen.send_modify(|seen| seen.letters.push(letter));
        self.respond(client, "END", "250 2.0.0 Ok: queued as 1")
            .await?;
        Ok(())
    }

    /// Accepts one account: `me` with the password `secret`.
    async fn authenticate(&self, client: &mut Client, line: &str) -> io::Result<()> {
        let is_right = match line {
            "AUTH LOGIN" => {
                send(client, "334 VXNlcm5hbWU6").await?;
                let user = read_line(client).await?;
                send(client, "334 UGFzc3dvcmQ6").await?;
                let password = read_line(client).await?;
                user == "bWU=" && password == "c2VjcmV0"
            }
            _ => line == "AUTH PLAIN AG1lAHNlY3JldA==",
        };
        let reply = if is_right {
            "235 2.7.0 welcome"
        } else {
            "535 5.7.8 bad credentials"
        };
        self.respond(client, "AUTH", reply).await?;
        Ok(())
    }

    /// Takes the scripted action for the command, or sends the correct reply; returns true for the
    /// latter.
    async fn respond(&self, client: &mut Client, command: &str, correct: &str) -> io::Result<bool> {
        let action = self.script().take(command);
        match action {
            None => send(client, correct).await.map(|()| true),
            Some(Action::Reply(reply)) => send(client, reply).await.map(|()| false),
            Some(Action::HangUp) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Action::ReplyAndHangUp(reply)) => {
                send(client, reply).await?;
                client.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Action::Stall) => loop {
                read_line(client).await?;
            },
            Some(Action::Hold) => {
                let released = self.script().released();
                let permit = released.acquire().await.map_err(io::Error::other)?;
                permit.forget();
                send(client, correct).await.map(|()| true)
            }
            Some(Action::Flood) => loop {
                send(client, "250-and one more line").await?;
            },
        }
    }

    /// True if the script refuses the next use of this command.
    fn refuses(&self, command: &str) -> bool {
        self.script().next(command).is_some_and(Action::is_refusal)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address between the angle brackets of a command.
fn path(line: &str) -> &str {
    let path = line
        .split_once('<')
        .and_then(|(_, rest)| rest.rsplit_once('>'));
    path.map_or("", |(path, _)| path)
}

async fn read_line(client: &mut Client) -> io::Result<String> {
    let mut line = Vec::new();
    client.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn send(client: &mut Client, lines: &str) -> io::Result<()> {
    client.write_all(format!("{lines}\r\n").as_bytes()).await?;
    client.flush().await
}
