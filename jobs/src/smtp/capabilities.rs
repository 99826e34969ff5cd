//! The capabilities that a server announces in its reply to EHLO.

use lettre::transport::smtp::authentication::Mechanism;

use super::reply::Reply;

/// The extensions of a server that the mailer uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) name: String,
    /// The server knows HELO only, which offers no extension.
    pub(crate) knows_only_helo: bool,
    pub(crate) starttls: bool,
    pub(crate) smtputf8: bool,
    pub(crate) eight_bit: bool,
    pub(crate) pipelining: bool,
    pub(crate) size: bool,
    plain: bool,
    login: bool,
    xoauth2: bool,
    oauthbearer: bool,
}

impl Capabilities {
    /// Reads the reply to EHLO: the name in the first line, then one keyword per line, in any case
    /// (RFC 5321 section 4.1.1.1).
    pub(crate) fn read(reply: &Reply) -> Self {
        let mut lines = reply.lines.iter();
        let name = lines.next().and_then(|line| line.split(' ').next());
        let mut capabilities = Self {
            name: name.unwrap_or_default().to_owned(),
            ..Self::default()
        };
        for line in lines {
            let line = line.to_ascii_uppercase();
            // Servers from before RFC 2554 write `AUTH=LOGIN`, some of them beside `AUTH`.
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => capabilities.starttls = true,
                Some("SMTPUTF8") => capabilities.smtputf8 = true,
                Some("8BITMIME") => capabilities.eight_bit = true,
                Some("PIPELINING") => capabilities.pipelining = true,
                Some("SIZE") => capabilities.size = true,
                Some("AUTH") => words.for_each(|mechanism| capabilities.add(mechanism)),
                _ => {}
            }
        }
        capabilities
    }

    /// Reads the reply to HELO.
    pub(crate) fn of_helo(reply: &Reply) -> Self {
        Self {
            knows_only_helo: true,
            ..Self::read(&Reply {
                code: reply.code,
                lines: reply.lines.iter().take(1).cloned().collect(),
            })
        }
    }

    fn add(&mut self, mechanism: &str) {
        match mechanism {
            "PLAIN" => self.plain = true,
            "LOGIN" => self.login = true,
            "XOAUTH2" => self.xoauth2 = true,
            "OAUTHBEARER" => self.oauthbearer = true,
            _ => {}
        }
    }

    /// Returns whether the server takes an access token.
    pub(crate) fn takes_token(&self) -> bool {
        self.xoauth2
    }

    /// Returns whether the server takes an access token by RFC 7628, which the worker does not know.
    pub(crate) fn takes_token_by_oauthbearer(&self) -> bool {
        self.oauthbearer
    }

    /// Returns PLAIN if the server offers it, else LOGIN.
    pub(crate) fn mechanism(&self) -> Option<Mechanism> {
        match (self.plain, self.login) {
            (true, _) => Some(Mechanism::Plain),
            (false, true) => Some(Mechanism::Login),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_count_in_any_case_but_not_in_the_name() {
        let lines = [
            "STARTTLS greets",
            "smtputf8",
            "8bitmime",
            "Pipelining",
            "size 10240000",
            "AUTH CRAM-MD5 login",
        ];
        let capabilities = Capabilities::read(&Reply {
            code: 250,
            lines: lines.map(str::to_owned).into(),
        });
        assert!(!capabilities.starttls);
        assert!(capabilities.smtputf8 && capabilities.eight_bit);
        assert!(capabilities.pipelining && capabilities.size);
        assert_eq!(capabilities.mechanism(), Some(Mechanism::Login));
    }

    #[test]
    fn mechanisms_may_follow_an_equals_sign() {
        for (line, mechanism) in [
            ("AUTH=LOGIN", Mechanism::Login),
            ("auth=login plain", Mechanism::Plain),
            ("AUTH =LOGIN", Mechanism::Login),
        ] {
            let capabilities = Capabilities::read(&Reply {
                code: 250,
                lines: vec!["test".to_owned(), line.to_owned()],
            });
            assert_eq!(capabilities.mechanism(), Some(mechanism), "{line}");
        }
    }
}
