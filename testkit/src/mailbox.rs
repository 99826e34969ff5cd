//! The letters that a mail server received, read as a person would.

use std::time::Duration;

use mail_parser::MessageParser;
use tokio::sync::watch;

use crate::SmtpServer;
use crate::smtp::Seen;

/// The time a test waits for a letter.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The letters that an [`SmtpServer`] accepted.
#[derive(Debug, Clone)]
pub struct Mailbox(watch::Receiver<Seen>);

impl SmtpServer {
    /// The letters that it accepted, to be asked for by address.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox(self.watch())
    }
}

impl Mailbox {
    /// Every letter to this address, in the order in which they arrived.
    pub fn letters_to(&self, address: &str) -> Vec<Letter> {
        letters_to(&self.0.borrow(), address)
    }

    /// The last letter to this address that has arrived.
    pub fn last_to(&self, address: &str) -> Option<Letter> {
        self.letters_to(address).pop()
    }

    /// Waits for a letter to this address, and returns the last one.
    ///
    /// # Panics
    /// If none arrives within 30 s.
    pub async fn wait_for(&self, address: &str) -> Letter {
        let mut seen = self.0.clone();
        let arrived = seen.wait_for(|seen| !letters_to(seen, address).is_empty());
        let arrived = tokio::time::timeout(ARRIVAL_TIMEOUT, arrived).await;
        let letter = arrived.ok().and_then(Result::ok);
        let letter = letter.and_then(|seen| letters_to(&seen, address).pop());
        letter.unwrap_or_else(|| panic!("no letter to {address} arrived within 30 s"))
    }
}

fn letters_to(seen: &Seen, address: &str) -> Vec<Letter> {
    let letters = seen.letters.iter();
    let theirs = letters.filter(|letter| letter.to.eq_ignore_ascii_case(address));
    let accepted = theirs.filter(|letter| letter.is_accepted());
    accepted
        .map(|letter| Letter::read(&letter.text()))
        .collect()
}

/// A letter as its recipient reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Letter {
    /// The subject.
    pub subject: String,
    /// The part in plain text.
    pub text: String,
    /// The part in HTML; empty if there is none.
    pub html: String,
}

impl Letter {
    fn read(source: &str) -> Self {
        let Some(message) = MessageParser::default().parse(source) else {
            // Without a header, all of it is text.
            return Self {
                subject: String::new(),
                text: source.to_owned(),
                html: String::new(),
            };
        };
        let text = message.body_text(0).unwrap_or_default();
        let html = message.body_html(0).unwrap_or_default();
        Self {
            subject: message.subject().unwrap_or_default().to_owned(),
            text: text.into_owned(),
            html: html.into_owned(),
        }
    }

    /// The link of the invitation: the first one outside of the inviter's message, whose lines start
    /// with `>`.
    pub fn link(&self) -> Option<&str> {
        let lines = self.text.lines().filter(|line| !line.starts_with('>'));
        lines.flat_map(links).next()
    }

    /// Every link of the plain text.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        links(&self.text)
    }
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "<>()\"".contains(c));
    words.filter(|word| word.starts_with("https://") || word.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_text_and_links_are_decoded() {
        let letter = Letter::read(
            "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nContent-Transfer-Encoding: quoted-printable\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nCome: https://a.example/join/a=\r\nb=C3=BC\r\n\
             or <http://b.example/?x=3D1>.\r\n",
        );
        assert_eq!(letter.subject, "Grüße");
        let links: Vec<&str> = letter.links().collect();
        assert_eq!(
            links,
            ["https://a.example/join/abü", "http://b.example/?x=1"]
        );
        assert_eq!(letter.link(), Some("https://a.example/join/abü"));
    }

    #[test]
    fn link_in_a_message_is_not_the_invitations() {
        let letter =
            Letter::read("Subject: Hi\r\n\r\n> see http://b.example\r\n\r\nhttp://a.example/1\r\n");
        assert_eq!(letter.link(), Some("http://a.example/1"));
        assert_eq!(letter.links().count(), 2);
    }

    #[test]
    fn letter_without_a_header_is_text() {
        assert_eq!(Letter::read("").text, "");
        assert_eq!(Letter::read("0123456789\r\n").text, "0123456789\r\n");
    }

    #[test]
    fn letter_without_a_link_has_none() {
        assert_eq!(Letter::read("Subject: Hi\r\n\r\nHello\r\n").link(), None);
    }
}
