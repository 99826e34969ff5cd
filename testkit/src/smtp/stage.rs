//! The points of a session.

use std::fmt;

/// A point of a session at which a [`Rule`](super::Rule) can act: a command, or one of three points without
/// a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The greeting.
    Connect,
    /// The command EHLO.
    Ehlo,
    /// The command HELO.
    Helo,
    /// The command STARTTLS.
    StartTls,
    /// The command AUTH, once the credentials were read.
    Auth,
    /// The command MAIL.
    Mail,
    /// The command RCPT.
    Rcpt,
    /// The command DATA.
    Data,
    /// The middle of a letter, after its first line.
    Body,
    /// The point after the final dot of a letter.
    End,
    /// The command RSET.
    Rset,
    /// The command QUIT.
    Quit,
}

impl Stage {
    /// The command, such as `RCPT`; `CONNECT`, `BODY` and `END` are the points without one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Body => "BODY",
            Self::End => "END",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
