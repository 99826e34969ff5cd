//! One SMTP connection, from TCP to QUIT.

use std::time::Duration;

use futures::FutureExt;
use guestlist::EmailAddress;
use lettre::Address;
use lettre::transport::smtp::commands::Mail as MailFrom;
use lettre::transport::smtp::commands::{Data, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};

use super::capabilities::Capabilities;
use super::counters::SmtpCounters;
use super::deadlines::Deadlines;
use super::dial::dial;
use super::ehlo_name::EhloName;
use super::error::SmtpError;
use super::hello::{ehlo_name, hello};
use super::reply::Reply;
use super::send_guard::SendGuard;
use super::server::{Security, Server};
use super::sign_in::sign_in;
use super::stage::Stage;
use super::stream::SmtpStream;
use crate::failpoint::fail_point;
use crate::mail::Mail;

/// A connection after greeting, encryption (as configured) and authentication.
///
/// lettre supplies the commands and SASL. Stream, deadlines and replies are implemented here
/// because lettre's own connection reads a line without a limit, keeps data that arrived in clear
/// before STARTTLS, and does not distinguish a letter that was cut short from one that was not
/// answered.
pub(crate) struct Connection {
    stream: SmtpStream,
    capabilities: Capabilities,
    /// The name that was given in EHLO.
    name: EhloName,
    deadlines: Deadlines,
    encrypted: bool,
    /// A transaction was begun and refused; RSET has to be sent before the next letter.
    begun: bool,
    /// No reply is outstanding apart from those that are about to be read.
    in_step: bool,
    /// The number of letters begun on this connection.
    letters: u32,
}

/// A command of the envelope with its accepted reply codes and its deadline.
struct Step {
    stage: Stage,
    command: String,
    expected: &'static [u16],
    deadline: Duration,
}

impl Connection {
    pub(crate) async fn open(
        server: &Server,
        deadlines: &Deadlines,
        counters: &SmtpCounters,
    ) -> Result<Self, SmtpError> {
        let stream = dial(server, deadlines).await?;
        let name = ehlo_name(server, &stream)?;
        let mut stream = SmtpStream::new(stream, counters.clone());
        counters.connected();
        let implicit = server.security == Security::Implicit;
        if implicit {
            stream = encrypt(stream, server, deadlines).await?;
        }
        stream
            .reply(Stage::Greeting, &[220], deadlines.greeting)
            .await?;
        let capabilities = hello(&mut stream, &name, deadlines).await?;
        let mut connection = Self {
            stream,
            capabilities,
            name,
            deadlines: *deadlines,
            encrypted: implicit,
            begun: false,
            in_step: true,
            letters: 0,
        };
        // Before STARTTLS, which HELO does not offer either.
        if connection.capabilities.knows_only_helo && server.account.is_some() {
            return Err(SmtpError::OnlyHelo);
        }
        if matches!(
            server.security,
            Security::Required | Security::Opportunistic
        ) {
            connection = connection.start_tls(server).await?;
        }
        if let Some(account) = &server.account {
            let Self {
                stream,
                capabilities,
                ..
            } = &mut connection;
            sign_in(account, capabilities, stream, deadlines.mail).await?;
        }
        Ok(connection)
    }

    /// Upgrades by STARTTLS (RFC 3207). Without STARTTLS only an opportunistic connection
    /// continues.
    async fn start_tls(mut self, server: &Server) -> Result<Self, SmtpError> {
        let required = server.security == Security::Required;
        if !self.capabilities.starttls {
            return if required {
                Err(SmtpError::NoStartTls)
            } else {
                Ok(self)
            };
        }
        let ready = self
            .stream
            .command(Stage::StartTls, Starttls, &[220], self.deadlines.mail)
            .await;
        match ready {
            Err(SmtpError::Negative { reply, .. }) if !required && reply.code != 421 => {
                return Ok(self);
            }
            ready => ready?,
        };
        let encrypted = encrypt(self.stream, server, &self.deadlines).await;
        // Never in clear after a failed handshake: an attacker could cause one.
        self.stream = match required {
            true => encrypted?,
            false => encrypted.map_err(SmtpError::of_opportunistic_tls)?,
        };
        // RFC 3207 section 4.2: capabilities announced in clear are discarded.
        self.capabilities = hello(&mut self.stream, &self.name, &self.deadlines).await?;
        self.encrypted = true;
        Ok(self)
    }

    /// Sends one letter. `Ok` is the server's 250 to the end of the data, nothing less.
    pub(crate) async fn send(
        &mut self,
        mail: &Mail,
        guard: &SendGuard,
    ) -> Result<Reply, SmtpError> {
        let parameters = self.parameters(mail)?;
        let Deadlines {
            mail: mail_deadline,
            rcpt,
            data,
            block,
            end,
            ..
        } = self.deadlines;
        fail_point!("letter::begun", SmtpError::lost(Stage::Mail));
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
        guard.check()?;
        self.letters += 1;
        if self.capabilities.pipelining {
            self.in_one_group(&envelope).await?;
        } else {
            self.one_by_one(&envelope).await?;
        }
        fail_point!("letter::final_dot", SmtpError::lost(Stage::Block));
        guard.begin();
        self.stream.letter(&mail.bytes, guard, block).await?;
        // RFC 5321 section 4.1.1.4: any answer to the final dot ends the transaction.
        self.begun = false;
        let taken = self.stream.reply(Stage::End, &[250], end).await?;
        fail_point!("letter::taken", SmtpError::lost(Stage::End));
        Ok(taken)
    }

