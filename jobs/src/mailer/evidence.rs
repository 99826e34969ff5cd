//! The results of other letters, by which a refusal is judged.

/// The number of recipients whose same refusal speaks of the server or the sender.
const EVERYBODY: usize = 3;

/// The number of requests to slow down after which a domain, or a recipient, is taken to ask if no other
/// does.
pub(super) const ASKED: usize = 3;

/// The odds against chance above which the requests that one recipient meets slow down no other.
const LIKELY: f64 = 10.0;

/// The number of requests to slow down, each followed by an accepted letter to another recipient, after which
/// they are the recipient's own: a server that refuses one letter in five refuses one in 400,000 so often.
const ROUNDS: u32 = 8;

/// The results of other letters, at the time of a refusal.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The recipients with the same refusal since a letter was last accepted.
    pub(super) recipients: Vec<u64>,
    /// Those of them whose refusal is not known to be their own.
    pub(super) doubtful: Spread,
    /// True if a letter to another recipient was accepted within the window.
    pub(super) others_are_accepted: bool,
    /// True if a letter to another domain was accepted within the window.
    pub(super) other_domains_are_accepted: bool,
    /// The number of times that the recipient met the refusal before a letter to another was accepted.
    pub(super) rounds: u32,
    /// The number of the same refusals lately, whatever was accepted since.
    pub(super) recent: usize,
    /// The number of those of this recipient.
    pub(super) recent_own: usize,
    /// The number of their domains.
    pub(super) recent_domains: usize,
    /// The number of their recipients.
    pub(super) recent_recipients: usize,
    /// True if a letter to another recipient was accepted after the first of them.
    pub(super) others_are_accepted_meanwhile: bool,
    /// The odds against meeting the refusal so often by chance, if the server refused each letter with the
    /// same probability.
    pub(super) odds: f64,
    /// True if the refusal was met too often to be the server's to everybody.
    pub(super) is_repeated: bool,
}

/// The side that a request to slow down comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The server, for all letters.
    Server,
    /// The recipient or its domain, through a server that passes its words on.
    Recipient,
    /// Either; the next requests will tell.
    Unclear,
}

/// The numbers of recipients, of their domains and of their organizations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) recipients: usize,
    pub(super) domains: usize,
    pub(super) organizations: usize,
}

impl Evidence {
    /// Returns true if the same refusal met several recipients that have little in common. Those who
    /// met it before, while others were accepted, do not count.
    pub(super) fn is_everybody(&self) -> bool {
        let Spread {
            recipients,
            domains,
            organizations,
        } = self.doubtful;
        recipients >= EVERYBODY && (domains >= 2 || organizations >= 2)
    }

    /// Returns the side that a request to slow down comes from, if a relay may pass on what a domain
    /// says. A domain that asks for itself must not slow down the letters to others.
    pub(super) fn asker_or_domain(&self) -> Asker {
        if !self.other_domains_are_accepted {
            return Asker::Server;
        }
        if self.recent_domains >= 2 && self.recent_recipients >= EVERYBODY {
            return self.asker();
        }
        let is_of_domain = self.recent_domains == 1 && self.recent >= ASKED;
        let is_of_recipient = self.recent_own >= ASKED && self.others_are_accepted_meanwhile;
        match is_of_domain || is_of_recipient {
            true => Asker::Recipient,
            false => Asker::Unclear,
        }
    }

    /// Returns the side that a request to slow down comes from. A letter that meets it again and again
    /// while others are accepted must not slow them down.
    pub(super) fn asker(&self) -> Asker {
        let is_of_one_letter = self.recent >= 2 && self.recent_recipients == 1;
        let is_asked_long = self.recent >= ASKED && self.others_are_accepted_meanwhile;
        if !self.others_are_accepted {
            Asker::Server
        } else if self.is_repeated || self.rounds >= ROUNDS || is_of_one_letter && is_asked_long {
            Asker::Recipient
        } else if is_of_one_letter || self.odds >= LIKELY {
            Asker::Unclear
        } else {
            Asker::Server
        }
    }

    /// Returns true if letters to others are accepted while those to this recipient meet the refusal.
    pub(super) fn is_alone(&self) -> bool {
        self.rounds > 0 && !self.is_everybody()
    }

    /// Returns true if the refusal, known to be nobody's own, met another recipient too since a letter was
    /// last accepted.
    pub(super) fn is_of_several_recipients(&self) -> bool {
        self.doubtful.recipients >= 2
    }

    /// Returns true if it also met several organizations, so that no organization caused it alone.
    pub(super) fn is_of_several_organizations(&self) -> bool {
        self.is_everybody() && self.doubtful.organizations >= 2
    }
}
