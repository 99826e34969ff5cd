//! One client's dialogue with the mail server.

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
use super::script::{Act, Verb};
use super::{House, PASSWORD};

/// The longest line a client may send, with a margin over RFC 5321 section 4.5.3.1.6.
const LONGEST_LINE: usize = 8192;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Wire = BufReader<Box<dyn Stream>>;

/// Who is on the line and what was said so far.
pub(super) struct Session {
    house: Arc<House>,
    encrypted: bool,
    client: Option<String>,
    began_at: Option<DateTime<Utc>>,
    to: Option<String>,
}

impl Session {
    pub(super) fn new(house: Arc<House>) -> Self {
        Self {
            house,
            encrypted: false,
            client: None,
            began_at: None,
            to: None,
        }
    }

    pub(super) async fn run(self, stream: TcpStream) {
        // An error here is a client that left, or one that was to be left.
        let _ = self.converse(stream).await;
    }

    async fn converse(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut wire: Wire = BufReader::new(Box::new(stream));
        self.answer(&mut wire, Verb::Connect, "220 localhost ESMTP")
            .await?;
        loop {
            let line = text_line(&mut wire).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    let offer = self.offer();
                    self.answer(&mut wire, Verb::Ehlo, &offer).await?;
                }
                "STARTTLS" if !self.encrypted => {
                    if self
                        .answer(&mut wire, Verb::StartTls, "220 2.0.0 go ahead")
                        .await?
                    {
                        let accepted = self.house.tls.accept(wire.into_inner()).await?;
                        wire = BufReader::new(Box::new(accepted));
                        self.encrypted = true;
                    }
                }
                "AUTH" => self.sign_in(&mut wire, &line).await?,
                "MAIL" => self.begin(&mut wire).await?,
                "RCPT" => self.address(&mut wire, &line).await?,
                "DATA" => self.take(&mut wire).await?,
                "RSET" => {
                    (self.began_at, self.to) = (None, None);
                    self.answer(&mut wire, Verb::Rset, "250 2.0.0 Ok").await?;
                }
                "NOOP" => say(&mut wire, "250 2.0.0 Ok").await?,
                "QUIT" => return say(&mut wire, "221 2.0.0 Bye").await,
                _ => say(&mut wire, "500 5.5.2 not understood").await?,
            }
        }
    }

    fn offer(&self) -> String {
        let extension = if self.encrypted {
            "AUTH PLAIN LOGIN"
        } else {
            "STARTTLS"
        };
        format!(
            "250-localhost\r\n250-{extension}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10000000"
        )
    }

    async fn sign_in(&mut self, wire: &mut Wire, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let (user, password) = match (words.next(), words.next()) {
            (Some("PLAIN"), Some(initial)) => {
                let decoded = decode(initial);
                let mut parts = decoded.split('\0').skip(1).map(str::to_owned);
                (parts.next(), parts.next())
            }
            (Some("LOGIN"), None) => {
                say(wire, "334 VXNlcm5hbWU6").await?;
                let user = decode(&text_line(wire).await?);
                say(wire, "334 UGFzc3dvcmQ6").await?;
                (Some(user), Some(decode(&text_line(wire).await?)))
            }
            _ => return say(wire, "504 5.5.4 PLAIN or LOGIN").await,
        };
        if !self.encrypted || password.as_deref() != Some(PASSWORD) {
            return say(wire, "535 5.7.8 not known here").await;
        }
        if self.answer(wire, Verb::Auth, "235 2.7.0 welcome").await? {
            self.client = user;
        }
        Ok(())
    }

    async fn begin(&mut self, wire: &mut Wire) -> io::Result<()> {
        if self.client.is_none() {
            return say(wire, "530 5.7.0 sign in first").await;
        }
        let began_at = Utc::now();
        if self.answer(wire, Verb::Mail, "250 2.1.0 Ok").await? {
            self.began_at = Some(began_at);
        }
        Ok(())
    }

    async fn address(&mut self, wire: &mut Wire, line: &str) -> io::Result<()> {
        let address = line
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let Some((address, _)) = address.filter(|_| self.began_at.is_some()) else {
            return say(wire, "503 5.5.1 MAIL first").await;
        };
        self.to = Some(address.to_owned());
        if !self.answer(wire, Verb::Rcpt, "250 2.1.5 Ok").await? {
            self.to = None;
        }
        Ok(())
    }

    async fn take(&mut self, wire: &mut Wire) -> io::Result<()> {
        let (Some(to), Some(began_at)) = (self.to.clone(), self.began_at) else {
            return say(wire, "503 5.5.1 RCPT first").await;
        };
        if !self.answer(wire, Verb::Data, "354 go on").await? {
            return Ok(());
        }
        let letter = self.read(wire).await?;
        let act = self.house.script.act(Verb::End, Some(&to));
        match &act {
            Some(Act::Say(_) | Act::SayAndHangUp(_) | Act::Lose) => {}
            _ => {
                let accepted = self.accepted(&letter, to, began_at, fate(act.as_ref()));
                self.house.log.append(Entry::Accepted(accepted)).await?;
            }
        }
        self.play(wire, act, "250 2.0.0 Ok: it is on the disk")
            .await?;
        (self.began_at, self.to) = (None, None);
        Ok(())
    }

    async fn read(&mut self, wire: &mut Wire) -> io::Result<Vec<u8>> {
        let mut letter = Vec::new();
        let mut middle = self.house.script.act(Verb::Body, self.to.as_deref());
        loop {
            let line = line(wire).await?;
            if line == b".\r\n" {
                return Ok(letter);
            }
            if let Some(act) = middle.take() {
                self.play(wire, Some(act), "").await?;
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

    /// Does what is scripted for the verb, else says what is right; tells whether it was right.
    async fn answer(&self, wire: &mut Wire, verb: Verb, right: &str) -> io::Result<bool> {
        let act = self.house.script.act(verb, self.to.as_deref());
        self.play(wire, act, right).await
    }

    async fn play(&self, wire: &mut Wire, act: Option<Act>, right: &str) -> io::Result<bool> {
        match act {
            None => say(wire, right).await.map(|()| true),
            Some(Act::Say(reply)) => {
                self.note(&reply).await?;
                say(wire, &reply).await.map(|()| false)
            }
            Some(Act::SayAndHangUp(reply)) => {
                self.note(&reply).await?;
                say(wire, &reply).await?;
                wire.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Act::HangUp | Act::Lose) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Act::Stall(time)) => {
                sleep(time).await;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Act::Flood) => loop {
                say(wire, "250-and one more line").await?;
            },
            Some(Act::Slowly(pause)) => {
                for byte in format!("{right}\r\n").into_bytes() {
                    wire.write_all(&[byte]).await?;
                    wire.flush().await?;
                    sleep(pause).await;
                }
                Ok(true)
            }
            Some(Act::Late(time)) => {
                sleep(time).await;
                say(wire, right).await.map(|()| true)
            }
        }
    }

    /// Remembers whom a reply refused.
    async fn note(&self, reply: &str) -> io::Result<()> {
        let Some(to) = self.to.clone() else {
            return Ok(());
        };
        let refused = Entry::Refused {
            to,
            by: self.client.clone().unwrap_or_default(),
            reply: reply.to_owned(),
            at: Utc::now(),
        };
        self.house.log.append(refused).await
    }
}

fn fate(act: Option<&Act>) -> Fate {
    match act {
        None => Fate::Answered,
        Some(Act::Slowly(_) | Act::Late(_)) => Fate::AnsweredLate,
        Some(_) => Fate::Withheld,
    }
}

/// The value of the header, which is one line long.
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

async fn text_line(wire: &mut Wire) -> io::Result<String> {
    let line = line(wire).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A line with its end; a client that leaves or goes on too long is an error.
async fn line(wire: &mut Wire) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut line = Vec::new();
    (&mut *wire)
        .take(LONGEST_LINE as u64)
        .read_until(b'\n', &mut line)
        .await?;
    if line.ends_with(b"\r\n") {
        Ok(line)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn say(wire: &mut Wire, lines: &str) -> io::Result<()> {
    wire.write_all(format!("{lines}\r\n").as_bytes()).await?;
    wire.flush().await
}