    async fn one_by_one(&mut self, steps: &[Step]) -> Result<(), SmtpError> {
        for step in steps {
            self.stream
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
    async fn in_one_group(&mut self, steps: &[Step]) -> Result<(), SmtpError> {
        let [first, ..] = steps else { return Ok(()) };
        let commands: String = steps.iter().map(|step| step.command.as_str()).collect();
        self.in_step = false;
        self.stream
            .ask(first.stage, &commands, first.deadline)
            .await?;
        for (place, step) in steps.iter().enumerate() {
            let reply = self
                .stream
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
            match self.stream.any_reply(step.stage, step.deadline).await {
                Ok(reply) if reply.code == 421 || reply.code == 354 => return false,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Returns whether all replies were read. The next letter may use the connection then, unless
    /// the last failure forbids it.
    pub(crate) fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Returns SMTPUTF8 (RFC 6531 section 3.4) and BODY (RFC 6152) if the letter needs them, and SIZE
    /// (RFC 1870) if the server knows it, so that it refuses a letter that is too large before the
    /// letter is sent.
    ///
    /// SMTPUTF8 covers the headers, so a letter with a 7-bit body needs no BODY: those of the worker are in
    /// quoted-printable or base64.
    fn parameters(&self, mail: &Mail) -> Result<Vec<MailParameter>, SmtpError> {
        let mut parameters = Vec::new();
        let lack = if !mail.from.as_str().is_ascii() {
            Some(SmtpError::NoSmtpUtf8ForSender)
        } else if !mail.to.as_str().is_ascii() {
            Some(SmtpError::NoSmtpUtf8)
        } else {
            mail.has_utf8_sender()
                .then_some(SmtpError::NoSmtpUtf8ForSender)
        };
        let uses_utf8 = lack.is_some();
        if let Some(lack) = lack {
            if !self.capabilities.smtputf8 {
                return Err(lack);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.bytes.is_ascii() && self.capabilities.eight_bit {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        } else if !(mail.bytes.is_ascii() || uses_utf8 && mail.has_ascii_body()) {
            return Err(SmtpError::NoEightBit);
        }
        if self.capabilities.size {
            parameters.push(MailParameter::Size(mail.bytes.len()));
        }
        Ok(parameters)
    }

    /// Ends a refused transaction. After an error the caller must drop the connection.
    pub(crate) async fn reset(&mut self) -> Result<(), SmtpError> {
        if self.begun {
            self.stream
                .command(Stage::Reset, Rset, &[250], self.deadlines.mail)
                .await?;
            self.begun = false;
        }
        Ok(())
    }

    /// Checks without a letter that the server takes letters of this sender: `MAIL`, then `RSET`.
    pub(crate) async fn probe(&mut self, from: &EmailAddress) -> Result<(), SmtpError> {
        let command = MailFrom::new(Some(path(from)), Vec::new());
        self.begun = true;
        self.stream
            .command(Stage::Mail, command, &[250], self.deadlines.mail)
            .await?;
        self.reset().await
    }

    /// Checks without a letter that the server takes letters of this sender to a recipient: `MAIL`,
    /// `RCPT`, then `RSET`. Some servers judge a session only at `RCPT`.
    pub(crate) async fn probe_recipient(
        &mut self,
        from: &EmailAddress,
        to: &EmailAddress,
    ) -> Result<(), SmtpError> {
        let mut parameters = Vec::new();
        if !(from.as_str().is_ascii() && to.as_str().is_ascii()) {
            if !self.capabilities.smtputf8 {
                return Err(SmtpError::NoSmtpUtf8ForSender);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let Deadlines { mail, rcpt, .. } = self.deadlines;
        let command = MailFrom::new(Some(path(from)), parameters);
        self.begun = true;
        self.stream
            .command(Stage::Mail, command, &[250], mail)
            .await?;
        let command = Rcpt::new(path(to), vec![]);
        self.stream
            .command(Stage::Rcpt, command, &[250, 251], rcpt)
            .await?;
        self.reset().await
    }

    /// Returns true if the server closed the unused connection or sent something unexpected.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.stream.broken().now_or_never().is_some()
    }

    /// Returns the number of letters begun on this connection.
    pub(crate) fn letters(&self) -> u32 {
        self.letters
    }

    /// Sends QUIT. Nothing depends on the answer, so a failure is only logged.
    pub(crate) async fn quit(mut self) {
        if let Err(failure) = self
            .stream
            .command(Stage::Quit, Quit, &[221], self.deadlines.quit)
            .await
        {
            tracing::debug!(%failure, "the mail server did not answer QUIT");
        }
    }

    /// Returns the name that was given in EHLO.
    pub(crate) fn ehlo_name(&self) -> &EhloName {
        &self.name
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.encrypted
    }
}

/// Converts an address for lettre's commands. No check is needed: an [`EmailAddress`] contains no
/// character that could end the path or the command.
fn path(address: &EmailAddress) -> Address {
    Address::new_dangerous(address.local_part(), address.domain())
}

async fn encrypt(
    stream: SmtpStream,
    server: &Server,
    deadlines: &Deadlines,
) -> Result<SmtpStream, SmtpError> {
    stream
        .encrypt(&server.connector, server.name.clone(), deadlines.connect)
        .await
}
