//! Classifies negative replies by the party at fault.

use super::reply::Enhanced;

/// A step of the SMTP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
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

/// The party at fault when a letter is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server cannot take any letter now; the circuit breaker opens.
    Server,
    /// The recipient cannot be reached now; this letter is retried later.
    RecipientForNow,
    /// The recipient cannot be reached at all.
    RecipientForGood,
    /// This letter will never be accepted.
    Letter,
    /// Our configuration or reputation is refused; a person has to fix it.
    Ours,
}

/// Classifies a negative reply by stage, reply code and enhanced code.
///
/// The enhanced code (RFC 3463) is more precise than the reply code (RFC 5321 section 4.2.3) and is
/// checked first. What neither decides depends on the stage: a server that refuses `MAIL` does not
/// know the recipient yet.
pub(super) fn blame(stage: Stage, code: u16, enhanced: Option<Enhanced>) -> Blame {
    let status = enhanced.map(|enhanced| (enhanced.class, enhanced.subject, enhanced.detail));
    match (stage, code, status) {
        // RFC 5321 section 3.8: the server closes the channel, at any stage.
        (_, 421, _) => Blame::Server,
        // RFC 4954 section 6: authentication required, too weak, failed, needs encryption.
        (_, 530 | 534 | 535 | 538, _) => Blame::Ours,
        (
            Stage::Greeting | Stage::Hello | Stage::StartTls | Stage::Auth | Stage::Reset,
            400..=499,
            _,
        ) => Blame::Server,
        (Stage::Greeting | Stage::Hello | Stage::StartTls | Stage::Auth | Stage::Reset, _, _) => {
            Blame::Ours
        }
        // RFC 3463 section 3.3: 3.4 is a letter too big for the system.
        (_, _, Some((5, 3, 4))) => Blame::Letter,
        (_, _, Some((4, 3 | 4, _))) => Blame::Server,
        (_, _, Some((5, 7, _))) => Blame::Ours,
        // RFC 6531 section 3.5 (X.6.7): the recipient's server does not support internationalized
        // addresses.
        (_, _, Some((5, 6, 7))) => Blame::RecipientForGood,
        (_, _, Some((5, 6, _))) => Blame::Letter,
        // RFC 3463 section 3.3 and 3.6: the system's or the protocol's permanent refusal.
        (_, _, Some((5, 3 | 5, _))) => Blame::Ours,
        // RFC 3463 section 3.2: a letter too long; a sender address or system refused.
        (_, _, Some((5, 2, 3))) => Blame::Letter,
        (_, _, Some((5, 1, 7 | 8))) => Blame::Ours,
        (Stage::Mail, 400..=499, _) => Blame::Server,
        (Stage::Mail, 552, _) => Blame::Letter,
        (Stage::Mail, _, _) => Blame::Ours,
        // A full mailbox may be emptied before the invitation expires, even if the reply says
        // permanent.
        (_, _, Some((5, 2, 2))) => Blame::RecipientForNow,
        (_, _, Some((5, 1 | 2, _))) | (Stage::Rcpt, _, Some((5, 4, _))) => Blame::RecipientForGood,
        (_, 400..=499, _) => Blame::RecipientForNow,
        (_, 550 | 551 | 553, _) => Blame::RecipientForGood,
        (_, 552 | 554, _) => Blame::Letter,
        // RFC 5321 section 4.2.2: not understood, out of order, not implemented.
        (_, 500 | 502..=504 | 555, _) => Blame::Ours,
        (Stage::Rcpt, _, _) => Blame::RecipientForGood,
        _ => Blame::Letter,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Stage, code, enhanced code (or `-`), expected classification.
    const TABLE: &[(Stage, u16, &str, Blame)] = &[
        // RFC 5321 section 3.8: 421 at any stage.
        (Stage::Greeting, 421, "-", Blame::Server),
        (Stage::Rcpt, 421, "4.7.0", Blame::Server),
        (Stage::End, 421, "-", Blame::Server),
        // RFC 4954 section 6.
        (Stage::Mail, 530, "5.7.0", Blame::Ours),
        (Stage::Rcpt, 530, "-", Blame::Ours),
        (Stage::Auth, 534, "5.7.9", Blame::Ours),
        (Stage::Auth, 535, "5.7.8", Blame::Ours),
        (Stage::Auth, 538, "5.7.11", Blame::Ours),
        (Stage::Auth, 454, "4.7.0", Blame::Server),
        (Stage::Auth, 504, "5.5.4", Blame::Ours),
        // RFC 3207 section 4.
        (Stage::StartTls, 454, "-", Blame::Server),
        (Stage::StartTls, 501, "-", Blame::Ours),
        // RFC 5321 section 3.1: 554 instead of a greeting.
        (Stage::Greeting, 554, "-", Blame::Ours),
        (Stage::Hello, 550, "-", Blame::Ours),
        (Stage::Hello, 451, "-", Blame::Server),
        (Stage::Reset, 500, "-", Blame::Ours),
        // RFC 3463 sections 3.4 and 3.5: the system and the network, temporarily.
        (Stage::Rcpt, 451, "4.3.0", Blame::Server),
        (Stage::Mail, 452, "4.3.1", Blame::Server),
        (Stage::End, 451, "4.3.2", Blame::Server),
        (Stage::End, 451, "4.4.2", Blame::Server),
        // RFC 5321 section 4.3.2: the replies to MAIL; no recipient is known yet.
        (Stage::Mail, 451, "-", Blame::Server),
        (Stage::Mail, 450, "4.7.1", Blame::Server),
        (Stage::Mail, 550, "-", Blame::Ours),
        (Stage::Mail, 550, "5.1.8", Blame::Ours),
        (Stage::Mail, 553, "5.1.7", Blame::Ours),
        (Stage::Mail, 552, "-", Blame::Letter),
        (Stage::Mail, 552, "5.3.4", Blame::Letter),
        (Stage::Mail, 555, "-", Blame::Ours),
        // The recipient, temporarily; greylisting says 450 or 451 (RFC 6647 section 2).
        (Stage::Rcpt, 450, "-", Blame::RecipientForNow),
        (Stage::Rcpt, 450, "4.2.0", Blame::RecipientForNow),
        (Stage::Rcpt, 451, "4.7.1", Blame::RecipientForNow),
        (Stage::Rcpt, 451, "-", Blame::RecipientForNow),
        (Stage::Rcpt, 452, "4.2.2", Blame::RecipientForNow),
        (Stage::Rcpt, 452, "-", Blame::RecipientForNow),
        (Stage::Rcpt, 552, "5.2.2", Blame::RecipientForNow),
        (Stage::Data, 451, "-", Blame::RecipientForNow),
        (Stage::End, 450, "-", Blame::RecipientForNow),
        (Stage::End, 451, "4.7.1", Blame::RecipientForNow),
        // The recipient, permanently (RFC 3463 sections 3.2 and 3.3).
        (Stage::Rcpt, 550, "5.1.1", Blame::RecipientForGood),
        (Stage::Rcpt, 550, "-", Blame::RecipientForGood),
        (Stage::Rcpt, 551, "-", Blame::RecipientForGood),
        (Stage::Rcpt, 553, "5.1.3", Blame::RecipientForGood),
        (Stage::Rcpt, 553, "-", Blame::RecipientForGood),
        (Stage::Rcpt, 501, "-", Blame::RecipientForGood),
        (Stage::Rcpt, 550, "5.2.1", Blame::RecipientForGood),
        (Stage::Rcpt, 550, "5.4.1", Blame::RecipientForGood),
        (Stage::Rcpt, 554, "5.1.1", Blame::RecipientForGood),
        (Stage::End, 550, "5.1.1", Blame::RecipientForGood),
        (Stage::End, 550, "-", Blame::RecipientForGood),
        // RFC 6531 section 3.5.
        (Stage::Rcpt, 553, "5.6.7", Blame::RecipientForGood),
        // The letter (RFC 3463 sections 3.3, 3.4 and 3.7).
        (Stage::Rcpt, 552, "-", Blame::Letter),
        (Stage::Rcpt, 554, "-", Blame::Letter),
        (Stage::Rcpt, 552, "5.2.3", Blame::Letter),
        (Stage::Data, 554, "-", Blame::Letter),
        (Stage::End, 552, "-", Blame::Letter),
        (Stage::End, 552, "5.3.4", Blame::Letter),
        (Stage::End, 554, "-", Blame::Letter),
        (Stage::End, 554, "5.6.0", Blame::Letter),
        (Stage::End, 550, "5.6.1", Blame::Letter),
        (Stage::End, 501, "-", Blame::Letter),
        // Ours: policy (RFC 3463 section 3.8), system and protocol.
        (Stage::Rcpt, 550, "5.7.1", Blame::Ours),
        (Stage::Rcpt, 554, "5.7.1", Blame::Ours),
        (Stage::End, 550, "5.7.26", Blame::Ours),
        (Stage::Rcpt, 503, "5.5.1", Blame::Ours),
        (Stage::Data, 503, "-", Blame::Ours),
        (Stage::End, 500, "-", Blame::Ours),
        (Stage::End, 550, "5.3.5", Blame::Ours),
    ];

    fn enhanced(text: &str) -> Option<Enhanced> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        Some(Enhanced {
            class: parts.next()??,
            subject: parts.next()??,
            detail: parts.next()??,
        })
    }

    #[test]
    fn every_row_of_the_table_holds() {
        for &(stage, code, status, expected) in TABLE {
            assert_eq!(
                blame(stage, code, enhanced(status)),
                expected,
                "{code} {status} to {stage}"
            );
        }
    }

    #[test]
    fn no_negative_code_is_left_without_blame_for_now_or_for_good() {
        for code in 400..500 {
            let fault = blame(Stage::Rcpt, code, None);
            assert!(
                matches!(fault, Blame::Server | Blame::RecipientForNow),
                "{code}: {fault:?}"
            );
        }
        for code in 500..600 {
            let fault = blame(Stage::Rcpt, code, None);
            assert!(
                !matches!(fault, Blame::Server | Blame::RecipientForNow),
                "{code}: {fault:?}"
            );
        }
    }
}
