//! The table of rules. The first row that matches a reply decides, so the order matters: special
//! phrases stand above general ones, and each group ends with what holds for replies without known
//! words.
//!
//! To add a rule: add a documented reply to `jobs/tests/data/replies.tsv`, see the test fail, and widen a
//! list of phrases or add a row at the place where its group begins.

use super::Hint::{FewerConnections, Reconnect, SlowDown, TryEach};
use super::ReplyClass::{
    Consequence, Letter, MailboxMissing, Recipient, RecipientLater, Sender, ServerLater,
};
use super::phrases::*;
use super::rule::Codes::{Any, Only, Permanent, Temporary};
use super::rule::{Rule, Status};
use crate::smtp::Stage;

/// Before a recipient is named: such a reply never speaks of one.
const SESSION: &[Stage] = &[
    Stage::Connect,
    Stage::Tls,
    Stage::Greeting,
    Stage::Hello,
    Stage::StartTls,
    Stage::Auth,
    Stage::Mail,
    Stage::Reset,
    Stage::Quit,
];
const RCPT: &[Stage] = &[Stage::Rcpt];
const DATA: &[Stage] = &[Stage::Data];
/// After the letter or a part of it.
const DOT: &[Stage] = &[Stage::Block, Stage::End];
const RCPT_OR_DOT: &[Stage] = &[Stage::Rcpt, Stage::Block, Stage::End];
/// After a recipient was named.
const NAMED: &[Stage] = &[Stage::Rcpt, Stage::Data, Stage::Block, Stage::End];
/// The steps at which a server notices a missing login.
const LOGIN: &[Stage] = &[Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data];
/// The steps at which a server judges the size of a letter.
const LETTER_SIZE: &[Stage] = &[
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Block,
    Stage::End,
];
/// The whole session.
const ALL: &[Stage] = &[
    Stage::Connect,
    Stage::Tls,
    Stage::Greeting,
    Stage::Hello,
    Stage::StartTls,
    Stage::Auth,
    Stage::Mail,
    Stage::Reset,
    Stage::Quit,
    Stage::Rcpt,
    Stage::Data,
    Stage::Block,
    Stage::End,
];

