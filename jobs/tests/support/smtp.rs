//! A small SMTP server on loopback that misbehaves by script.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A scripted action instead of the correct one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Sends these lines.
    Say(&'static str),
    /// Sends nothing more until the client closes the connection.
    Stall,
    /// Sends the correct reply as soon as the test releases it.
    Hold,
    /// Closes the connection.
    Hang,
    /// Sends these lines, then closes the connection.
    SayAndHang(&'static str),
    /// Sends reply lines without end.
    Flood,
}

/// The behaviour of the server; it acts correctly wherever nothing is scripted.
pub(crate) struct Script {
    acts: HashMap<&'static str, VecDeque<Act>>,
    extensions: Vec<&'static str>,
    tls: Option<TlsAcceptor>,
    implicit: bool,
    released: Arc<Semaphore>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            acts: HashMap::new(),
            extensions: Vec::new(),
            tls: None,
            implicit: false,
            released: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Script {
    /// Lists an extension in the answer to EHLO.
    pub(crate) fn offers(mut self, extension: &'static str) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Scripts the next use of a verb (also `CONNECT`, `BODY` in the middle of the letter, and
    /// `END` after its final dot); several calls script several uses.
    pub(crate) fn on(mut self, verb: &'static str, act: Act) -> Self {
        self.acts.entry(verb).or_default().push_back(act);
        self
    }

    /// Speaks TLS after STARTTLS, which must be offered as well.
    pub(crate) fn start_tls(mut self, tls: TlsAcceptor) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Speaks TLS from the first byte.
    pub(crate) fn implicit_tls(mut self, tls: TlsAcceptor) -> Self {
        self.implicit = true;
        self.start_tls(tls)
    }

    /// Starts the server on a free port.
    pub(crate) async fn start(self) -> Smtp {
        self.start_on(0).await
    }

    /// Starts the server on a given port.
    pub(crate) async fn start_on(self, port: u16) -> Smtp {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, seeing) = watch::channel(Seen::default());
        let released = self.released.clone();
        let script = Arc::new(Mutex::new(self));
        let task = tokio::spawn(async move {
            let seen = Arc::new(seen);
            while let Ok((stream, _)) = listener.accept().await {
                let session = Session {
                    script: script.clone(),
                    seen: seen.clone(),
                };
                tokio::spawn(session.run(stream));
            }
        });
        Smtp {
            port,
            seeing,
            released,
            task,
        }
    }
}

/// Everything the server saw so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) closed: usize,
    pub(crate) commands: Vec<String>,
    pub(crate) letters: Vec<String>,
}

impl Seen {
    pub(crate) fn heard(&self, start: &str) -> usize {
        self.commands
            .iter()
            .filter(|command| command.starts_with(start))
            .count()
    }
}

/// A running server; ends when dropped.
pub(crate) struct Smtp {
    pub(crate) port: u16,
    seeing: watch::Receiver<Seen>,
    released: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Smtp {
    pub(crate) fn seen(&self) -> Seen {
        self.seeing.borrow().clone()
    }

    /// The number of letters received so far.
    pub(crate) fn count(&self) -> usize {
        self.seeing.borrow().letters.len()
    }

    /// Releases one held reply, now or later.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    /// Waits until `what` holds for everything the server has seen.
    pub(crate) async fn until(&self, what: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seeing = self.seeing.clone();
        let seen = tokio::time::timeout(Duration::from_secs(40), seeing.wait_for(what)).await;
        match seen {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("waited in vain, seen so far: {:?}", self.seen()),
        }
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    script: Arc<Mutex<Script>>,
    seen: Arc<watch::Sender<Seen>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Wire = BufReader<Box<dyn Stream>>;

impl Session {
    async fn run(self, stream: TcpStream) {
        self.seen.send_modify(|seen| seen.connections += 1);
        stream.set_nodelay(true).unwrap();
        // An error here means that the client is gone, which many tests cause on purpose.
        let _ = self.converse(stream).await;
        self.seen.send_modify(|seen| seen.closed += 1);
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let (tls, implicit) = {
            let script = self.script.lock().unwrap();
            (script.tls.clone(), script.implicit)
        };
        let mut wire: Wire = match (&tls, implicit) {
            (Some(tls), true) => BufReader::new(Box::new(tls.accept(stream).await?)),
            _ => BufReader::new(Box::new(stream)),
        };
        self.act(&mut wire, "CONNECT", "220 test ESMTP").await?;
        let mut encrypted = implicit;
        // Like Postfix, do not ask for a letter without a sender and a recipient.
        let mut refused = false;
        loop {
            let line = self.line(&mut wire).await?;
            self.seen
                .send_modify(|seen| seen.commands.push(line.clone()));
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
            match verb.as_str() {
                "EHLO" => {
                    let offer = self.offer(encrypted);
                    self.act(&mut wire, "EHLO", &offer).await?;
                }
                "STARTTLS" => {
                    if !self.act(&mut wire, "STARTTLS", "220 go ahead").await? {
                        continue;
                    }
                    let tls = tls
                        .clone()
                        .expect("a script that offers STARTTLS has a certificate");
                    wire = BufReader::new(Box::new(tls.accept(wire.into_inner()).await?));
                    encrypted = true;
                }
                "AUTH" => self.auth(&mut wire, &line).await?,
                "MAIL" => {
                    refused = self.refuses("MAIL");
                    self.act(&mut wire, "MAIL", "250 2.1.0 Ok").await?;
                }
                "RCPT" if refused => say(&mut wire, "503 5.5.1 need MAIL first").await?,
                "RCPT" => {
                    refused = self.refuses("RCPT");
                    self.act(&mut wire, "RCPT", "250 2.1.5 Ok").await?;
                }
                "RSET" => {
                    refused = false;
                    self.act(&mut wire, "RSET", "250 2.0.0 Ok").await?;
                }
                "DATA" if refused && !self.is_scripted("DATA") => {
                    say(&mut wire, "554 5.5.1 no valid recipients").await?;
                }
                "DATA" => self.data(&mut wire).await?,
                "QUIT" => {
                    say(&mut wire, "221 2.0.0 Bye").await?;
                    return Ok(());
                }
                _ => say(&mut wire, "500 5.5.2 what?").await?,
            }
        }
    }

    fn offer(&self, encrypted: bool) -> String {
        let script = self.script.lock().unwrap();
        let listed = script
            .extensions
            .iter()
            .filter(|word| !(encrypted && **word == "STARTTLS"));
        let lines: Vec<String> = listed.map(|word| format!("250-{word}\r\n")).collect();
        format!("250-test\r\n{}250 SIZE 1000000", lines.concat())
    }

    /// Takes the scripted action for the verb, or sends the correct reply; returns which it was.
    async fn act(&self, wire: &mut Wire, verb: &'static str, right: &str) -> io::Result<bool> {
        let act = self
            .script
            .lock()
            .unwrap()
            .acts
            .get_mut(verb)
            .and_then(VecDeque::pop_front);
        match act {
            None => say(wire, right).await.map(|()| true),
            Some(Act::Say(lines)) => say(wire, lines).await.map(|()| false),
            Some(Act::Hang) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Act::SayAndHang(lines)) => {
                say(wire, lines).await?;
                wire.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Act::Stall) => loop {
                self.line(wire).await?;
            },
            Some(Act::Hold) => {
                let released = self.script.lock().unwrap().released.clone();
                released.acquire().await.unwrap().forget();
                say(wire, right).await.map(|()| true)
            }
            Some(Act::Flood) => loop {
                say(wire, "250-and one more line").await?;
            },
        }
    }

    fn is_scripted(&self, verb: &str) -> bool {
        let script = self.script.lock().unwrap();
        script.acts.get(verb).is_some_and(|acts| !acts.is_empty())
    }

    /// True if the script refuses the next use of this verb.
    fn refuses(&self, verb: &str) -> bool {
        let script = self.script.lock().unwrap();
        let next = script.acts.get(verb).and_then(VecDeque::front);
        matches!(next, Some(Act::Say(lines)) if lines.starts_with(['4', '5']))
    }

    async fn data(&self, wire: &mut Wire) -> io::Result<()> {
        if !self.act(wire, "DATA", "354 go on").await? {
            return Ok(());
        }
        if self.is_scripted("BODY") {
            self.line(wire).await?;
            self.act(wire, "BODY", "").await?;
        }
        let mut letter = String::new();
        loop {
            let line = self.line(wire).await?;
            if line == "." {
                break;
            }
            letter.push_str(line.strip_prefix('.').unwrap_or(&line));
            letter.push_str("\r\n");
        }
        self.seen.send_modify(|seen| seen.letters.push(letter));
        self.act(wire, "END", "250 2.0.0 Ok: queued as 1").await?;
        Ok(())
    }

    /// Accepts one account: `me` with the password `secret`.
    async fn auth(&self, wire: &mut Wire, line: &str) -> io::Result<()> {
        let right = match line {
            "AUTH LOGIN" => {
                say(wire, "334 VXNlcm5hbWU6").await?;
                let user = self.line(wire).await?;
                say(wire, "334 UGFzc3dvcmQ6").await?;
                let password = self.line(wire).await?;
                user == "bWU=" && password == "c2VjcmV0"
            }
            _ => line == "AUTH PLAIN AG1lAHNlY3JldA==",
        };
        let answer = if right {
            "235 2.7.0 welcome"
        } else {
            "535 5.7.8 bad credentials"
        };
        self.act(wire, "AUTH", answer).await?;
        Ok(())
    }

    async fn line(&self, wire: &mut Wire) -> io::Result<String> {
        let mut line = Vec::new();
        wire.read_until(b'\n', &mut line).await?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

async fn say(wire: &mut Wire, lines: &str) -> io::Result<()> {
    wire.write_all(format!("{lines}\r\n").as_bytes()).await?;
    wire.flush().await
}
