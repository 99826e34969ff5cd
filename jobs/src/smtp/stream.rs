//! SMTP commands and replies on one stream, each with a deadline.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::counters::SmtpCounters;
use super::error::SmtpError;
use super::reply::Reply;
use super::send_guard::SendGuard;
use super::stage::Stage;

/// The size of one block of a letter, in bytes. Each block has a deadline of its own.
const BLOCK: usize = 16 * 1024;

/// A TCP connection, or TLS over one.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Sends commands and reads replies in order: a reply is read only after its command, and an
/// unexpected one is an error.
pub(crate) struct SmtpStream {
    stream: BufReader<Box<dyn Wire>>,
    counters: SmtpCounters,
}

impl SmtpStream {
    pub(crate) fn new(stream: TcpStream, counters: SmtpCounters) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            counters,
        }
    }

    /// Wraps the stream in TLS.
    ///
    /// Data that arrived in clear beforehand would be read as if it had come encrypted, so any such
    /// data is an error (RFC 3207 section 4.2 requires both sides to discard earlier state).
    pub(crate) async fn encrypt(
        self,
        connector: &TlsConnector,
        name: ServerName<'static>,
        deadline: Duration,
    ) -> Result<Self, SmtpError> {
        if !self.stream.buffer().is_empty() {
            return Err(SmtpError::Injected);
        }
        let stream = within(
            Stage::Tls,
            deadline,
            connector.connect(name, self.stream.into_inner()),
        )
        .await?
        .map_err(SmtpError::handshake)?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
            counters: self.counters,
        })
    }

    /// Sends a command and reads its reply. A code that is not in `expected` is an error.
    pub(crate) async fn command(
        &mut self,
        stage: Stage,
        command: impl Display,
        expected: &[u16],
        deadline: Duration,
    ) -> Result<Reply, SmtpError> {
        self.ask(stage, &command.to_string(), deadline).await?;
        self.reply(stage, expected, deadline).await
    }

    /// Sends a command or a group of commands, whose replies are then read one by one.
    pub(crate) async fn ask(
        &mut self,
        stage: Stage,
        commands: &str,
        deadline: Duration,
    ) -> Result<(), SmtpError> {
        if !self.stream.buffer().is_empty() {
            return Err(SmtpError::lost(stage)(unasked()));
        }
        within(stage, deadline, self.write(commands.as_bytes()))
            .await?
            .map_err(SmtpError::lost(stage))
    }

    /// Reads the next reply.
    pub(crate) async fn reply(
        &mut self,
        stage: Stage,
        expected: &[u16],
        deadline: Duration,
    ) -> Result<Reply, SmtpError> {
        let reply = self.any_reply(stage, deadline).await?;
        self.counters.replied(reply.code);
        match reply {
            reply if expected.contains(&reply.code) => Ok(reply),
            reply if reply.is_negative() => Err(SmtpError::Negative { stage, reply }),
            reply => Err(SmtpError::OutOfOrder { stage, reply }),
        }
    }

    /// Reads a reply of any code without counting it; used for the replies after a refusal.
    pub(crate) async fn any_reply(
        &mut self,
        stage: Stage,
        deadline: Duration,
    ) -> Result<Reply, SmtpError> {
        within(stage, deadline, Reply::read(&mut self.stream))
            .await?
            .map_err(SmtpError::lost(stage))
    }

    /// Sends the letter with its final dot, block by block.
    ///
    /// The dot is part of the last block, not a packet of its own, so that no delayed
    /// acknowledgement holds it up. An error means that the dot cannot have arrived. The guard is
    /// checked before each block, and so before the last one, which cannot be taken back.
    pub(crate) async fn letter(
        &mut self,
        bytes: &[u8],
        guard: &SendGuard,
        deadline: Duration,
    ) -> Result<(), SmtpError> {
        if !self.stream.buffer().is_empty() {
            return Err(SmtpError::lost(Stage::Block)(unasked()));
        }
        let dotted = dotted(bytes);
        let mut blocks = dotted.chunks(BLOCK).peekable();
        while let Some(block) = blocks.next() {
            guard.check()?;
            if blocks.peek().is_none() {
                guard.end();
            }
            within(Stage::Block, deadline, self.write(block))
                .await?
                .map_err(SmtpError::lost(Stage::Block))?;
        }
        Ok(())
    }

    /// Waits until the server closes the connection or sends something unexpected; either makes the
    /// connection unusable. Cancel-safe.
    pub(crate) async fn broken(&mut self) {
        // Data, end of stream and errors are all unexpected between letters.
        let _ = self.stream.fill_buf().await;
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

/// Bounds a step by its deadline.
pub(crate) async fn within<T>(
    stage: Stage,
    after: Duration,
    step: impl Future<Output = T>,
) -> Result<T, SmtpError> {
    timeout(after, step)
        .await
        .map_err(|_| SmtpError::Deadline { stage, after })
}

fn unasked() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the server sent a reply to no command",
    )
}

/// Doubles each dot that begins a line and appends the line with the final dot (RFC 5321 section
/// 4.5.2). Turns a bare CR or LF into CRLF: sent as it is, it could smuggle a second letter past a
/// server that takes it for a line end (RFC 5321 section 2.3.8).
fn dotted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 5);
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = match tail {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
            [] => tail,
        };
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_line_ends_made_whole() {
        for (letter, sent) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\n..\r\na.b\r\n", b"..\r\n...\r\na.b\r\n.\r\n"),
            (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
            (
                b"a\n.\nMAIL FROM:<x>\n",
                b"a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n",
            ),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\n\r\nb", b"a\r\n\r\nb\r\n.\r\n"),
        ] {
            assert_eq!(dotted(letter), sent, "{letter:?}");
        }
    }
}