/// The values of columns that a row does not name: any reply at any stage, and a cause with the server.
const ANY: Rule = Rule {
    name: "",
    stages: ALL,
    codes: Any,
    status: &[],
    words: &[],
    unless: &[],
    class: ServerLater,
    everybody: ServerLater,
    hint: None,
    source: "",
};

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // Whatever the stage.
    Rule {
        name: "data-after-refusal", stages: DATA, codes: Only(&[503]),
        unless: &[&["auth"]],
        class: Consequence, everybody: Consequence,
        source: "RFC 2920 section 3.1; RFC 5321 section 4.1.1.4",
        ..ANY
    },
    Rule {
        name: "no-valid-recipients", stages: DATA,
        words: &[&["no valid recipients", "no recipients", "valid rcpt"]],
        class: Consequence, everybody: Consequence,
        source: "RFC 2920 section 3.1; RFC 5321 section 3.3",
        ..ANY
    },
    Rule {
        name: "probation",
        words: &[&["probation", "enabled in"]],
        hint: Some(SlowDown),
        source: "Mailgun's replies 535 and 554 with a time",
        ..ANY
    },
    Rule {
        name: "mailbox-rate", stages: NAMED,
        words: &[MAILBOX_RATE],
        class: RecipientLater,
        source: "Google's SMTP error reference, 4.2.1 and 5.2.1; Microsoft 5.2.121 and 5.2.122; \
            Apple and Comcast postmaster pages",
        ..ANY
    },
    Rule {
        name: "connection-used-up",
        words: &[USED_UP],
        hint: Some(Reconnect),
        source: "Exim smtp_accept_max_per_connection; Yahoo and GoDaddy postmaster pages",
        ..ANY
    },
    Rule {
        name: "fewer-connections",
        words: &[CONNECTIONS],
        hint: Some(FewerConnections),
        source: "Postfix smtpd_client_connection_count_limit and postscreen(8); Exim \
            smtp_accept_max_per_host; Microsoft RP-003; Mimecast outbound thread limit",
        ..ANY
    },
    Rule {
        name: "sender-quota",
        words: &[SENDER_QUOTA],
        class: Sender, everybody: Sender,
        source: "Google 5.4.5; Microsoft 5.1.90 and 5.2.2 Submission quota exceeded; Amazon SES \
            and Oracle Email Delivery quotas a day",
        ..ANY
    },
    Rule {
        name: "mail-flood-temporary", codes: Temporary, status: &[Status(7, 28, 28)],
        everybody: Sender, hint: Some(SlowDown),
        source: "IANA enhanced codes X.7.28; Google 4.7.28",
        ..ANY
    },
    Rule {
        name: "reputation-temporary", codes: Temporary,
        words: &[REPUTATION],
        everybody: Sender, hint: Some(SlowDown),
        source: "Yahoo TSS04; Microsoft 4.7.650; Google 4.7.0",
        ..ANY
    },
    Rule {
        name: "authenticity-undecided", codes: Temporary, status: &[Status(7, 20, 27)],
        words: &[LATER], unless: &[THROTTLED],
        everybody: Sender,
        source: "RFC 7372; Google 4.7.26 with DNS failures",
        ..ANY
    },
    Rule {
        name: "authenticity-lookup", stages: NAMED, codes: Temporary,
        words: &[DOMAIN_LOOKUP],
        everybody: Sender,
        source: "Google 4.7.26; Stalwart's temporary SPF and DMARC replies",
        ..ANY
    },
    Rule {
        name: "authenticity-status", status: &[Status(7, 20, 27), Status(7, 28, 32)],
        class: Sender, everybody: Sender,
        source: "RFC 7372; IANA enhanced codes X.7.20 to X.7.28; Google 7.29 to 7.32",
        ..ANY
    },
    Rule {
        name: "login-codes", codes: Only(&[530, 534, 535, 538]),
        unless: &[THROTTLED, LATER, RELAY, SIZE],
        class: Sender, everybody: Sender,
        source: "RFC 4954 section 6",
        ..ANY
    },
    Rule {
        name: "login-status", stages: LOGIN, codes: Permanent,
        status: &[Status(7, 8, 9), Status(7, 11, 11)],
        class: Sender, everybody: Sender,
        source: "RFC 4954 section 6",
        ..ANY
    },

    Rule {
        name: "too-large-status", stages: LETTER_SIZE, status: &[Status(3, 4, 4), Status(2, 3, 3)],
        class: Letter, everybody: Letter,
        source: "RFC 3463 sections 3.3 and 3.4; RFC 1870 section 6",
        ..ANY
    },

    // Before a recipient is named.
    Rule {
        name: "size-announced", stages: &[Stage::Mail],
        words: &[SIZE],
        class: Letter, everybody: Letter,
        source: "RFC 1870 section 6.1",
        ..ANY
    },
    Rule {
        name: "session-sender-temporary", stages: SESSION, codes: Temporary,
        words: &[SENDER, &["authentication failed"]],
        unless: &[LATER, THROTTLED, &["sender verif", "domain of sender"]],
        class: Sender, everybody: Sender,
        source: "Postfix postconf(5) access_map_defer_code and similar; Courier 400; Mailjet 435",
        ..ANY
    },
    Rule {
        name: "session-doubt", stages: SESSION, codes: Temporary,
        words: &[AUTHENTICITY, SENDER, BLOCK_LIST,
            &["does not resolve", "dns lookup failure", "policy"]],
        unless: &[THROTTLED],
        everybody: Sender,
        source: "Sendmail proto.m4; Courier 417; Comcast and GMX postmaster pages; Cisco ESA guide",
        ..ANY
    },
    Rule {
        name: "session-throttled", stages: SESSION,
        words: &[THROTTLED], unless: &[&["spam", "permanent"]],
        hint: Some(SlowDown),
        source: "Postfix smtpd_client_message_rate_limit; Amazon SES; GoDaddy IB504; sisimai \
            TooManyConn and Speeding",
        ..ANY
    },
    Rule {
        name: "session-temporary", stages: SESSION, codes: Temporary,
        source: "RFC 5321 section 4.2.1",
        ..ANY
    },
    Rule {
        name: "session-permanent", stages: SESSION, codes: Permanent,
        class: Sender, everybody: Sender,
        source: "RFC 5321 sections 3.1 and 4.2.1",
        ..ANY
    },

    // After a recipient was named: what may be known by words, whatever the code.
    Rule {
        name: "greylisted", stages: NAMED,
        words: &[GREYLIST],
        class: RecipientLater,
        hint: Some(TryEach),
        source: "RFC 6647 section 5.2",
        ..ANY
    },
    Rule {
        name: "other-transaction", stages: NAMED,
        words: &[OTHER_TRANSACTION],
        class: RecipientLater,
        source: "Google's SMTP error reference, 4.5.3 and 4.3.0",
        ..ANY
    },
    Rule {
        name: "too-many-recipients", stages: NAMED,
        words: &[TOO_MANY_RECIPIENTS], unless: &[&["this hour"]],
        source: "RFC 5321 section 4.5.3.1.10",
        ..ANY
    },
    Rule {
        name: "loop", stages: NAMED,
        words: &[LOOP],
        class: Recipient,
        source: "RFC 5321 section 6.3",
        ..ANY
    },
    Rule {
        name: "full-and-unused", stages: NAMED, codes: Permanent,
        words: &[&["storage space and inactive"]],
        class: Recipient,
        source: "Google's SMTP error reference, 5.2.2",
        ..ANY
    },
    Rule {
        name: "queue-full", stages: NAMED,
        words: &[&["queue quota", "system full"]],
        source: "Microsoft 4.7.3; RFC 3463 section 3.4",
        ..ANY
    },
    Rule {
        name: "mailbox-full", stages: RCPT_OR_DOT,
        words: &[FULL], unless: &[&["sender", "submission", "message storage"]],
        class: RecipientLater,
        source: "RFC 3463 section 3.3; RFC 5321 section 4.2.2; sisimai MailboxFull",
        ..ANY
    },
    Rule {
        name: "too-large", stages: NAMED,
        words: &[SIZE], unless: &[&["transaction"]],
        class: Letter, everybody: Letter,
        source: "RFC 1870 section 6.3; sisimai MesgTooBig",
        ..ANY
    },
    Rule {
        name: "not-on-list", stages: NAMED,
        words: &[NOT_ON_LIST],
        class: RecipientLater, everybody: Sender,
        source: "Google's SMTP error reference, 4.7.0; Courier 412",
        ..ANY
    },
    Rule {
        name: "own-block", stages: NAMED, codes: Permanent,
        words: &[OWN_BLOCK],
        class: Recipient, everybody: Sender,
        source: "Microsoft 5.7.505, 5.7.507, 5.7.513 and 5.7.124 to 5.7.136; Mimecast; SparkPost; \
            sisimai Filtered",
        ..ANY
    },
    Rule {
        name: "relay", stages: NAMED, codes: Permanent,
        words: &[RELAY],
        class: Recipient, everybody: Sender,
        source: "Postfix smtpd_relay_restrictions; Exim configure.default; sisimai NoRelaying",
        ..ANY
    },
    Rule {
        name: "relay-temporary", stages: NAMED, codes: Temporary,
        words: &[RELAY],
        class: RecipientLater, everybody: Sender,
        source: "Postfix postconf(5) relay_domains_reject_code; Mimecast",
        ..ANY
    },
    Rule {
        name: "listed-link", stages: DOT, codes: Permanent,
        words: &[LINK_LIST],
        class: Letter, everybody: Sender,
        source: "Apple postmaster page; KumoMTA community bounces",
        ..ANY
    },
    Rule {
        name: "listed-temporary", stages: NAMED, codes: Temporary,
        words: &[LISTED_FOR_NOW],
        everybody: Sender,
        source: "Mimecast",
        ..ANY
    },
    Rule {
        name: "listed", stages: NAMED,
        words: &[BLOCK_LIST], unless: &[&["spam pattern", "spam content", "listed in * directory"]],
        class: Sender, everybody: Sender,
        source: "Postfix default_rbl_reply; Microsoft 5.7.511 and 5.7.606; sisimai Blocked and \
            BadReputation",
        ..ANY
    },
    Rule {
        name: "broken-header", stages: DOT,
        words: &[&["duplicate header"]],
        class: Letter, everybody: Letter,
        source: "Amazon SES",
        ..ANY
    },
    Rule {
        name: "authenticity", stages: NAMED,
        words: &[AUTHENTICITY], unless: &[&["tenant"]],
        class: Sender, everybody: Sender,
        source: "RFC 7489 section 10.3; GMX, Yahoo and Apple postmaster pages; sisimai AuthFailure \
            and RequirePTR",
        ..ANY
    },
    Rule {
        name: "sender-undecided", stages: NAMED, codes: Temporary,
        words: &[&["sender verif", "policy violation", "invalid recipients"]],
        everybody: Sender,
        source: "Exim acl.c; Cox postmaster page",
        ..ANY
    },
    Rule {
        name: "throttled-temporary", stages: NAMED, codes: Temporary,
        words: &[THROTTLED],
        hint: Some(SlowDown),
        source: "Gandi; Rackspace: a limit of the sender, in words that name the sender too",
        ..ANY
    },
    Rule {
        name: "sender-status", stages: NAMED, status: &[Status(1, 7, 8)],
        class: Sender, everybody: Sender,
        source: "RFC 3463 section 3.2",
        ..ANY
    },
    Rule {
        name: "sender-named", stages: NAMED,
        words: &[SENDER], unless: &[&["contact abuse", "report abuse"]],
        class: Sender, everybody: Sender,
        source: "Postfix smtpd_check.c; Exim acl.c; Microsoft 5.7.60 and 5.7.7xx; sisimai Rejected \
            and SecurityError",
        ..ANY
    },
    Rule {
        name: "throttled", stages: NAMED,
        words: &[THROTTLED],
        hint: Some(SlowDown),
        source: "Amazon SES; Microsoft 4.7.500; QQ Mail; rspamd ratelimit; sisimai TooManyConn and \
            Speeding",
        ..ANY
    },
    Rule {
        name: "spam-before-letter", stages: &[Stage::Rcpt, Stage::Data],
        words: &[&["spam", "suspicious"]],
        class: Sender, everybody: Sender,
        source: "Zoho; no letter was sent yet",
        ..ANY
    },

    // A missing mailbox.
    Rule {
        name: "bad-address", stages: RCPT, codes: Permanent, status: &[Status(1, 1, 3)],
        words: &[BAD_ADDRESS], unless: &[VETO],
        class: MailboxMissing, everybody: Sender,
        source: "RFC 3463 section 3.2; Google 5.1.3; Microsoft 5.1.3",
        ..ANY
    },
    Rule {
        name: "invalid-recipient-status", stages: RCPT, codes: Permanent,
        status: &[Status(1, 0, 10)],
        words: &[&["invalid recipient"]], unless: &[VETO],
        class: MailboxMissing,
        source: "RFC 3463 section 3.2; Orange and Symantec Email Security.cloud",
        ..ANY
    },
    Rule {
        name: "missing-or-not-relayed", stages: RCPT, codes: Permanent,
        words: &[&["invalid recipient @", "cannot deliver mail for"]],
        class: Recipient, everybody: Sender,
        source: "OpenSMTPD lka_session.c and Haraka connection.js: said of missing mailboxes and \
            of denied relaying",
        ..ANY
    },
    Rule {
        name: "mailbox-missing", stages: RCPT, codes: Permanent,
        words: &[MISSING, NAMED_MISSING, DISABLED, NULL_MX], unless: &[VETO],
        class: MailboxMissing,
        source: "RFC 5321 section 4.2.3; RFC 7505; Google 5.1.1 and 5.2.1; Microsoft 5.1.10; \
            sisimai UserUnknown, Suspend, HostUnknown and NotAccept",
        ..ANY
    },
    Rule {
        name: "mailbox-missing-after-letter", stages: DOT, codes: Permanent,
        words: &[MISSING_AFTER_LETTER], unless: &[VETO],
        class: MailboxMissing,
        source: "Yahoo postmaster page; NTT docomo in sisimai's collection",
        ..ANY
    },
    Rule {
        name: "account-missing", stages: RCPT, codes: Permanent,
        words: &[ACCOUNT_MISSING],
        unless: &[VETO],
        class: MailboxMissing,
        source: "Apple and Comcast postmaster pages; sisimai UserUnknown and Suspend",
        ..ANY
    },
    Rule {
        name: "outlook-address-unknown", stages: RCPT, codes: Permanent,
        status: &[Status(5, 0, 0)],
        words: &[&["mailbox unavailable"]], unless: &[VETO],
        class: MailboxMissing,
        source: "Microsoft's table of non-delivery reports, 5.5.0",
        ..ANY
    },

    // Temporary replies without known words.
    Rule {
        name: "data-temporary", stages: DATA, codes: Temporary,
        source: "RFC 5321 section 4.3.2",
        ..ANY
    },
    Rule {
        name: "suspicious-content-temporary", stages: DOT, codes: Temporary,
        words: &[&["nature of the content"]],
        class: Letter, everybody: Letter,
        source: "Google's SMTP error reference, 4.7.0",
        ..ANY
    },
    Rule {
        name: "recipients-server", stages: RCPT_OR_DOT, codes: Temporary,
        words: &[&["recipient's server", "recipient's mail server", "recipient server"]],
        class: RecipientLater,
        source: "Rackspace",
        ..ANY
    },
    Rule {
        name: "server-fault", stages: RCPT_OR_DOT, codes: Temporary,
        words: &[SERVER_FAULT],
        source: "RFC 5321 section 4.2.2; Exim smtp_in.c; Microsoft 4.3.2; Dovecot",
        ..ANY
    },
    Rule {
        name: "mailbox-temporary", stages: RCPT_OR_DOT, codes: Temporary,
        status: &[Status(1, 0, 999), Status(2, 0, 999)],
        class: RecipientLater,
        source: "RFC 3463 sections 3.2 and 3.3",
        ..ANY
    },
    Rule {
        name: "letter-temporary", stages: DOT, codes: Temporary,
        source: "RFC 5321 section 4.2.1",
        ..ANY
    },
    Rule {
        name: "server-fault-status", stages: RCPT, codes: Temporary,
        status: &[Status(3, 0, 999), Status(4, 0, 3), Status(4, 5, 999), Status(7, 0, 0), Status(7, 500, 999)],
        source: "RFC 3463 sections 3.4 and 3.5; Microsoft 4.7.500",
        ..ANY
    },
    Rule {
        name: "closing", stages: RCPT, codes: Only(&[421]),
        source: "RFC 5321 section 3.8",
        ..ANY
    },
    Rule {
        name: "recipient-temporary", stages: RCPT, codes: Temporary,
        class: RecipientLater,
        source: "RFC 5321 section 4.2.1; RFC 6647",
        ..ANY
    },

    // Permanent replies without known words.
    Rule {
        name: "data-permanent", stages: DATA, codes: Permanent,
        class: Sender, everybody: Sender,
        source: "RFC 5321 section 4.3.2",
        ..ANY
    },
    Rule {
        name: "server-fault-permanent", stages: RCPT_OR_DOT, codes: Permanent,
        words: &[&["internal error", "internal server", "local error"]],
        source: "KumoMTA community bounces",
        ..ANY
    },
    Rule {
        name: "content", stages: DOT, codes: Permanent,
        words: &[CONTENT],
        class: Letter, everybody: Letter,
        source: "RFC 3463 section 3.7; sisimai SpamDetected, VirusDetected, ContentError and \
            NotCompliantRFC",
        ..ANY
    },
    Rule {
        name: "content-status", stages: DOT, codes: Permanent, status: &[Status(6, 0, 999)],
        class: Letter, everybody: Letter,
        source: "RFC 3463 section 3.7",
        ..ANY
    },
    Rule {
        name: "later-permanent", stages: RCPT, codes: Permanent,
        words: &[LATER],
        class: RecipientLater,
        source: "replies.tsv: 5yz that pass by themselves",
        ..ANY
    },
    Rule {
        name: "letter-later-permanent", stages: DOT, codes: Permanent,
        words: &[LATER],
        source: "hMailServer SMTPConnection",
        ..ANY
    },
    Rule {
        name: "delivery-failed", stages: DOT, codes: Permanent,
        words: &[&["delivery error", "mail action aborted"]],
        class: Recipient,
        source: "Yahoo postmaster page",
        ..ANY
    },
    Rule {
        name: "address-status", stages: RCPT_OR_DOT, codes: Permanent,
        status: &[Status(1, 0, 5), Status(1, 9, 999)],
        unless: &[&["single label"]],
        class: Recipient,
        source: "RFC 3463 section 3.2",
        ..ANY
    },
    Rule {
        name: "unavailable", stages: RCPT, codes: Permanent,
        words: &[&["unavailable", "config", "recipient list", "recipient verif", "marked as invalid", "suspended", "locked", "be verified", "not a member"]],
        class: Recipient,
        source: "RFC 5321 section 4.2.3; Courier submit.C; Sendmail",
        ..ANY
    },
    Rule {
        name: "mailbox-status", stages: RCPT, codes: Permanent,
        status: &[Status(2, 0, 1), Status(2, 4, 999)],
        class: Recipient,
        source: "RFC 3463 section 3.3",
        ..ANY
    },
    Rule {
        name: "microsoft-policy", stages: RCPT_OR_DOT, codes: Permanent, status: &[Status(7, 500, 999)],
        class: Sender, everybody: Sender,
        source: "Microsoft's table of non-delivery reports, 5.7.5xx to 5.7.9xx",
        ..ANY
    },
    Rule {
        name: "recipient-permanent", stages: RCPT, codes: Permanent,
        class: Recipient, everybody: Sender,
        source: "RFC 5321 section 4.2.1",
        ..ANY
    },
    Rule {
        name: "letter-permanent", stages: DOT, codes: Permanent,
        class: Letter, everybody: Sender,
        source: "RFC 5321 section 4.2.1",
        ..ANY
    },
];
