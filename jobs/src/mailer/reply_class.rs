//! Classifies negative replies by their probable cause.
//!
//! Reply codes alone mislead: providers answer 550 to a missing mailbox, to a sender on a block list
//! and to a rate that is too high, and the enhanced code is often absent or wrong. The words decide, in
//! a table of rules of which the first that matches wins. `jobs/tests/data/replies.tsv` holds the
//! documented replies that the table is tested on.

mod fingerprint;
#[rustfmt::skip]
mod phrases;
mod rule;
mod rules;
mod text;

use self::rules::RULES;
use self::text::Text;
use crate::smtp::Reply;
use crate::smtp::Stage;

pub(super) use self::fingerprint::fingerprint;

/// Probable cause of a negative reply, read from stage, code and words alone: a prior, not a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyClass {
    /// The mailbox or its domain is missing or disabled.
    MailboxMissing,
    /// The recipient or the recipient's organization does not take this letter.
    Recipient,
    /// The recipient cannot be reached now.
    RecipientLater,
    /// This letter is refused for its content or its form.
    Letter,
    /// The sender's configuration, account or reputation is refused; a person has to mend it.
    Sender,
    /// The server takes no letter now.
    ServerLater,
    /// An earlier command of the same transaction was refused; this reply only follows from that.
    Consequence,
}

/// A change of the mailer's behavior that a reply asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Send fewer letters in a given time.
    SlowDown,
    /// Hold fewer connections at once.
    FewerConnections,
    /// Open another connection; this one takes no more letters.
    Reconnect,
    /// Try each letter again by itself: the server waits for the second try of each recipient.
    TryEach,
}

/// A classified reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prior {
    /// The cause if other recipients are accepted meanwhile.
    pub(super) class: ReplyClass,
    /// The cause if every recipient gets this reply.
    pub(super) everybody: ReplyClass,
    /// The recipient's address may be suppressed, provided that other recipients are accepted.
    pub(super) may_suppress: bool,
    pub(super) hint: Option<Hint>,
    /// True if the words say that this recipient alone is to be tried later, whatever others get.
    pub(super) is_surely_of_recipient: bool,
    /// The name of the rule that matched.
    pub(super) rule: &'static str,
}

/// Classifies a reply to the command or step `stage`. Returns `None` unless the reply is negative.
pub(super) fn classify(stage: Stage, reply: &Reply) -> Option<Prior> {
    if !reply.is_negative() {
        return None;
    }
    let text = Text::new(reply);
    let rule = RULES.iter().find(|rule| rule.matches(stage, &text))?;
    Some(Prior {
        class: rule.class,
        everybody: rule.everybody,
        may_suppress: rule.class == ReplyClass::MailboxMissing,
        hint: rule.hint,
        is_surely_of_recipient: rule.is_surely_of_recipient(),
        rule: rule.name,
    })
}

#[cfg(test)]
pub(crate) mod documented;
#[cfg(test)]
mod tests;
