//! One row of the table and how it matches.

use super::text::Text;
use super::{Hint, ReplyClass};
use crate::smtp::Stage;

/// A row of the table. All of its conditions must hold.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) stages: &'static [Stage],
    pub(super) codes: Codes,
    /// Enhanced codes of which one must be there; empty: any or none.
    pub(super) status: &'static [Status],
    /// Lists of phrases of which one must be in the text; empty: any text.
    pub(super) words: &'static [&'static [&'static str]],
    /// Lists of phrases of which none may be in the text.
    pub(super) unless: &'static [&'static [&'static str]],
    pub(super) class: ReplyClass,
    pub(super) everybody: ReplyClass,
    pub(super) hint: Option<Hint>,
    /// The standards, documents and collections that the rule is drawn from. Only tests read it.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) source: &'static str,
}

/// The reply codes of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Codes {
    Any,
    /// 4yz
    Temporary,
    /// 5yz
    Permanent,
    Only(&'static [u16]),
}

/// Enhanced codes of one subject, of class 4 or 5: `Status(7, 20, 27)` is x.7.20 to x.7.27.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status(pub(super) u16, pub(super) u16, pub(super) u16);

impl Rule {
    /// Returns true for known words about one mailbox, which no server says instead of its own fault.
    pub(super) fn is_surely_of_recipient(&self) -> bool {
        let is_known = !self.words.is_empty() || !self.status.is_empty();
        is_known && self.class == ReplyClass::RecipientLater && self.everybody != ReplyClass::Sender
    }

    pub(super) fn matches(&self, stage: Stage, text: &Text) -> bool {
        let any = |lists: &[&[&str]]| {
            let mut phrases = lists.iter().flat_map(|list| list.iter());
            phrases.any(|phrase| text.has(phrase))
        };
        self.stages.contains(&stage)
            && self.codes.contain(text.code)
            && (self.status.is_empty() || self.status.iter().any(|status| status.is_of(text)))
            && (self.words.is_empty() || any(self.words))
            && !any(self.unless)
    }
}

impl Codes {
    fn contain(self, code: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Temporary => code < 500,
            Self::Permanent => code >= 500,
            Self::Only(codes) => codes.contains(&code),
        }
    }
}

impl Status {
    fn is_of(self, text: &Text) -> bool {
        let Self(subject, first, last) = self;
        text.status.is_some_and(|status| {
            status.subject == subject && (first..=last).contains(&status.detail)
        })
    }
}
