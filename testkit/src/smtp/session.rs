//! The session of one client.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::action::Action;
use super::authentication::Credentials;
use super::client_stream::ClientStream;
use super::script::Decision;
use super::seen::ReceivedLetter;
use super::shared::{OpenConnection, Shared};
use super::stage::Stage;

/// The state of a session.
pub(super) struct Session {
    shared: Arc<Shared>,
    is_encrypted: bool,
    /// The user name, after AUTH.
    user: Option<String>,
    /// The time of MAIL, if it was granted.
    began_at: Option<SystemTime>,
    /// The recipient of RCPT, if it was granted.
    to: Option<String>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            is_encrypted: false,
            user: None,
            began_at: None,
            to: None,
        }
    }

    pub(super) async fn run(self, stream: TcpStream) {
        let _open = OpenConnection::new(Arc::clone(&self.shared));
        // An error means that the client is gone, or that the script hung up.
        let _ = self.serve(stream).await;
    }

    async fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut client = ClientStream::new(stream);
        if self.shared.script.is_tls_implicit {
            client = self.encrypt(client).await?;
        }
        self.respond(&mut client, Stage::Connect, "220 test ESMTP")
            .await?;
        loop {
            let is_seen = client.is_ahead();
            let line = client.next_text().await?;
            if !is_seen {
                self.shared.keep(|seen| seen.commands.push(line.clone()));
            }
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let verb = verb.to_ascii_uppercase();
            match verb.as_str() {
                verb if !self.is_encrypted
                    && self.shared.script.capabilities.requires_tls_for(verb) =>
                {
                    client.send("530 5.7.0 must issue STARTTLS first").await?;
                }
                "STARTTLS" if !self.is_encrypted => {
                    if self
                        .respond(&mut client, Stage::StartTls, "220 2.0.0 go ahead")
                        .await?
                    {
                        client = self.encrypt(client).await?;
                    }
                }
                "QUIT" => {
                    self.respond(&mut client, Stage::Quit, "221 2.0.0 Bye")
                        .await?;
                    return Ok(());
                }
                verb => self.command(&mut client, verb, &line).await?,
            }
        }
    }

    async fn encrypt(&mut self, client: ClientStream) -> io::Result<ClientStream> {
        let tls = self.shared.script.tls.as_ref();
        self.is_encrypted = true;
        client.encrypt(tls.ok_or(io::ErrorKind::Unsupported)?).await
    }

    async fn command(
        &mut self,
        client: &mut ClientStream,
        verb: &str,
        line: &str,
    ) -> io::Result<()> {
        match verb {
            "EHLO" => {
                let reply = self.shared.script.capabilities.reply(self.is_encrypted);
                self.respond(client, Stage::Ehlo, &reply).await.map(drop)
            }
            "HELO" => {
                let helo = self.respond(client, Stage::Helo, "250 test");
                helo.await.map(drop)
            }
            "AUTH" => self.authenticate(client, line).await,
            "MAIL" => self.start_letter(client, line).await,
            "RCPT" => self.set_recipient(client, line).await,
            "DATA" => self.receive_letter(client).await,
            "RSET" => {
                (self.began_at, self.to) = (None, None);
                let reset = self.respond(client, Stage::Rset, "250 2.0.0 Ok");
                reset.await.map(drop)
            }
            "NOOP" => client.send("250 2.0.0 Ok").await,
            _ => client.send("500 5.5.2 what?").await,
        }
    }

    async fn authenticate(&mut self, client: &mut ClientStream, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let capabilities = &self.shared.script.capabilities;
        if !capabilities.offers_mechanism(&mechanism) {
            return client.send("504 5.5.4 not offered").await;
        }
        let credentials = Credentials::read(client, &mechanism, words.next()).await?;
        if credentials.are_right() {
            let is_granted = self.respond(client, Stage::Auth, "235 2.7.0 welcome");
            if is_granted.await? {
                self.user = Some(credentials.user);
            }
            return Ok(());
        }
        if mechanism == "XOAUTH2" {
            // The reason in JSON, to which the client sends an empty answer.
            client.send("334 eyJzdGF0dXMiOiI0MDEifQ==").await?;
            client.next_line().await?;
        }
        let refused = self.respond(client, Stage::Auth, "535 5.7.8 bad credentials");
        refused.await.map(drop)
    }

    async fn start_letter(&mut self, client: &mut ClientStream, line: &str) -> io::Result<()> {
        let began_at = SystemTime::now();
        (self.began_at, self.to) = (None, None);
        if self.shared.script.requires_auth && self.user.is_none() {
            return client.send("530 5.7.0 sign in first").await;
        }
        let size = line.split(' ').find_map(|word| word.strip_prefix("SIZE="));
        let size = size.and_then(|size| size.parse().ok()).unwrap_or(0);
        if self.shared.script.capabilities.is_too_big(size) {
            return client.send(TOO_BIG).await;
        }
        if self.respond(client, Stage::Mail, "250 2.1.0 Ok").await? {
            self.began_at = Some(began_at);
        }
        Ok(())
    }

    async fn set_recipient(&mut self, client: &mut ClientStream, line: &str) -> io::Result<()> {
        if self.began_at.is_none() {
            return client.send("503 5.5.1 need MAIL first").await;
        }
        self.to = Some(path(line).to_owned());
        if !self.respond(client, Stage::Rcpt, "250 2.1.5 Ok").await? {
            self.to = None;
        }
        Ok(())
    }

    async fn receive_letter(&mut self, client: &mut ClientStream) -> io::Result<()> {
        let action = self.action_at(Stage::Data);
        // Like Postfix, the server does not ask for a letter to nobody.
        if action.is_none() && self.to.is_none() {
            return client.send("554 5.5.1 no valid recipients").await;
        }
        if !self.perform(client, action, "354 go on").await? {
            return Ok(());
        }
        let bytes = self.read_letter(client).await?;
        let arrived_at = SystemTime::now();
        let is_too_big = self.shared.script.capabilities.is_too_big(bytes.len());
        let action = self.action_at(Stage::End);
        let action = action.or_else(|| is_too_big.then(|| TOO_BIG.into()));
        let letter = ReceivedLetter {
            to: self.to.clone().unwrap_or_default(),
            user: self.user.clone(),
            bytes,
            began_at: self.began_at.unwrap_or(arrived_at),
            arrived_at,
            action: action.clone(),
        };
        if letter.is_accepted() {
            self.shared.decide(Decision::Accepted(&letter)).await?;
        }
        self.shared.keep(|seen| seen.letters.push(letter));
        self.perform(client, action, "250 2.0.0 Ok: queued as 1")
            .await?;
        (self.began_at, self.to) = (None, None);
        Ok(())
    }

    async fn read_letter(&self, client: &mut ClientStream) -> io::Result<Vec<u8>> {
        let mut letter = Vec::new();
        let mut middle = self.action_at(Stage::Body);
        loop {
            let line = client.next_line().await?;
            if line == b".\r\n" {
                return Ok(letter);
            }
            if middle.is_some() {
                self.perform(client, middle.take(), "").await?;
            }
            letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// Performs the scripted action for the stage, or sends the correct reply. Returns true if the session
    /// goes on as after the correct reply.
    async fn respond(
        &self,
        client: &mut ClientStream,
        stage: Stage,
        correct: &str,
    ) -> io::Result<bool> {
        self.perform(client, self.action_at(stage), correct).await
    }

    fn action_at(&self, stage: Stage) -> Option<Action> {
        self.shared.action_at(stage, self.to.as_deref())
    }

    async fn perform(
        &self,
        client: &mut ClientStream,
        action: Option<Action>,
        correct: &str,
    ) -> io::Result<bool> {
        let Some(action) = action else {
            return client.send(correct).await.map(|()| true);
        };
        let is_granted = action.grants(correct);
        if let (Some(reply), Some(to), false) = (action.reply(), &self.to, is_granted) {
            let user = self.user.as_deref();
            self.shared
                .decide(Decision::Refused { to, user, reply })
                .await?;
        }
        match action {
            Action::Reply(reply) => client.send(&reply).await?,
            Action::ReplyAndHangUp(reply) => {
                client.send(&reply).await?;
                client.shutdown().await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Action::HangUp | Action::Lose => return Err(io::ErrorKind::ConnectionAborted.into()),
            Action::Stall => loop {
                client.next_line().await?;
            },
            Action::StallFor(time) => {
                sleep(time).await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Action::Hold => {
                self.hold(client).await?;
                client.send(correct).await?;
            }
            Action::Flood => loop {
                client.send("250-and one more line").await?;
            },
            Action::ReplySlowly(pause) => client.send_slowly(correct, pause).await?,
            Action::ReplyLate(time) => {
                sleep(time).await;
                client.send(correct).await?;
            }
            Action::BreakHandshake => {
                client.send(correct).await?;
                client.break_handshake().await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(is_granted)
    }

    /// Waits for a release. Reads on meanwhile, so that commands sent without waiting for the reply are seen.
    async fn hold(&self, client: &mut ClientStream) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                line = client.read_ahead() => {
                    let line = line?;
                    self.shared.keep(|seen| seen.commands.push(line));
                }
                permit = self.shared.released.acquire() => {
                    permit.map_err(io::Error::other)?.forget();
                    return Ok(());
                }
            }
        }
    }
}

const TOO_BIG: &str = "552 5.3.4 message too big";

/// The address between the angle brackets of a command.
fn path(line: &str) -> &str {
    let path = line
        .split_once('<')
        .and_then(|(_, rest)| rest.rsplit_once('>'));
    path.map_or("", |(path, _)| path)
}
