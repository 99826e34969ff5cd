//! Bounces: letters that came back after a mail server had accepted them.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::actor::Actor;
use crate::connection::{Lend, sql};
use crate::envelope::SentLetter;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::invitation::{self, Invitation};
use crate::smtp_reply_line::one_line;
use crate::status::{Delivery, Status};
use crate::suppression::suppress;
use crate::text_enum::text_enum;

/// The report of a mail server on a letter, as in a delivery status notification (RFC 3464).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounce {
    /// The kind, by the field `Action`.
    pub kind: BounceKind,
    /// The enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
    /// The words of the mail server that refused the letter.
    pub diagnostic: Option<String>,
}

text_enum! {
    /// The kind of a bounce.
    BounceKind {
        /// The letter was given up: `Action: failed`.
        Hard = "hard",
        /// The letter waits and is tried again: `Action: delayed`.
        Soft = "soft",
    }
}

text_enum! {
    /// The effect of a bounce.
    BounceEffect {
        /// The invitation's delivery failed, and the inviter is told.
        Bounced = "bounced",
        /// Like `bounced`, and the address is suppressed, because its mailbox does not exist or is
        /// disabled.
        Suppressed = "suppressed",
        /// None: the letter waits and is tried again.
        Delayed = "delayed",
        /// None: the failure of this letter is recorded already.
        Repeated = "repeated",
        /// Only an event: a newer letter of the invitation was sent since.
        Older = "older",
        /// Only an event: the invitation was accepted or is closed or expired.
        Closed = "closed",
        /// None: the invitation is gone.
        Gone = "gone",
    }
}

impl Bounce {
    /// Makes a bounce of a kind, without status and diagnostic.
    pub fn new(kind: BounceKind) -> Self {
        Self {
            kind,
            status: None,
            diagnostic: None,
        }
    }

    /// Returns the text that the inviter reads. Addresses in it are masked, because a mailbox may have
    /// forwarded the letter to one that the inviter does not know.
    fn reason(&self) -> String {
        let status = self.status.as_deref();
        let diagnostic = self.diagnostic.as_deref();
        let text = diagnostic.or(status).unwrap_or("returned by a mail server");
        let words: Vec<_> = text.split_whitespace().map(masked).collect();
        one_line(&words.join(" "))
    }

    /// Returns `true` if it says that the mailbox does not exist or is disabled. The words decide,
    /// because status codes alone are often wrong; without words, only 5.1.1 does (RFC 3463 section
    /// 3.2).
    fn says_mailbox_is_missing(&self) -> bool {
        let status = self.status.as_deref().unwrap_or("5");
        if self.kind != BounceKind::Hard || !status.starts_with('5') {
            return false;
        }
        match &self.diagnostic {
            Some(words) => {
                // A phrase may be folded over two lines.
                let words: Vec<_> = words.split_whitespace().collect();
                let words = words.join(" ").to_lowercase();
                let is_missing = MISSING.iter().any(|phrase| words.contains(phrase));
                let somebody_is = NAMED_MISSING.iter().any(|phrase| {
                    let named = words.split_once(phrase);
                    named.is_some_and(|(before, _)| NAMES.iter().any(|name| before.contains(name)))
                });
                (is_missing || somebody_is)
                    && !VETO.iter().any(|phrase| contains_word(&words, phrase))
            }
            None => status == "5.1.1",
        }
    }
}

/// Masks the local part of an address in a word.
fn masked(word: &str) -> String {
    let Some((local, domain)) = word.rsplit_once('@') else {
        return word.to_owned();
    };
    let start = local.rfind(|c: char| "<(:;,\"'[=".contains(c));
    let (before, local) = local.split_at(start.map_or(0, |before| before + 1));
    let first: String = local.chars().take(1).collect();
    format!("{before}{first}…@{domain}")
}

/// Phrases by which mail servers say that a mailbox is missing or disabled.
const MISSING: &[&str] = &[
    "unknown user",
    "user unknown",
    "no such user",
    "no such mailbox",
    "no such recipient",
    "mailbox not found",
    "user not found",
    "recipient not found",
    "recipientnotfound",
    "no mailbox",
    "unallocated",
];

/// Phrases that say so only of what [`NAMES`] name before them; otherwise a host name or a contract
/// may be meant.
const NAMED_MISSING: &[&str] = &["not exist", "doesn't exist", "disabled", "inactive"];

/// Words for a mailbox.
const NAMES: &[&str] = &[
    "user",
    "mailbox",
    "recipient",
    "address",
    "account",
    "email",
    "@",
];

/// Words by which a mail server says something else, whatever else it says: about the sender, about
/// the letter, or for now.
const VETO: &[&str] = &[
    "rate",
    "too many",
    "quota",
    "overquota",
    "full",
    "storage",
    "preferences",
    "blacklist",
    "blacklisted",
    "blocked using",
    "block list",
    "blocklist",
    "policy",
    "ip",
    "spf",
    "dkim",
    "dmarc",
    "relay",
    "relaying",
    "quarantine",
    "quarantined",
    "single label",
    "spam",
    "sender",
    "helo",
    "client host",
    "hostname",
    "host name",
    "return path",
    "return-path",
    "bounce address",
    "reply-to",
    "message-id",
    "subject",
    "licence",
    "license",
    "subscription",
    "your plan",
    "your domain",
];

/// Returns `true` if the text contains the phrase, and not as a part of longer words.
fn contains_word(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + phrase.len()..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    })
}

