//! The capabilities that a server announces in its reply to EHLO.

use lettre::transport::smtp::authentication::Mechanism;

use super::reply::Reply;

/// The extensions of a server that the mailer uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) starttls: bool,
    pub(super) smtputf8: bool,
    pub(super) eight_bit: bool,
    pub(super) pipelining: bool,
    plain: bool,
    login: bool,
}

impl Offer {
    /// Reads the reply to EHLO: the name in the first line, then one keyword per line, in any case
    /// (RFC 5321 section 4.1.1.1).
    pub(super) fn read(reply: &Reply) -> Self {
        let mut lines = reply.lines.iter();
        let name = lines.next().and_then(|line| line.split(' ').next());
        let mut offer = Self {
            name: name.unwrap_or_default().to_owned(),
            ..Self::default()
        };
        for line in lines {
            let line = line.to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => offer.starttls = true,
                Some("SMTPUTF8") => offer.smtputf8 = true,
                Some("8BITMIME") => offer.eight_bit = true,
                Some("PIPELINING") => offer.pipelining = true,
                Some("AUTH") => words.for_each(|mechanism| offer.add(mechanism)),
                _ => {}
            }
        }
        offer
    }

    fn add(&mut self, mechanism: &str) {
        match mechanism {
            "PLAIN" => self.plain = true,
            "LOGIN" => self.login = true,
            _ => {}
        }
    }

    /// Returns PLAIN if the server offers it, else LOGIN.
    pub(super) fn mechanism(&self) -> Option<Mechanism> {
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
            "AUTH CRAM-MD5 login",
        ];
        let offer = Offer::read(&Reply {
            code: 250,
            lines: lines.map(str::to_owned).into(),
        });
        assert!(!offer.starttls);
        assert!(offer.smtputf8 && offer.eight_bit && offer.pipelining);
        assert_eq!(offer.mechanism(), Some(Mechanism::Login));
    }
}
