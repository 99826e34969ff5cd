//! The SMTP session of one client.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::log::{Accepted, Entry, Fate};
use super::script::{Action, Verb};
use super::{PASSWORD, Shared};

/// Longest line that a client may send, with a margin over the 1000 bytes of RFC 5321 section 4.5.3.1.6.
const LONGEST_LINE: usize = 8192;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type ClientStream = BufReader<Box<dyn Stream>>;

/// The state of a session.
pub(super) struct Session {
    shared: Arc<Shared>,
    encrypted: bool,
    /// User name, after AUTH.
    client: Option<String>,
    /// Time of `MAIL`.
    began_at: Option<DateTime<Utc>>,
    /// Recipient of `RCPT`.
    to: Option<String>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            encrypted: false,
            client: None,
            began_at: None,
            to: None,
        }
    }

    pub(super) async fn run(self, stream: TcpStream) {
        // Errors are expected: the client disconnected, or a rule closed the connection.
        let _ = self.serve(stream).await;
    }

    async fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream: ClientStream = BufReader::new(Box::new(stream));
        self.respond(&mut stream, Verb::Connect, "220 localhost ESMTP")
            .await?;
        loop {
            let line = read_text_line(&mut stream).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    let capabilities = self.capabilities();
                    self.respond(&mut stream, Verb::Ehlo, &capabilities).await?;
                }
                "STARTTLS" if !self.encrypted => {
                    if self
                        .respond(&mut stream, Verb::StartTls, "220 2.0.0 go ahead")
                        .await?
                    {
                        let accepted = self.shared.tls.accept(stream.into_inner()).await?;
                        stream = BufReader::new(Box::new(accepted));
                        self.encrypted = true;
                    }
                }
                "AUTH" => self.authenticate(&mut stream, &line).await?,
                "MAIL" => self.start_letter(&mut stream).await?,
                "RCPT" => self.set_recipient(&mut stream, &line).await?,
                "DATA" => self.receive_letter(&mut stream).await?,
                "RSET" => {
                    (self.began_at, self.to) = (None, None);
                    self.respond(&mut stream, Verb::Rset, "250 2.0.0 Ok")
                        .await?;
                }
                "NOOP" => send_reply(&mut stream, "250 2.0.0 Ok").await?,
                "QUIT" => return send_reply(&mut stream, "221 2.0.0 Bye").await,
                _ => send_reply(&mut stream, "500 5.5.2 not understood").await?,
            }
        }
    }

    fn capabilities(&self) -> String {
        let extension = if self.encrypted {
            "AUTH PLAIN LOGIN"
        } else {
            "STARTTLS"
        };
        format!(
            "250-localhost\r\n250-{extension}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10000000"
        )
    }

    async fn authenticate(&mut self, stream: &mut ClientStream, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let (user, password) = match (words.next(), words.next()) {
            (Some("PLAIN"), Some(initial)) => {
                let decoded = decode(initial);
                let mut parts = decoded.split('\0').skip(1).map(str::to_owned);
                (parts.next(), parts.next())
            }
            (Some("LOGIN"), None) => {
                send_reply(stream, "334 VXNlcm5hbWU6").await?;
                let user = decode(&read_text_line(stream).await?);
                send_reply(stream, "334 UGFzc3dvcmQ6").await?;
                (Some(user), Some(decode(&read_text_line(stream).await?)))
            }
            _ => return send_reply(stream, "504 5.5.4 PLAIN or LOGIN").await,
        };
        if !self.encrypted || password.as_deref() != Some(PASSWORD) {
            return send_reply(stream, "535 5.7.8 not known here").await;
        }
        if self
            .respond(stream, Verb::Auth, "235 2.7.0 welcome")
            .await?
        {
            self.client = user;
        }
        Ok(())
    }

    async fn start_letter(&mut self, stream: &mut ClientStream) -> io::Result<()> {
        if self.client.is_none() {
            return send_reply(stream, "530 5.7.0 sign in first").await;
        }
        let began_at = Utc::now();
        if self.respond(stream, Verb::Mail, "250 2.1.0 Ok").await? {
            self.began_at = Some(began_at);
        }
        Ok(())
    }

    async fn set_recipient(&mut self, stream: &mut ClientStream, line: &str) -> io::Result<()> {
        let address = line
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let Some((address, _)) = address.filter(|_| self.began_at.is_some()) else {
            return send_reply(stream, "503 5.5.1 MAIL first").await;
        };
        self.to = Some(address.to_owned());
        if !self.respond(stream, Verb::Rcpt, "250 2.1.5 Ok").await? {
            self.to = None;
        }
        Ok(())
    }

    async fn receive_letter(&mut self, stream: &mut ClientStream) -> io::Result<()> {
        let (Some(to), Some(began_at)) = (self.to.clone(), self.began_at) else {
            return send_reply(stream, "503 5.5.1 RCPT first").await;
        };
        if !self.respond(stream, Verb::Data, "354 go on").await? {
            return Ok(());
        }
        let letter = self.read_letter(stream).await?;
        let action = self.shared.script.action_at(Verb::End, Some(&to));
        match &action {
            Some(Action::Reply(_) | Action::ReplyAndHangUp(_) | Action::Lose) => {}
            _ => {
                let accepted = self.accepted(&letter, to, began_at, fate(action.as_ref()));
                self.shared.log.append(Entry::Accepted(accepted)).await?;
            }
        }
        self.perform(stream, action, "250 2.0.0 Ok: it is on the disk")
            .await?;
        (self.began_at, self.to) = (None, None);
        Ok(())
    }

    async fn read_letter(&mut self, stream: &mut ClientStream) -> io::Result<Vec<u8>> {
        let mut letter = Vec::new();
        let mut middle = self.shared.script.action_at(Verb::Body, self.to.as_deref());
        loop {
            let line = read_line(stream).await?;
            if line == b".\r\n" {
                return Ok(letter);
            }
            if let Some(action) = middle.take() {
                self.perform(stream, Some(action), "").await?;
            }
            letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn accepted(&self, letter: &[u8], to: String, began_at: DateTime<Utc>, fate: Fate) -> Accepted {
        let digest = Sha256::digest(letter);
        Accepted {
            to,
            message_id: message_id(letter).unwrap_or_default(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: letter.len(),
            by: self.client.clone().unwrap_or_default(),
            began_at,
            at: Utc::now(),
            fate,
        }
    }

    /// Performs the scripted action for the verb, or sends `normal`. Returns true if the client got `normal`.
    async fn respond(
        &self,
        stream: &mut ClientStream,
        verb: Verb,
        normal: &str,
    ) -> io::Result<bool> {
        let action = self.shared.script.action_at(verb, self.to.as_deref());
        self.perform(stream, action, normal).await
    }

    async fn perform(
        &self,
        stream: &mut ClientStream,
        action: Option<Action>,
        normal: &str,
    ) -> io::Result<bool> {
        match action {
            None => send_reply(stream, normal).await.map(|()| true),
            Some(Action::Reply(reply)) => {
                self.log_refusal(&reply).await?;
                send_reply(stream, &reply).await.map(|()| false)
            }
            Some(Action::ReplyAndHangUp(reply)) => {
                self.log_refusal(&reply).await?;
                send_reply(stream, &reply).await?;
                stream.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Action::HangUp | Action::Lose) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Action::Stall(time)) => {
                sleep(time).await;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Action::Flood) => loop {
                send_reply(stream, "250-and one more line").await?;
            },
            Some(Action::ReplySlowly(pause)) => {
                for byte in format!("{normal}\r\n").into_bytes() {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    sleep(pause).await;
                }
                Ok(true)
            }
            Some(Action::ReplyLate(time)) => {
                sleep(time).await;
                send_reply(stream, normal).await.map(|()| true)
            }
        }
    }

    /// Logs that a reply refused the current recipient, if there is one.
    async fn log_refusal(&self, reply: &str) -> io::Result<()> {
        let Some(to) = self.to.clone() else {
            return Ok(());
        };
        let refused = Entry::Refused {
            to,
            by: self.client.clone().unwrap_or_default(),
            reply: reply.to_owned(),
            at: Utc::now(),
        };
        self.shared.log.append(refused).await
    }
}

fn fate(action: Option<&Action>) -> Fate {
    match action {
        None => Fate::Answered,
        Some(Action::ReplySlowly(_) | Action::ReplyLate(_)) => Fate::AnsweredLate,
        Some(_) => Fate::Withheld,
    }
}

/// Returns the value of the Message-ID header, which must be on one line.
fn message_id(letter: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(letter);
    let head = text.split("\r\n\r\n").next()?;
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id")
            .then(|| value.trim())
    })?;
    Some(
        value
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_owned(),
    )
}

fn decode(text: &str) -> String {
    let bytes = BASE64.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_text_line(stream: &mut ClientStream) -> io::Result<String> {
    let line = read_line(stream).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Reads a line with its CRLF. The end of the connection or a longer line is an error.
async fn read_line(stream: &mut ClientStream) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut line = Vec::new();
    (&mut *stream)
        .take(LONGEST_LINE as u64)
        .read_until(b'\n', &mut line)
        .await?;
    if line.ends_with(b"\r\n") {
        Ok(line)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn send_reply(stream: &mut ClientStream, lines: &str) -> io::Result<()> {
    stream.write_all(format!("{lines}\r\n").as_bytes()).await?;
    stream.flush().await
}
