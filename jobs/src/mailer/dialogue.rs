//! SMTP commands and replies on one stream, each with a deadline.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::blame::Stage;
use super::failure::Failure;
use super::fence::Fence;
use super::reply::Reply;
use super::tally::Tally;

/// The size of one block of a letter, in bytes. Each block has a deadline of its own.
const BLOCK: usize = 16 * 1024;

/// A TCP connection, or TLS over one.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Sends commands and reads replies in order: a reply is read only after its command, and an
/// unexpected one is an error.
pub(super) struct Dialogue {
    stream: BufReader<Box<dyn Wire>>,
    tally: Tally,
}

impl Dialogue {
    pub(super) fn new(stream: TcpStream, tally: Tally) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            tally,
        }
    }

    /// Wraps the stream in TLS.
    ///
    /// Data that arrived in clear beforehand would be read as if it had come encrypted, so any such
    /// data is an error (RFC 3207 section 4.2 requires both sides to discard earlier state).
    pub(super) async fn encrypt(
        self,
        connector: &TlsConnector,
        name: ServerName<'static>,
        deadline: Duration,
    ) -> Result<Self, Failure> {
        if !self.stream.buffer().is_empty() {
            return Err(Failure::Injected);
        }
        let stream = within(
            Stage::Tls,
            deadline,
            connector.connect(name, self.stream.into_inner()),
        )
        .await?
        .map_err(Failure::handshake)?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
            tally: self.tally,
        })
    }

    /// Sends a command and reads its reply. A code that is not in `expected` is an error.
    pub(super) async fn command(
        &mut self,
        stage: Stage,
        command: impl Display,
        expected: &[u16],
        deadline: Duration,
    ) -> Result<Reply, Failure> {
        self.ask(stage, &command.to_string(), deadline).await?;
        self.reply(stage, expected, deadline).await
    }

    /// Sends a command or a group of commands, whose replies are then read one by one.
    pub(super) async fn ask(
        &mut self,
        stage: Stage,
        commands: &str,
        deadline: Duration,
    ) -> Result<(), Failure> {
        if !self.stream.buffer().is_empty() {
            return Err(lost(stage)(unasked()));
        }
        within(stage, deadline, self.write(commands.as_bytes()))
            .await?
            .map_err(lost(stage))
    }

    /// Reads the next reply.
    pub(super) async fn reply(
        &mut self,
        stage: Stage,
        expected: &[u16],
        deadline: Duration,
    ) -> Result<Reply, Failure> {
        let reply = self.any_reply(stage, deadline).await?;
        self.tally.reply(reply.code);
        match reply {
            reply if expected.contains(&reply.code) => Ok(reply),
            reply if reply.is_negative() => Err(Failure::Negative { stage, reply }),
            reply => Err(Failure::OutOfOrder { stage, reply }),
        }
    }

    /// Reads a reply of any code without counting it; used for the replies after a refusal.
    pub(super) async fn any_reply(
        &mut self,
        stage: Stage,
        deadline: Duration,
    ) -> Result<Reply, Failure> {
        within(stage, deadline, Reply::read(&mut self.stream))
            .await?
            .map_err(lost(stage))
    }

    /// Sends the letter with its final dot, block by block.
    ///
    /// The dot is part of the last block, not a packet of its own, so that no delayed
    /// acknowledgement holds it up. An error means that the dot cannot have arrived. The fence is
    /// checked before each block, and so before the last one, which cannot be taken back.
    pub(super) async fn letter(
        &mut self,
        bytes: &[u8],
        fence: &Fence,
        deadline: Duration,
    ) -> Result<(), Failure> {
        if !self.stream.buffer().is_empty() {
            return Err(lost(Stage::Block)(unasked()));
        }
        for block in dotted(bytes).chunks(BLOCK) {
            fence.check()?;
            within(Stage::Block, deadline, self.write(block))
                .await?
                .map_err(lost(Stage::Block))?;
        }
        Ok(())
    }

    /// Waits until the server closes the connection or sends something unexpected; either makes the
    /// connection unusable. Cancel-safe.
    pub(super) async fn broken(&mut self) {
        // Data, end of stream and errors are all unexpected between letters.
        let _ = self.stream.fill_buf().await;
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

/// Bounds a step by its deadline.
pub(super) async fn within<T>(
    stage: Stage,
    after: Duration,
    step: impl Future<Output = T>,
) -> Result<T, Failure> {
    timeout(after, step)
        .await
        .map_err(|_| Failure::Deadline { stage, after })
}

fn lost(stage: Stage) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::Lost { stage, source }
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
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
            .unwrap_or(rest.len());
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