impl Guestlist {
    /// Records a bounce of a letter.
    ///
    /// A hard bounce of the newest letter of an open invitation fails its delivery and tells the
    /// inviter once; if it says that the mailbox does not exist or is disabled, the address is
    /// suppressed. A bounce of an older letter, or of an invitation that is closed, only writes an
    /// event, and a soft bounce changes nothing.
    ///
    /// ```
    /// # use guestlist::{Bounce, BounceKind, Connection, Error, Guestlist};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, recipient: &str) -> Result<(), Error> {
    /// // The address that the mail server or provider returned the letter to.
    /// if let Some(letter) = guestlist.sent_letter(recipient) {
    ///     let mut bounce = Bounce::new(BounceKind::Hard);
    ///     bounce.status = Some("5.1.1".to_owned());
    ///     bounce.diagnostic = Some("550 5.1.1 no such user".to_owned());
    ///     let effect = guestlist.record_bounce(&mut *tx, letter, &bounce).await?;
    ///     println!("{effect}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoTransaction`], [`Error::Database`].
    pub async fn record_bounce(
        &self,
        connection: impl Lend<'_>,
        letter: SentLetter,
        bounce: &Bounce,
    ) -> Result<BounceEffect, Error> {
        let mut connection = connection.lend();
        connection.require_transaction()?;
        if bounce.kind == BounceKind::Soft {
            return Ok(BounceEffect::Delayed);
        }
        let now = self.now();
        let found = invitation::find_locked(&mut connection, letter.invitation).await?;
        let Some(invitation) = found.map(|found| found.seen_at(now)) else {
            return Ok(BounceEffect::Gone);
        };
        let effect = effect(now, &invitation, letter, bounce);
        let kind = match effect {
            BounceEffect::Bounced | BounceEffect::Suppressed => EventKind::InvitationBounced,
            BounceEffect::Older | BounceEffect::Closed => EventKind::InvitationBouncedLate,
            _ => return Ok(effect),
        };
        let (reason, email) = (bounce.reason(), &invitation.email);
        if kind == EventKind::InvitationBounced {
            let statement = sql(
                "UPDATE guestlist_invitations SET delivery = 'failed', delivery_detail = $2, bounced_at = $3
                 WHERE id = $1",
            );
            let statement = statement.bind(invitation.id.as_uuid());
            let statement = statement.bind(reason.as_str()).bind(now);
            connection.execute(statement).await?;
        }
        if effect == BounceEffect::Suppressed {
            suppress(&mut connection, now, email, &reason).await?;
        }
        let facts = json!({ "email": email, "letter": letter.letter, "reason": reason });
        Event::new(now, invitation.organization, kind, invitation.id)
            .by(self.attributed_to(None::<Actor>))
            .after(facts)
            .record(&mut connection)
            .await?;
        Ok(effect)
    }
}

/// Decides on a hard bounce.
fn effect(
    now: DateTime<Utc>,
    invitation: &Invitation,
    letter: SentLetter,
    bounce: &Bounce,
) -> BounceEffect {
    if invitation.status_at(now) != Status::Pending {
        return BounceEffect::Closed;
    }
    if invitation.letters != letter.letter {
        return BounceEffect::Older;
    }
    match invitation.delivery {
        Delivery::Failed | Delivery::Bounced => BounceEffect::Repeated,
        _ if bounce.says_mailbox_is_missing() => BounceEffect::Suppressed,
        _ => BounceEffect::Bounced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(status: Option<&str>, diagnostic: Option<&str>) -> Bounce {
        Bounce {
            status: status.map(str::to_owned),
            diagnostic: diagnostic.map(str::to_owned),
            ..Bounce::new(BounceKind::Hard)
        }
    }

    #[test]
    fn only_words_of_a_missing_mailbox_suppress() {
        for (status, words, expected) in [
            (Some("5.1.1"), None, true),
            (Some("5.2.1"), None, false),
            (None, None, false),
            (
                Some("5.1.1"),
                Some("550 5.1.1 <b…@x.example>: User unknown"),
                true,
            ),
            (Some("5.0.0"), Some("550 generated: mailbox disabled"), true),
            (
                Some("5.1.10"),
                Some("550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
                true,
            ),
            (
                Some("4.4.7"),
                Some("no such user, delivery time expired"),
                false,
            ),
            (
                Some("5.1.1"),
                Some("550 5.1.1 too many recipients this hour"),
                false,
            ),
            (
                Some("5.1.1"),
                Some("550 account disabled: over quota"),
                false,
            ),
            (
                Some("5.2.1"),
                Some("550 5.2.1 receiving mail at a rate that …, no such user"),
                false,
            ),
            (
                Some("5.7.1"),
                Some("554 Client host [1.2.3.4] blocked using a list; user unknown"),
                false,
            ),
            (Some("5.7.1"), Some("550 5.7.1 looks like spam"), false),
            (
                Some("5.7.1"),
                Some("550 your hostname does not exist"),
                false,
            ),
            (
                Some("5.1.8"),
                Some("550 the return-path does not exist"),
                false,
            ),
            (Some("5.7.0"), Some("550 this service is disabled"), false),
            (
                None,
                Some("550 account inactive, renew your subscription"),
                false,
            ),
            (None, Some("550 the account bob is inactive"), true),
        ] {
            let bounce = hard(status, words);
            assert_eq!(bounce.says_mailbox_is_missing(), expected, "{bounce:?}");
        }
        let soft = Bounce {
            kind: BounceKind::Soft,
            ..hard(Some("5.1.1"), None)
        };
        assert!(!soft.says_mailbox_is_missing());
    }
}
