//! The reply of a mail server to a command.

use std::fmt;
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The maximum size of a whole reply, in bytes; RFC 5321 section 4.5.3.1.5 allows a line 512.
const LIMIT: u64 = 32 * 1024;

/// The maximum number of characters of a reply that are shown, logged or stored.
const SHOWN: usize = 400;

/// The maximum number of characters of a queue id that are stored.
const MAX_QUEUE_ID: usize = 100;

/// A complete reply: one code and its lines of text (RFC 5321 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

/// An enhanced status code such as 5.1.1 (RFC 3463 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Enhanced {
    /// 2 success, 4 temporary failure, 5 permanent failure.
    pub(crate) class: u16,
    /// The subject of the status: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content,
    /// 7 policy.
    pub(crate) subject: u16,
    /// The case within the subject.
    pub(crate) detail: u16,
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl Reply {
    /// Reads one reply. Fails on a reply that never ends or is not SMTP.
    pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Self> {
        let mut stream = stream.take(LIMIT);
        let mut reply: Option<Self> = None;
        loop {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                return Err(cut_off(stream.limit() == 0));
            }
            let (code, last, text) = split(&line).ok_or_else(|| malformed("not a reply line"))?;
            let reply = reply.get_or_insert(Self {
                code,
                lines: Vec::new(),
            });
            if reply.code != code {
                return Err(malformed("two codes in one reply"));
            }
            reply.lines.push(text);
            if last {
                return Ok(reply.clone());
            }
        }
    }

    /// Returns the enhanced status code, if there is one whose class matches the reply code (RFC
    /// 2034 section 4).
    pub(crate) fn enhanced(&self) -> Option<Enhanced> {
        let mut parts = self.lines.first()?.split(' ').next()?.split('.');
        let mut part = || {
            parts
                .next()?
                .parse::<u16>()
                .ok()
                .filter(|part| *part < 1000)
        };
        let enhanced = Enhanced {
            class: part()?,
            subject: part()?,
            detail: part()?,
        };
        (parts.next().is_none() && enhanced.class == self.code / 100).then_some(enhanced)
    }

    /// Returns the id under which the server queued a letter: `queued as ID` (Postfix, Sendmail's
    /// descendants, Haraka) or `id=ID` (Exim).
    pub(crate) fn queue_id(&self) -> Option<String> {
        if self.code != 250 {
            return None;
        }
        let text = self.lines.join(" ");
        let (_, id) = text
            .split_once("queued as ")
            .or_else(|| text.split_once("id="))?;
        let is_part = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
        let id: String = id.chars().take_while(is_part).take(MAX_QUEUE_ID).collect();
        (!id.is_empty()).then_some(id)
    }

    /// Returns whether the server refused, temporarily (4yz) or permanently (5yz).
    pub(crate) fn is_negative(&self) -> bool {
        self.code >= 400
    }
}

/// Splits a line into its code, whether it is the reply's last line, and its text.
///
/// A client must accept a code without text (RFC 5321 section 4.2: "250" CRLF).
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (code, rest) = line.split_at_checked(3)?;
    if !matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    Some((code, last, String::from_utf8_lossy(text).into_owned()))
}

fn cut_off(endless: bool) -> io::Error {
    if endless {
        malformed("the reply is too long")
    } else {
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection",
        )
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Formats the reply for people and logs: addresses masked, control characters removed, length
/// limited.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.lines.join(" ");
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .map(mask)
            .collect();
        let text: String = words.join(" ").chars().take(SHOWN).collect();
        write!(f, "{} {text}", self.code)
    }
}

/// Masks a word that contains an address, because servers often repeat the recipient.
fn mask(word: &str) -> String {
    let Some((local, domain)) = word.rsplit_once('@') else {
        return word.to_owned();
    };
    let start = local
        .rfind(|c: char| "<(:;,\"'[=".contains(c))
        .map_or(0, |before| before + 1);
    let (before, local) = local.split_at(start);
    let first: String = local.chars().take(1).collect();
    format!("{before}{first}…@{domain}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn read(mut bytes: &[u8]) -> io::Result<Reply> {
        Reply::read(&mut bytes).await
    }

    #[tokio::test]
    async fn a_reply_of_several_lines_is_one_reply() {
        let reply = read(b"250-mx.example\r\n250-SIZE 1\r\n250 SMTPUTF8\r\n")
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
        assert_eq!(reply.lines, ["mx.example", "SIZE 1", "SMTPUTF8"]);
    }

    #[tokio::test]
    async fn queue_ids_are_found() {
        for (bytes, id) in [
            (&b"250 2.0.0 Ok: queued as 4c2Xq1\r\n"[..], Some("4c2Xq1")),
            (b"250 OK id=1wAbCd-0001Xy-2Z\r\n", Some("1wAbCd-0001Xy-2Z")),
            (b"250 2.0.0 Ok\r\n", None),
            (b"550 queued as never\r\n", None),
        ] {
            let reply = read(bytes).await.unwrap();
            assert_eq!(reply.queue_id().as_deref(), id);
        }
    }

    #[tokio::test]
    async fn a_code_without_text_is_a_reply() {
        assert_eq!(read(b"250\r\n").await.unwrap().code, 250);
    }

    #[tokio::test]
    async fn what_is_not_smtp_is_refused() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n"[..],
            b"2x0 hi\r\n",
            b"950 hi\r\n",
            b"250-a\r\n251 b\r\n",
        ] {
            let error = read(bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn endless_lines_and_an_endless_line_are_refused() {
        let lines = b"250-again\r\n".repeat(10_000);
        let line = b"2".repeat(100_000);
        for bytes in [lines, line] {
            let error = read(&bytes).await.unwrap_err();
            assert_eq!(error.to_string(), "the reply is too long");
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_not_a_malformed_reply() {
        let error = read(b"250-half").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_enhanced_code_counts_only_if_its_class_agrees() {
        let enhanced = async |bytes: &[u8]| read(bytes).await.unwrap().enhanced();
        let expected = Enhanced {
            class: 5,
            subject: 1,
            detail: 1,
        };
        assert_eq!(
            enhanced(b"550 5.1.1 no such user\r\n").await,
            Some(expected)
        );
        assert_eq!(enhanced(b"550 4.1.1 no such user\r\n").await, None);
        assert_eq!(enhanced(b"550 5.1.1.1 no such user\r\n").await, None);
        assert_eq!(enhanced(b"550 no such user\r\n").await, None);
    }

    #[tokio::test]
    async fn a_shown_reply_holds_no_address_and_no_control() {
        let reply = read(b"550 5.1.1 <bob.jones@b.co>: \x1b[31mgone; ask help@b.co\r\n")
            .await
            .unwrap();
        assert_eq!(
            reply.to_string(),
            "550 5.1.1 <b…@b.co>: [31mgone; ask h…@b.co"
        );
        let long = read(format!("550 {}\r\n", "é".repeat(2_000)).as_bytes())
            .await
            .unwrap();
        assert_eq!(long.to_string().chars().count(), 4 + SHOWN);
    }
}
