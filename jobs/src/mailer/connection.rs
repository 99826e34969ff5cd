//! One SMTP connection, from TCP to QUIT.

use std::io;
use std::time::Duration;

use guestlist::EmailAddress;
use lettre::Address;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::commands::Mail as MailFrom;
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::{TcpStream, lookup_host};

use super::blame::Stage;
use super::config::{Security, Server};
use super::deadlines::Deadlines;
use super::dialogue::{Dialogue, within};
use super::failure::Failure;
use super::fence::Fence;
use super::offer::Offer;
use super::reply::Reply;
use super::tally::Tally;
use crate::failpoint::fail_point;
use crate::mail::Mail;

/// A connection after greeting, encryption (as configured) and authentication.
///
/// lettre supplies the commands and SASL. Stream, deadlines and replies are implemented here
/// because lettre's own connection reads a line without a limit, keeps data that arrived in clear
/// before STARTTLS, and does not distinguish a letter that was cut short from one that was not
/// answered.
pub(super) struct Connection {
    dialogue: Dialogue,
    offer: Offer,
    deadlines: Deadlines,
    encrypted: bool,
    /// A transaction was begun and refused; RSET has to be sent before the next letter.
    begun: bool,
    /// No reply is outstanding apart from those that are about to be read.
    in_step: bool,
}

/// A command of the envelope with its accepted reply codes and its deadline.
struct Step {
    stage: Stage,
    command: String,
    expected: &'static [u16],
    deadline: Duration,
}

impl Connection {
    pub(super) async fn open(
        server: &Server,
        deadlines: &Deadlines,
        tally: &Tally,
    ) -> Result<Self, Failure> {
        let mut dialogue = Dialogue::new(dial(server, deadlines).await?, tally.clone());
        tally.connected();
        let implicit = server.security == Security::Implicit;
        if implicit {
            dialogue = encrypt(dialogue, server, deadlines).await?;
        }
        dialogue
            .reply(Stage::Greeting, &[220], deadlines.greeting)
            .await?;
        let offer = hello(&mut dialogue, deadlines).await?;
        let mut connection = Self {
            dialogue,
            offer,
            deadlines: *deadlines,
            encrypted: implicit,
            begun: false,
            in_step: true,
        };
        if matches!(
            server.security,
            Security::Required | Security::Opportunistic
        ) {
            connection = connection.start_tls(server).await?;
        }
        connection.sign_in(server).await?;
        Ok(connection)
    }

    /// Upgrades by STARTTLS (RFC 3207). Without STARTTLS only an opportunistic connection
    /// continues.
    async fn start_tls(mut self, server: &Server) -> Result<Self, Failure> {
        let required = server.security == Security::Required;
        if !self.offer.starttls {
            return if required {
                Err(Failure::NoStartTls)
            } else {
                Ok(self)
            };
        }
        let ready = self
            .dialogue
            .command(Stage::StartTls, Starttls, &[220], self.deadlines.mail)
            .await;
        match ready {
            Err(Failure::Negative { reply, .. }) if !required && reply.code != 421 => {
                return Ok(self);
            }
            ready => ready?,
        };
        self.dialogue = encrypt(self.dialogue, server, &self.deadlines).await?;
        // RFC 3207 section 4.2: capabilities announced in clear are discarded.
        self.offer = hello(&mut self.dialogue, &self.deadlines).await?;
        self.encrypted = true;
        Ok(self)
    }

    /// Signs in with PLAIN or LOGIN (RFC 4954) if there are credentials.
    async fn sign_in(&mut self, server: &Server) -> Result<(), Failure> {
        let Some(credentials) = &server.credentials else {
            return Ok(());
        };
        let mechanism = self.offer.mechanism().ok_or(Failure::NoMechanism)?;
        let mut auth =
            Auth::new(mechanism, credentials.clone(), None).map_err(|_| Failure::Challenge)?;
        // LOGIN sends two challenges, for user and password.
        for _ in 0..2 {
            let reply = self.authenticate(auth).await?;
            if reply.code == 235 {
                return Ok(());
            }
            auth = answer(mechanism, credentials, &reply).ok_or(Failure::Challenge)?;
        }
        match self.authenticate(auth).await?.code {
            235 => Ok(()),
            _ => Err(Failure::Challenge),
        }
    }

    async fn authenticate(&mut self, auth: Auth) -> Result<Reply, Failure> {
        self.dialogue
            .command(Stage::Auth, auth, &[235, 334], self.deadlines.mail)
            .await
    }

    /// Sends one letter. `Ok` is the server's 250 to the end of the data, nothing less.
    pub(super) async fn send(&mut self, mail: &Mail, fence: &Fence) -> Result<Reply, Failure> {
        let parameters = self.parameters(mail)?;
        let Deadlines {
            mail: mail_deadline,
            rcpt,
            data,
            block,
            end,
            ..
        } = self.deadlines;
        fail_point!("letter::begun", Failure::lost(Stage::Mail));
        let envelope = [
            Step {
                stage: Stage::Mail,
                command: MailFrom::new(Some(path(&mail.from)), parameters).to_string(),
                expected: &[250],
                deadline: mail_deadline,
            },
            Step {
                stage: Stage::Rcpt,
                command: Rcpt::new(path(&mail.to), vec![]).to_string(),
                expected: &[250, 251],
                deadline: rcpt,
            },
            Step {
                stage: Stage::Data,
                command: Data.to_string(),
                expected: &[354],
                deadline: data,
            },
        ];
        fence.check()?;
        if self.offer.pipelining {
            self.in_one_group(&envelope).await?;
        } else {
            self.one_by_one(&envelope).await?;
        }
        fail_point!("letter::final_dot", Failure::lost(Stage::Block));
        self.dialogue.letter(&mail.bytes, fence, block).await?;
        // RFC 5321 section 4.1.1.4: any answer to the final dot ends the transaction.
        self.begun = false;
        let taken = self.dialogue.reply(Stage::End, &[250], end).await?;
        fail_point!("letter::taken", Failure::lost(Stage::End));
        Ok(taken)
    }

