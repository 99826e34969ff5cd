//! The steps of an SMTP session.

/// A step of the SMTP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's greeting.
    Greeting,
    /// `EHLO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`.
    Auth,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`, until 354.
    Data,
    /// The letter itself, before its final dot was written.
    Block,
    /// The final dot was written and the server has not answered yet.
    End,
    /// `RSET` between two letters.
    Reset,
    /// `QUIT`.
    Quit,
}

impl Stage {
    /// Returns the word under which attempts are recorded.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Connect | Self::Tls | Self::Greeting => "connect",
            Self::Hello => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Block => "letter",
            Self::End => "end",
            Self::Reset => "rset",
            Self::Quit => "quit",
        }
    }

    /// Returns true for the steps before a recipient is named, whose replies speak of the server or of
    /// the sender.
    pub(crate) fn precedes_recipient(self) -> bool {
        !matches!(self, Self::Rcpt | Self::Data | Self::Block | Self::End)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connection",
            Self::Tls => "the TLS handshake",
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Block => "the letter",
            Self::End => "the final dot",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        })
    }
}
