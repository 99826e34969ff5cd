//! The lines of a client.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio_rustls::TlsAcceptor;

/// Longest line that a client may send, with a margin over the 1000 bytes of RFC 5321 section 4.5.3.1.6.
const LONGEST_LINE: usize = 8192;

/// A fatal alert `handshake_failure` of TLS 1.2 (RFC 5246 sections 6.2.1 and 7.2).
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, read by lines.
pub(super) struct ClientStream {
    stream: BufReader<Box<dyn Stream>>,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    ahead: VecDeque<Vec<u8>>,
}

impl ClientStream {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            line: Vec::new(),
            ahead: VecDeque::new(),
        }
    }

    /// Speaks TLS from now on. What the client sent before the handshake is dropped.
    pub(super) async fn encrypt(self, tls: &TlsAcceptor) -> io::Result<Self> {
        Ok(Self::new(tls.accept(self.stream.into_inner()).await?))
    }

    /// Fails the client's TLS handshake.
    pub(super) async fn break_handshake(&mut self) -> io::Result<()> {
        self.stream.read_u8().await?;
        self.stream.write_all(&HANDSHAKE_FAILURE).await?;
        self.stream.shutdown().await
    }

    /// Returns the next line with its CRLF. The end of the connection or a longer line is an error.
    pub(super) async fn next_line(&mut self) -> io::Result<Vec<u8>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(line),
            None => self.read_line().await,
        }
    }

    /// Returns the next line as text, without its CRLF.
    pub(super) async fn next_text(&mut self) -> io::Result<String> {
        Ok(text(&self.next_line().await?))
    }

    /// Reads one more line, which stays for [`Self::next_line`], and returns it as text. Loses nothing if
    /// the future is dropped.
    pub(super) async fn read_ahead(&mut self) -> io::Result<String> {
        let line = self.read_line().await?;
        let text = text(&line);
        self.ahead.push_back(line);
        Ok(text)
    }

    /// True if the next line was read by [`Self::read_ahead`].
    pub(super) fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    async fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        let mut limited = (&mut self.stream).take(room as u64);
        limited.read_until(b'\n', &mut self.line).await?;
        if self.line.ends_with(b"\r\n") {
            Ok(std::mem::take(&mut self.line))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    pub(super) async fn send(&mut self, lines: &str) -> io::Result<()> {
        self.write(format!("{lines}\r\n").as_bytes()).await
    }

    pub(super) async fn send_slowly(&mut self, lines: &str, pause: Duration) -> io::Result<()> {
        for byte in format!("{lines}\r\n").into_bytes() {
            self.write(&[byte]).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches(['\r', '\n'])
        .to_owned()
}