    async fn one_by_one(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for step in steps {
            self.dialogue
                .command(step.stage, &step.command, step.expected, step.deadline)
                .await?;
            self.begun = true;
        }
        Ok(())
    }

    /// Sends the commands in one group and then reads their replies (RFC 2920), which saves a round
    /// trip each. DATA may only end a group, so the letter itself is not part of it.
    ///
    /// The first refusal is returned. The replies after it are read too, so that the connection can
    /// be used for the next letter.
    async fn in_one_group(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let [first, ..] = steps else { return Ok(()) };
        let commands: String = steps.iter().map(|step| step.command.as_str()).collect();
        self.in_step = false;
        self.dialogue
            .ask(first.stage, &commands, first.deadline)
            .await?;
        for (place, step) in steps.iter().enumerate() {
            let reply = self
                .dialogue
                .reply(step.stage, step.expected, step.deadline)
                .await;
            if let Err(refusal) = reply {
                self.in_step = refusal.leaves_connection_usable()
                    && self.still_refuses(&steps[place + 1..]).await;
                return Err(refusal);
            }
            self.begun = true;
        }
        self.in_step = true;
        Ok(())
    }

    /// Reads the replies after a refusal and returns whether the connection is still usable. A
    /// server that asks for the letter nevertheless (354) gets none; the connection is dropped. RFC
    /// 2920 section 3.1 would have the client send the final dot at once, but a server with this
    /// fault might accept that as an empty letter.
    async fn still_refuses(&mut self, steps: &[Step]) -> bool {
        for step in steps {
            match self.dialogue.any_reply(step.stage, step.deadline).await {
                Ok(reply) if reply.code == 421 || reply.code == 354 => return false,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Returns whether all replies were read. The next letter may use the connection then, unless
    /// the last failure forbids it.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Returns SMTPUTF8 (RFC 6531 section 3.4) and BODY (RFC 6152) if the letter needs them.
    fn parameters(&self, mail: &Mail) -> Result<Vec<MailParameter>, Failure> {
        let mut parameters = Vec::new();
        if !(mail.from.as_str().is_ascii() && mail.to.as_str().is_ascii()) {
            if !self.offer.smtputf8 {
                return Err(Failure::NoSmtpUtf8);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.bytes.is_ascii() {
            if !self.offer.eight_bit {
                return Err(Failure::NoEightBit);
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// Ends a refused transaction. After an error the caller must drop the connection.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        if self.begun {
            self.dialogue
                .command(Stage::Reset, Rset, &[250], self.deadlines.mail)
                .await?;
            self.begun = false;
        }
        Ok(())
    }

    /// Resolves once the connection can no longer be used.
    pub(super) async fn broken(&mut self) {
        self.dialogue.broken().await;
    }

    /// Sends QUIT. Nothing depends on the answer, so a failure is only logged.
    pub(super) async fn quit(mut self) {
        if let Err(failure) = self
            .dialogue
            .command(Stage::Quit, Quit, &[221], self.deadlines.quit)
            .await
        {
            tracing::debug!(%failure, "the mail server did not answer QUIT");
        }
    }

    pub(super) fn offer(&self) -> &Offer {
        &self.offer
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }
}

/// Converts an address for lettre's commands. No check is needed: an [`EmailAddress`] contains no
/// character that could end the path or the command.
fn path(address: &EmailAddress) -> Address {
    Address::new_dangerous(address.local_part(), address.domain())
}

/// Connects to the first of the host's addresses that answers.
async fn dial(server: &Server, deadlines: &Deadlines) -> Result<TcpStream, Failure> {
    let unreachable = |source| Failure::Unreachable {
        host: server.host.clone(),
        port: server.port,
        source,
    };
    let target = (server.host.as_str(), server.port);
    let addresses = within(Stage::Connect, deadlines.connect, lookup_host(target))
        .await?
        .map_err(unreachable)?;
    let mut failure = unreachable(io::Error::new(
        io::ErrorKind::NotFound,
        "the host has no address",
    ));
    for address in addresses {
        match within(
            Stage::Connect,
            deadlines.connect,
            TcpStream::connect(address),
        )
        .await
        {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(unreachable)?;
                return Ok(stream);
            }
            Ok(Err(source)) => failure = unreachable(source),
            Err(deadline) => failure = deadline,
        }
    }
    Err(failure)
}

async fn encrypt(
    dialogue: Dialogue,
    server: &Server,
    deadlines: &Deadlines,
) -> Result<Dialogue, Failure> {
    dialogue
        .encrypt(&server.connector, server.name.clone(), deadlines.connect)
        .await
}

async fn hello(dialogue: &mut Dialogue, deadlines: &Deadlines) -> Result<Offer, Failure> {
    let ehlo = Ehlo::new(ClientId::default());
    let reply = dialogue
        .command(Stage::Hello, ehlo, &[250], deadlines.mail)
        .await?;
    Ok(Offer::read(&reply))
}

/// Returns the answer to a SASL challenge, if the challenge is understood.
fn answer(
    mechanism: Mechanism,
    credentials: &lettre::transport::smtp::authentication::Credentials,
    challenge: &Reply,
) -> Option<Auth> {
    let challenge: Response = format!("334 {}\r\n", challenge.lines.first()?)
        .parse()
        .ok()?;
    Auth::new_from_response(mechanism, credentials.clone(), &challenge).ok()
}
